// The pad: state in, picture out. One request is under way at a time; what was asked meanwhile is replaced by the newest.
// The template is static and every text goes through textContent: nothing that a checkpoint says becomes markup.
const pad = element.querySelector('.pad');
const $ = (selector) => pad.querySelector(selector);
const lang = (() => {
  const own = (navigator.language || 'en').toLowerCase();
  return !own.startsWith('zh') ? 'en' : /tw|hk|mo|hant/.test(own) ? 'zh-Hant' : 'zh-Hans';
})();
const say = (key, values = {}) => {
  const word = props.words[key];
  let text = word ? word[lang] || word.en : key;
  for (const [name, value] of Object.entries(values)) text = text.replace(`{${name}}`, value);
  return text;
};
const session = Math.random().toString(36).slice(2) + Date.now().toString(36);
const hero = $('.hero');
const remembered = () => { try { return JSON.parse(localStorage.getItem('aigc.opened') || '[]'); } catch { return []; } };

let about = null;    // what the server says of the checkpoint
let state = null;    // what is asked for: checkpoint, seed, sliders, numbers, label, sampling
let shown = null;    // the state that the canvas shows

// -- pixels

function paint(canvas, picture) {
  const { width, height, channels } = picture;
  const bytes = Uint8Array.from(atob(picture.raw), (c) => c.charCodeAt(0));
  const image = new ImageData(width, height);
  for (let i = 0, n = width * height; i < n; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[channels * i + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = 255;
  }
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

function show(picture, of) {
  paint(hero, picture);
  shown = of;
  pad.dataset.drawn = JSON.stringify(of);
  pad.dataset.count = 1 + Number(pad.dataset.count);
  const name = of.label == null ? '' : `, ${about.classes[of.label]}`;
  hero.setAttribute('aria-label', say('picture', { name: about.name, seed: of.seed }) + name);
}

function complain(sentence) {
  $('.line').textContent = sentence || '';
  $('.line').classList.toggle('bad', Boolean(sentence));
}

// -- asking, newest wins

function channel(ask, done) {
  let busy = false, wanted = null;
  return async function want(payload) {
    wanted = payload;
    if (busy) return;
    busy = true;
    try {
      while (wanted) {
        const now = wanted;
        wanted = null;
        let answer;
        try { answer = await ask(now); } catch { answer = { error: say('lost') }; }
        if (answer && answer.error) complain(answer.error);
        else if (answer && !answer.superseded) { done(answer, now); }
      }
    } finally { busy = false; }
  };
}

const copy = () => JSON.parse(JSON.stringify(state));
const draw = channel((s) => server.live(s), (answer, s) => { if (s.checkpoint === about.name) { complain(''); show(answer, s); } });
const lattice = channel((s) => server.neighbours(s), (answer, s) => { if (s.checkpoint === about.name) neighbours(answer); });
const raw = channel((s) => server.numbers(s), (answer) => fill(answer.numbers));
const code = channel((s) => server.command(s), (answer) => { $('.shell').textContent = answer.command; $('.python').textContent = answer.python; });

function moved(settled) {
  draw(copy());
  if (!settled) return;
  lattice(copy());
  if ($('.raw').open) raw(copy());
  if ($('.code').open) code(copy());
}

// -- controls

function slider(label, value, low, high, step, attributes, changed) {
  const box = document.createElement('label');
  box.className = 'slider';
  const name = document.createElement('span'), output = document.createElement('output'), range = document.createElement('input');
  name.textContent = label;
  range.type = 'range';
  Object.assign(range, { min: low, max: high, step });
  for (const [key, v] of Object.entries(attributes)) range.setAttribute(key, v);
  range.value = value;
  const tell = () => {
    output.textContent = Number(range.value).toFixed(2);
    const at = 100 * (range.value - low) / (high - low), zero = low < 0 ? 50 : 0;
    range.style.setProperty('--from', `${Math.min(at, zero)}%`);
    range.style.setProperty('--to', `${Math.max(at, zero)}%`);
  };
  tell();
  range.addEventListener('input', () => { tell(); changed(Number(range.value)); moved(false); });
  range.addEventListener('change', () => moved(true));
  range.addEventListener('dblclick', () => { range.value = low < 0 ? 0 : 1; tell(); changed(Number(range.value)); moved(true); });
  box.append(name, output, range);
  box.set = (v) => { range.value = v; tell(); };
  return box;
}

function build() {
  const sliders = about.effects.map((effect, k) => slider(
    say('direction', { k: k + 1 }), state.sliders[k] || 0, -about.reach, about.reach, 0.01, { 'data-slider': k },
    (v) => { state.sliders[k] = v; }));
  $('.sliders').replaceChildren(...sliders);
  $('.sampling').replaceChildren(...about.sampling.filter((s) => s.kind === 'float').map((s) => slider(
    say(s.name), state.sampling[s.name] ?? s.default, s.low, s.high, 0.01, { 'data-sampling': s.name, title: s.help },
    (v) => { state.sampling[s.name] = v; })));
  $('.classes').hidden = about.classes.length === 0;
  $('.chips').replaceChildren(...about.classes.map((name, k) => {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = name;
    chip.setAttribute('aria-pressed', state.label === k);
    chip.addEventListener('click', () => {
      state.label = k;
      [...$('.chips').children].forEach((c, i) => c.setAttribute('aria-pressed', i === k));
      moved(true);
    });
    return chip;
  }));
  $('[name=seed]').value = state.seed;
  $('[name=checkpoint]').value = about.name;
  $('.numbers').replaceChildren();
  $('.raw summary').textContent = say('numbers', { n: about.latent });
  const facts = { preset: about.preset, data: about.data, items: about.items.toLocaleString(), steps: about.steps.toLocaleString(), minutes: Math.max(1, Math.round(about.seconds / 60)), licence: about.licence || say('unknown') };
  $('.about').textContent = say('about', facts);
}

function neighbours(answer) {
  $('.lattice').style.setProperty('--columns', answer.columns);
  const middle = (answer.items.length - 1) / 2;
  const old = $('.lattice').children;
  const cells = answer.items.map((picture, i) => {
    const button = old[i] || document.createElement('button');
    const canvas = button.firstChild || document.createElement('canvas');
    if (!button.firstChild) { button.type = 'button'; button.append(canvas); }
    paint(canvas, picture);
    button.setAttribute('aria-label', i === middle ? say('here') : say('neighbour', { a: answer.sliders[i][0].toFixed(2), b: (answer.sliders[i][1] ?? 0).toFixed(2) }));
    button.setAttribute('aria-current', i === middle);
    button.onclick = () => { state.sliders = [...answer.sliders[i]]; [...$('.sliders').children].forEach((s, k) => s.set(state.sliders[k] || 0)); moved(true); };
    return button;
  });
  if (old.length !== cells.length) $('.lattice').replaceChildren(...cells);
}

function fill(numbers) {
  const box = $('.numbers');
  if (box.children.length !== numbers.length) {
    box.replaceChildren(...numbers.map((v, k) => slider(`z${k + 1}`, v, -4, 4, 0.01, { 'data-number': k }, (now) => { state.numbers[k] = now; })));
  } else numbers.forEach((v, k) => box.children[k].set(v));
}

function shelf(list, current) {
  $('[name=checkpoint]').replaceChildren(...list.map(({ name, title }) => { const o = document.createElement('option'); o.value = name; o.textContent = title; return o; }));
  if (current) $('[name=checkpoint]').value = current;
}

async function open(name) {
  pad.classList.add('busy');
  try {
    const answer = await server.open(name);
    if (answer.error) { complain(answer.error); if (about) $('[name=checkpoint]').value = about.name; return; }
    about = answer;
    state = { checkpoint: about.name, seed: state ? state.seed : 7, sliders: about.effects.map(() => 0), numbers: {}, label: about.classes.length ? 0 : null, sampling: {}, session };
    build();
    moved(true);
  } catch { complain(say('lost')); } finally { pad.classList.remove('busy'); }
}

// -- words, then what the server sent along, then events

for (const [selector, key] of Object.entries({ '.dice': 'dice', '.reset': 'reset', '.save': 'save', '.checkpoint-name': 'checkpoint', '.seed-name': 'seed', '.class-name': 'class', '.near-name': 'near', '.code summary': 'code' })) $(selector).textContent = say(key);
$('.lattice').setAttribute('aria-label', say('near'));
pad.querySelectorAll('.snippet').forEach((box, i) => {
  box.querySelector('.name').textContent = say(i ? 'python' : 'command');
  const button = box.querySelector('.copy');
  button.textContent = say('copy');
  button.setAttribute('aria-label', `${say('copy')}: ${say(i ? 'python' : 'command')}`);
  button.addEventListener('click', async () => { await navigator.clipboard.writeText(box.querySelector('code').textContent); button.textContent = say('copied'); setTimeout(() => { button.textContent = say('copy'); }, 1500); });
});

const reset = () => { state.sliders = about.effects.map(() => 0); state.numbers = {}; state.sampling = {}; build(); moved(true); };
const seed = (value) => { state.seed = value; state.numbers = {}; $('[name=seed]').value = value; moved(true); };
$('.dice').addEventListener('click', () => seed(Math.floor(Math.random() * 100000)));
$('.reset').addEventListener('click', reset);
$('[name=seed]').addEventListener('change', (e) => seed(Math.min(2147483647, Math.max(0, Math.trunc(Number(e.target.value)) || 0))));
$('[name=checkpoint]').addEventListener('change', (e) => open(e.target.value));
$('.raw').addEventListener('toggle', () => { if ($('.raw').open) raw(copy()); });
$('.code').addEventListener('toggle', () => { if ($('.code').open) code(copy()); });
$('.save').addEventListener('click', async () => {
  const answer = await server.save(copy());
  if (answer.error) return complain(answer.error);
  const link = document.createElement('a');
  link.href = `data:image/png;base64,${answer.png}`;
  link.download = answer.name;
  link.click();
});

const start = props.start;
if (start.open) {
  about = start.open;
  state = { numbers: {}, label: null, ...start.state, sliders: about.effects.map(() => 0), session };
  shelf(start.shelf, about.name);
  build();
  neighbours(start.neighbours);
  show(start.picture, copy());
  server.shelf({ opened: remembered() }).then((answer) => { if (answer.shelf) shelf(answer.shelf, about.name); }).catch(() => {});
} else complain(say('none'));

watch('value', async () => {
  const name = props.value && props.value.open;
  if (!name || (about && name === about.name && !props.value.again)) return;
  localStorage.setItem('aigc.opened', JSON.stringify([name, ...remembered().filter((n) => n !== name)].slice(0, 20)));
  const answer = await server.shelf({ opened: remembered() });
  if (answer.shelf) shelf(answer.shelf, name);
  open(name);
});
