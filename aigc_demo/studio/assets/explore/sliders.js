// -- the view "Sliders": directions with their names and films, sampling, neighbours, single numbers, the command

function slider(label, value, low, high, step, attributes, changed, axis) {  // label: a text, or elements that name it themselves
  const plain = typeof label === 'string';
  const box = make(plain ? 'label' : 'div', { className: 'slider' });
  const range = make('input', { type: 'range' }), output = make('output');
  Object.assign(range, { min: low, max: high, step });
  for (const [key, v] of Object.entries(attributes)) range.setAttribute(key, v);
  range.value = value;
  const tell = () => {
    output.textContent = Number(range.value).toFixed(2);
    const at = 100 * (range.value - low) / (high - low), zero = low < 0 ? 50 : 0;
    range.style.setProperty('--from', `${Math.min(at, zero)}%`);
    range.style.setProperty('--to', `${Math.max(at, zero)}%`);
  };
  const to = (v) => { range.value = v; tell(); changed(Number(range.value)); };
  tell();
  range.addEventListener('input', () => { to(range.value); if (axis) slid(axis, Number(range.value)); else moved(false); });
  range.addEventListener('change', () => moved(true));
  range.addEventListener('dblclick', () => { to(low < 0 ? 0 : 1); moved(true); });
  if (axis) approach(range, axis);
  box.append(...(plain ? [make('span', { textContent: label })] : label), output, range);
  box.set = (v) => { range.value = v; tell(); };
  return box;
}

// names and what is kept first: this browser's own, by the checkpoint's content

const own = () => ({ names: {}, kept: [], ...kept(`aigc.names.${about.digest}`, {}) });
const found = (k, name = about.names[k]) => (words[`name.${name}`] ? say(`name.${name}`) : name || say('direction', { k: k + 1 }));
const called = (k) => own().names[k] || found(k);
const order = () => {
  const first = own().kept.filter((k) => k < about.effects.length);
  return [...new Set([...first, ...about.effects.keys()])];
};

function direction(k) {  // a slider whose name can be changed and which can be kept first; its track is its film
  const isKept = own().kept.includes(k);
  const title = make('button', { type: 'button', className: 'title', title: say('rename') });
  const star = make('button', { type: 'button', className: 'keep', textContent: isKept ? '★' : '☆', title: say('keep') });
  const box = slider([title, star], state.sliders[k] || 0, -about.reach, about.reach, 0.01, { 'data-slider': k },
    (v) => { state.sliders[k] = v; }, `sliders.${k}`);
  star.setAttribute('aria-pressed', isKept);
  star.addEventListener('click', () => {
    const mine = own();
    store({ ...mine, kept: isKept ? mine.kept.filter((one) => one !== k) : [...mine.kept, k] });
    directions();
    around();
    $(`[data-way="${k}"] .keep`).focus();
  });
  title.addEventListener('click', () => rename(k, title, box));
  box.classList.add('way');
  box.dataset.way = k;
  label(k, box, title);
  return box;
}

function label(k, box, title) {
  const name = called(k);
  title.textContent = name;
  title.setAttribute('aria-label', say('rename.of', { name }));
  box.querySelector('.keep').setAttribute('aria-label', say('keep.of', { name }));
  box.querySelector('[type=range]').setAttribute('aria-label', name);
}

function rename(k, title, box) {
  const field = make('input', { type: 'text', className: 'rename', value: called(k), maxLength: 40 });
  let over = false;
  const end = (save) => {
    if (over) return;
    over = true;
    const mine = own(), given = field.value.trim();
    if (save) {
      delete mine.names[k];
      if (given && given !== found(k)) mine.names[k] = given;
      store(mine);
    }
    field.replaceWith(title);
    label(k, box, title);
    nameAxes();
  };
  field.setAttribute('aria-label', say('rename.of', { name: called(k) }));
  field.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' && event.key !== 'Escape') return;
    event.preventDefault();
    end(event.key === 'Enter');
    title.focus();
  });
  field.addEventListener('blur', () => end(true));
  title.replaceWith(field);
  field.focus();
  field.select();
}

function store(mine) {
  keep(`aigc.names.${about.digest}`, mine);
  follow();
}

function nameAxes() {
  const [a, b] = order();
  $('.near-name').hidden = $('.lattice').hidden = a === undefined;  // a mark of a run has no directions of its own
  if (a === undefined) return;
  $('.near-name').textContent = say(b === undefined ? 'near.one' : 'near', { a: called(a), b: b === undefined ? '' : called(b) });
  $('.lattice').setAttribute('aria-label', $('.near-name').textContent);
}

function directions() {
  $('.sliders').replaceChildren(...order().map(direction));
  nameAxes();
  film();
}

let films = null;  // one sheet: a row a direction, at the same stops
const travels = channel((s) => server.travels(s), (answer, s) => { if (s.checkpoint === about.name) { films = answer; film(); } });

function film() {
  const there = films && films.checkpoint === about.name ? films.rows : 0;
  if (there) {
    pad.style.setProperty('--film', `url(data:image/webp;base64,${films.sheet})`);
    pad.style.setProperty('--film-rows', films.rows);
    pad.style.setProperty('--film-columns', films.columns);
  }
  for (const box of pad.querySelectorAll('.way')) {
    const k = Number(box.dataset.way);
    box.classList.toggle('filmed', k < there);
    box.style.setProperty('--film-row', there > 1 ? `${100 * k / (there - 1)}%` : '0%');
  }
}

const lattice = channel((s) => server.neighbours(s), (answer, s) => { if (s.checkpoint === about.name) neighbours(answer); });
const raw = channel((s) => server.numbers(s), (answer) => fill(answer.numbers.slice(0, about.numbers)));
const code = channel((s) => server.command(s), (answer) => { $('.shell').textContent = answer.command; $('.python').textContent = answer.python; });

function around() {
  const axes = order().slice(0, 2);
  if (axes.length) lattice({ ...copy(), axes });
  travels(copy());
  if ($('.raw').open) raw(copy());
  if ($('.code').open) code(copy());
}

panels.push({ id: 'sliders', word: 'sliders', show: around, settled: around });

// a sampling setting: a slider for a share or a strength, a field for a number of steps, a menu for a method

const STEPS = 100;  // most that the field takes: others wait for this server too; a link and the command line take more; 0 is the model's own

function setting(s, control, read) {
  const box = make('label', { className: 'setting', title: s.help }, make('span', { textContent: say(s.name) }), control);
  const tell = () => { control.value = (state.sampling[s.name] ?? s.default) || ''; };
  control.dataset.sampling = s.name;
  control.addEventListener('change', () => { state.sampling[s.name] = read(control.value); tell(); moved(true); });
  tell();
  return box;
}

const SETTINGS = {
  float: (s) => slider(say(s.name), state.sampling[s.name] ?? s.default, s.low, s.high, 0.01, { 'data-sampling': s.name, title: s.help },
    (v) => { state.sampling[s.name] = v; }, `sampling.${s.name}`),
  int: (s) => setting(s, make('input', { type: 'number', min: s.low, max: STEPS, step: 1, placeholder: say('own') }),
    (text) => Math.min(STEPS, Math.max(s.low, Math.round(Number(text)) || s.default))),
  choice: (s) => setting(s, make('select', {}, ...s.choices.map((value) => make('option', { value, textContent: say(value) }))), (value) => value),
};

function build() {
  fitTabs();
  directions();
  if (presenting) layPresent();
  $('.sampling').replaceChildren(...['float', 'int', 'choice'].flatMap((kind) => about.sampling.filter((s) => s.kind === kind).map(SETTINGS[kind])));
  tellPrompt();
  $('.classes').hidden = about.classes.length === 0;
  $('.chips').replaceChildren(...about.classes.map((name, k) => {
    const chip = make('button', { type: 'button', textContent: name });
    chip.setAttribute('aria-pressed', classOf(state) === k);
    chip.addEventListener('click', () => {
      state.label = k;
      [...$('.chips').children].forEach((c, i) => c.setAttribute('aria-pressed', i === k));
      playing = false;
      moved(true);
    });
    return chip;
  }));
  $('[name=seed]').value = state.seed;
  pick(about.name);
  $('.numbers').replaceChildren();
  $('.raw summary').textContent = say(about.numbers < about.latent ? 'numbers.some' : 'numbers', { n: about.latent.toLocaleString(), some: about.numbers });
  const facts = { preset: about.preset, data: about.data, items: about.items.toLocaleString(), steps: about.steps.toLocaleString(), minutes: Math.max(1, Math.round(about.seconds / 60)), licence: about.licence || say('unknown') };
  $('.about').textContent = say('about', facts);
}

function neighbours(answer) {
  $('.lattice').style.setProperty('--columns', answer.columns);
  const middle = (answer.items.length - 1) / 2, old = $('.lattice').children, [a, b] = answer.axes;
  const cells = answer.items.map((picture, i) => {
    const button = old[i] || make('button', { type: 'button' }, make('canvas')), there = answer.sliders[i];
    paint(button.firstChild, picture);
    const way = [a, b].filter((k) => k < there.length).map((k) => `${called(k)} ${there[k].toFixed(2)}`).join(', ');
    button.setAttribute('aria-label', i === middle ? say('here') : say('neighbour', { way }));
    button.setAttribute('aria-current', i === middle);
    button.onclick = () => { put({ ...state, sliders: there }); $('.lattice').children[middle].focus(); };
    return button;
  });
  if (old.length !== cells.length) $('.lattice').replaceChildren(...cells);
}

function fill(numbers) {
  const box = $('.numbers');
  if (box.children.length !== numbers.length) {
    box.replaceChildren(...numbers.map((v, k) => slider(`z${k + 1}`, v, -4, 4, 0.01, { 'data-number': k }, (now) => { state.numbers[k] = now; }, `numbers.${k}`)));
  } else numbers.forEach((v, k) => box.children[k].set(v));
}

function shelf(list, current) {
  $('[name=checkpoint]').replaceChildren(...list.map(({ name, title }) => make('option', { value: name, textContent: title })));
  if (current) pick(current);
}

function pick(name) {  // a checkpoint that came by link need not be on the shelf
  const choice = $('[name=checkpoint]');
  if (about?.name === name && ![...choice.options].some((one) => one.value === name)) choice.append(make('option', { value: name, textContent: about.title }));
  choice.value = name;
}
