// Explore for texts. The checkpoint is chosen in either part of the tab: the part that cannot show it hands it over by an event of the page.
// Every text goes through textContent.
const pictures = () => document.querySelector('#explore .pad');
const MANY = { top_k: 200, length: 1000 };   // where a slider ends though the setting goes on
const PAGE = 400;                            // tokens that a text has where nobody says how many
let about = null, writing = 0;               // the number of the text that is being written; another one ends it
let written = null;                          // its name at the server, until it is over

async function ask(what, payload, wanted = () => true) {  // an error is told where its answer is still wanted
  let answer;
  try { answer = await server[what](payload); } catch { answer = { error: say('lost') }; }
  if (answer.error && wanted()) complain(answer.error);
  return answer;
}

// -- a token, coloured by how likely it was: from paper to the warning colour

function token([text, p, likeliest]) {
  const span = make('span', { className: 'token', textContent: text });
  span.style.setProperty('--surprise', `${Math.round(Math.min(60, 20 * Math.log10(1 / Math.max(p, 1e-5))))}%`);
  span.dataset.p = p;
  span.likeliest = likeliest;
  return span;
}

function hover(event) {
  const at = event.target.closest('.token'), box = $('.likeliest');
  box.hidden = !at;
  if (!at) return;
  const seen = (text) => text.replaceAll('\n', '⏎').replaceAll(' ', '␣');
  const rows = at.likeliest.map(([text, p]) => make('div', { className: text === at.textContent ? 'chosen' : '' }, seen(text), make('span', { textContent: `${(100 * p).toFixed(1)} %` })));
  box.replaceChildren(make('b', { textContent: `${seen(at.textContent)}  ${(100 * at.dataset.p).toFixed(1)} %` }), ...rows);
  const place = at.getBoundingClientRect(), stage = $('.stage').getBoundingClientRect();
  box.style.left = `${Math.max(0, Math.min(place.left - stage.left, stage.width - 168))}px`;
  box.style.top = `${place.bottom - stage.top + 4}px`;
}

function show(begun, pieces) {
  $('.written').replaceChildren(make('span', { className: 'begun', textContent: begun }), ...pieces.map(token));
  $('.empty').hidden = true;
}

// -- writing

function asked() {
  const sampling = {};
  for (const dial of pad.querySelectorAll('.dials [data-name]')) sampling[dial.dataset.name] = Number(dial.value);
  const seed = Math.min(2147483647, Math.max(0, Math.trunc(Number($('[name=write-seed]').value)) || 0));
  const poem = about.forms.length ? { title: $('[name=title]').value, form: $('[name=form]').value, line: $('[name=first]').value } : {};
  if (!about.forms.length) sampling.prompt = $('[name=prompt]').value;
  return { checkpoint: about.name, seed, sampling, ...poem };
}

const told = ({ copied, window }) => (copied === null ? say('untraced') : say('copied', { share: (100 * copied).toFixed(1), window }));

async function write() {
  const number = ++writing, wanted = () => number === writing;
  complain('');
  $('.stop').disabled = false;
  const begun = await ask('begin', asked(), wanted);
  if (!wanted() || begun.error) { if (wanted()) $('.stop').disabled = true; return; }
  written = begun.id;
  show(begun.prompt, []);
  $('.code code').textContent = begun.command;
  for (;;) {
    const answer = await ask('more', begun.id, wanted);  // one that a stop overtook finds its text gone
    if (!wanted()) return;
    if (answer.error) break;
    const sheet = $('.sheet'), below = sheet.scrollHeight - sheet.scrollTop - sheet.clientHeight < 40;
    $('.written').append(...answer.pieces.map(token));
    if (below) sheet.scrollTop = sheet.scrollHeight;
    if (!answer.over) continue;
    written = null;
    $('.line').textContent = told(answer);
    break;
  }
  $('.stop').disabled = true;
  pad.dataset.over = number;
}

async function stop() {
  const number = ++writing, id = written;
  written = null;
  $('.stop').disabled = true;
  $('.line').textContent = say('stopped');
  if (!id) return;
  const answer = await server.leave(id).catch(() => ({ error: '' }));
  if (number === writing && 'copied' in answer) $('.line').textContent = `${say('stopped')} ${told(answer)}`;
}

async function score() {
  stop();
  $('.line').textContent = '';
  const text = $('[name=pasted]').value, answer = await ask('pasted', { checkpoint: about.name, text });
  if (answer.error) return;
  complain('');
  show([...text][0] ?? '', answer.pieces);
  const beside = answer.counted === null ? say('uncounted', { name: about.name }) : say('counted', { before: answer.before, nats: answer.counted.toFixed(3) });
  $('.line').textContent = `${say('scored', { nats: answer.nats.toFixed(3), perplexity: answer.perplexity.toFixed(1), count: answer.characters })} ${beside}`;
}

// -- a checkpoint

function dial(spec) {
  const high = Math.min(spec.high, MANY[spec.name] ?? Infinity), whole = spec.kind === 'int';
  const start = spec.name === 'length' ? (about.forms.length ? about.context : PAGE) : spec.default;
  const output = make('output'), range = make('input', { type: 'range', min: spec.low, max: high, step: whole ? 1 : 0.01, value: start });
  range.dataset.name = spec.name;
  const tell = () => {
    output.textContent = whole ? (Number(range.value) || say('all')) : Number(range.value).toFixed(2);
    range.style.setProperty('--from', '0%');
    range.style.setProperty('--to', `${100 * (range.value - spec.low) / (high - spec.low)}%`);
  };
  tell();
  range.addEventListener('input', tell);
  return make('label', { className: 'slider', title: spec.help }, make('span', { textContent: say(spec.name) }), output, range);
}

async function open(name) {
  const found = await ask('about', name);
  if (found.error) return;
  about = found;
  const other = pictures();
  if (other) other.hidden = true;
  pad.hidden = false;
  complain('');
  writing += 1;
  $('.written').replaceChildren();
  $('.empty').hidden = false;
  pad.classList.toggle('verse', Boolean(about.forms.length));
  $('.poem').hidden = !about.forms.length;
  $('.plain').hidden = Boolean(about.forms.length);
  $('[name=form]').replaceChildren(...about.forms.map((form) => make('option', { value: form, textContent: form })));
  $('.dials').replaceChildren(...about.settings.map(dial));
  $('.about').textContent = say('about', { data: about.data, licence: about.licence || '-', context: about.context });
  const answer = await ask('shelf', { opened: remembered() });
  if (answer.shelf) $('[name=writer]').replaceChildren(...answer.shelf.map((c) => make('option', { value: c.name, textContent: c.title })));
  $('[name=writer]').value = name;
  write();
}

function leave(name) {
  stop();
  pad.hidden = true;
  const other = pictures();
  if (other) other.hidden = false;
  document.dispatchEvent(new CustomEvent('aigc:draw', { detail: name }));
}

for (const one of pad.querySelectorAll('[data-say]')) one.textContent = say(one.dataset.say);
$('[name=title]').value = '月夜';
$('.go').addEventListener('click', write);
$('.again').addEventListener('click', () => { $('[name=write-seed]').value = Math.floor(Math.random() * 100000); write(); });
$('.stop').addEventListener('click', stop);
$('.score').addEventListener('click', score);
$('.sheet').addEventListener('pointermove', hover);
$('.sheet').addEventListener('pointerleave', () => { $('.likeliest').hidden = true; });
$('[name=writer]').addEventListener('change', async (event) => {
  const name = event.target.value, found = await server.about(name).catch(() => ({ error: '' }));
  if (found.error) leave(name); else open(name);
});
document.addEventListener('aigc:write', (event) => open(event.detail));
