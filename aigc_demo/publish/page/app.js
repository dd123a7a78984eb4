// The page: state in, picture out, all in the visitor's browser. One picture is drawn a frame; what was asked meanwhile is replaced by the
// newest. Every text goes through textContent: nothing that a checkpoint or an address says becomes markup.
import { bent } from './curve.js';
import { latent } from './draw.js';
import { png, text, xmp } from './file.js';

const $ = (selector) => document.querySelector(selector);
const pad = $('.pad'), hero = $('.hero');
const GRID = 24;  // samples of a seed that are shown beside the picture
const MOST = 2147483647;  // seeds and indices
const lang = (() => {
  const own = (navigator.language || 'en').toLowerCase();
  return !own.startsWith('zh') ? 'en' : /tw|hk|mo|hant/.test(own) ? 'zh-Hant' : 'zh-Hans';
})();

const page = await (await fetch('page.json')).json();
const [channels, height, width] = page.shape;
const say = (key, values = {}) => Object.entries(values).reduce((said, [name, v]) => said.replace(`{${name}}`, () => v), page.words[key][lang]);

// -- the state, and the address that holds it

const within = (value, low, high, otherwise) => (value !== null && value !== '' && Number.isFinite(Number(value)) ? Math.min(high, Math.max(low, Number(value))) : otherwise);

function fresh() {
  const sampling = Object.fromEntries(page.settings.map((s) => [s.name, s.default]));
  return { ...page.start, index: 0, sliders: page.directions.map(() => 0), sampling };
}

function fromAddress() {
  const given = new URLSearchParams(location.search), state = fresh();
  const whole = (name, high, otherwise) => Math.trunc(within(given.get(name), 0, high, otherwise));
  state.seed = whole('seed', MOST, state.seed);
  state.index = whole('index', MOST, state.index);
  if (page.classes.length) state.label = whole('class', page.classes.length - 1, state.label);
  const sliders = (given.get('sliders') || '').split(',');
  state.sliders = state.sliders.map((v, k) => within(sliders[k] ?? null, -page.reach, page.reach, v));
  for (const s of page.settings) state.sampling[s.name] = within(given.get(`set.${s.name}`), s.low, s.high, s.default);
  return state;
}

/** The query that the studio's own links have, so that either opens what the other made. */
function address() {
  const query = new URLSearchParams({ model: page.name, hash: page.digest.slice(0, 16), seed: state.seed });
  if (state.index) query.set('index', state.index);
  if (state.label !== null) query.set('class', state.label);
  if (state.sliders.some((v) => v)) {
    query.set('sliders', state.sliders.join(',').replace(/(,0)+$/, ''));
    query.set('ways', page.ways);
  }
  for (const s of page.settings) if (state.sampling[s.name] !== s.default) query.set(`set.${s.name}`, state.sampling[s.name]);
  return `${location.pathname}?${query}`.replaceAll('%2C', ',');
}

let state = fromAddress();
const copy = () => structuredClone(state);

// -- pixels

function complain(sentence) {
  $('.line').textContent = sentence || '';
  $('.line').classList.toggle('bad', Boolean(sentence));
}

/** x (C, H, W) in -1 to 1 -> pixels; the clamped array rounds as torch does. */
function image(x) {
  const made = new ImageData(width, height), n = width * height;
  for (let i = 0; i < n; i++) {
    made.data[4 * i + 3] = 255;
    for (let c = 0; c < Math.max(3, channels); c++) made.data[4 * i + c] = (x[channels === 1 ? i : c * n + i] + 1) * 127.5;
  }
  return made;
}

function paint(canvas, picture) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.classList.toggle('clear', channels === 4);
  canvas.getContext('2d').putImageData(picture, 0, 0);
}

function show(picture, of) {
  paint(hero, picture);
  pad.dataset.drawn = JSON.stringify(of);
  pad.dataset.count = 1 + Number(pad.dataset.count);
  const name = of.label === null ? '' : `, ${page.classes[of.label]}`;
  hero.setAttribute('aria-label', say('picture', { name: page.name, seed: of.seed }) + name);
}

// -- drawing: the newest state wins, one a frame

let notice = '';  // of the address, until something is touched
let draw = null, wanted = null, running = false, after = Promise.resolve();
const latents = new Map();  // the seeds' own, before any slider moves them

function drawn(seed, index) {
  const at = `${seed}/${index}`;
  if (!latents.has(at)) {
    if (latents.size >= 4 * GRID) latents.delete(latents.keys().next().value);
    latents.set(at, latent(seed, index, page.latent.reduce((all, side) => all * side, 1)));
  }
  return latents.get(at);
}

const along = page.curve ? bent(page.curve) : (z, move) => z.map((v, i) => v + move[i]);

function moved({ seed, index, sliders }) {
  const z = drawn(seed, index), move = new Float32Array(z.length);
  sliders.forEach((amount, k) => { if (amount) page.directions[k].forEach((v, i) => { move[i] += amount * v; }); });
  return sliders.some((amount) => amount) ? along(z, move) : Float32Array.from(z);
}

/** One picture; the runtime takes one at a time. */
const picture = (of) => (after = after.catch(() => {}).then(async () => image(await draw(moved(of), of))));

async function step() {
  const of = wanted;
  wanted = null;
  try {
    show(await picture(of), of);
    complain(notice);
  } catch { complain(say('failed')); }
  if (wanted) requestAnimationFrame(step);
  else running = false;
}

function want(settled) {
  if (settled) history.replaceState(null, '', address());
  if (!draw) return;
  wanted = copy();
  notice = '';
  if (!running) { running = true; requestAnimationFrame(step); }
  if (settled) fill();
}

// -- the samples of the seed, drawn while the hand rests

let filling = 0, filled = '';

async function fill() {
  const { seed, label, sampling, index } = state, key = JSON.stringify([seed, label, sampling]);
  $('.grid').childNodes.forEach((cell, i) => cell.setAttribute('aria-current', i === index));
  if (key === filled) return;
  filled = key;
  const turn = ++filling;
  for (let i = 0; i < GRID; i++) {
    do await new Promise(requestAnimationFrame); while (running);
    if (turn !== filling) return;
    paint($('.grid').children[i].firstChild, await picture({ seed, label, sampling, index: i, sliders: [] }));
  }
}

// -- controls

function slider(label, value, low, high, normal, attributes, changed) {
  const box = document.createElement('label'), name = document.createElement('span');
  const output = document.createElement('output'), range = document.createElement('input');
  box.className = 'slider';
  name.textContent = label;
  Object.assign(range, { type: 'range', min: low, max: high, step: 0.01 });
  for (const [key, v] of Object.entries(attributes)) range.setAttribute(key, v);
  const tell = () => {
    output.textContent = Number(range.value).toFixed(2);
    const at = 100 * (range.value - low) / (high - low), zero = low < 0 ? 50 : 0;
    range.style.setProperty('--from', `${Math.min(at, zero)}%`);
    range.style.setProperty('--to', `${Math.max(at, zero)}%`);
  };
  range.value = value;
  tell();
  range.addEventListener('input', () => { tell(); changed(Number(range.value)); want(false); });
  range.addEventListener('change', () => want(true));
  range.addEventListener('dblclick', () => { range.value = normal; tell(); changed(normal); want(true); });
  box.append(name, output, range);
  return box;
}

function build() {
  const called = (k, name = page.names[k]) => (page.words[`name.${name}`] ? say(`name.${name}`) : name || say('direction', { k: k + 1 }));
  $('.sliders').replaceChildren(...page.directions.map((_, k) => slider(
    called(k), state.sliders[k], -page.reach, page.reach, 0, { 'data-slider': k }, (v) => { state.sliders[k] = v; })));
  $('.settings').replaceChildren(...page.settings.map((s) => slider(
    page.words[s.name] ? say(s.name) : s.name, state.sampling[s.name], s.low, s.high, s.default, { 'data-sampling': s.name, title: s.help },
    (v) => { state.sampling[s.name] = v; })));
  [...$('.chips').children].forEach((chip, k) => chip.setAttribute('aria-pressed', k === state.label));
  $('[name=seed]').value = state.seed;
}

function seed(value) {
  Object.assign(state, { seed: value, index: 0 });
  $('[name=seed]').value = value;
  want(true);
}

async function save() {
  const of = JSON.parse(pad.dataset.drawn);
  const hashes = { digest: page.digest, ...(of.sliders.some((v) => v) ? { ways: page.ways } : {}) };
  const recipe = text({ checkpoint: page.name, ...Object.fromEntries(Object.entries(of).filter(([, v]) => v !== null)), ...hashes });
  const pixels = hero.getContext('2d').getImageData(0, 0, width, height);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await png(pixels, channels, recipe, xmp(page.packet, page.aigc, recipe)));
  link.download = `${page.name}-${of.seed}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// -- the model card: headings, lists, tables, code and paragraphs of Markdown, and no other markup

function card(markdown) {
  const box = $('.card .text'), add = (tag, said, to = box) => {
    const made = document.createElement(tag);
    made.textContent = said.replaceAll('`', '');
    to.append(made);
    return made;
  };
  let open = null, code = null;
  for (const line of markdown.split('\n')) {
    const cells = line.startsWith('|') ? line.slice(1).replace(/\|\s*$/, '').split('|').map((cell) => cell.trim()) : [];
    if (line.startsWith('```')) code = code ? null : add('pre', '');
    else if (code) code.textContent += (code.textContent && '\n') + line;
    else if (/^#{1,6} /.test(line)) { add(line.startsWith('# ') ? 'h2' : 'h3', line.replace(/^#+ /, '')); open = null; }
    else if (line === '![samples](samples.webp)') box.append(Object.assign(new Image(), { src: 'samples.webp', alt: say('samples') }));
    else if (line.startsWith('- ')) add('li', line.slice(2), open = open?.tagName === 'UL' ? open : add('ul', ''));
    else if (cells.length && cells.every((cell) => /^:?-+:?$/.test(cell))) continue;
    else if (cells.length) {
      open = open?.tagName === 'TABLE' ? open : add('table', '');
      const row = add('tr', '', open);
      cells.forEach((cell) => add(open.rows.length === 1 ? 'th' : 'td', cell, row));
    } else if (line.trim()) { add('p', line); open = null; } else open = null;
  }
}

// -- loading: the model and the runtime with their progress, the picture of the start meanwhile

async function load(names, told) {
  let done = 0;
  const total = names.reduce((sum, name) => sum + page.bytes[name], 0);
  return Promise.all(names.map(async (name) => {
    const answer = await fetch(name);
    if (!answer.ok) throw new Error(name);
    const parts = [];
    for (let reader = answer.body.getReader(), part; !(part = await reader.read()).done;) {
      parts.push(part.value);
      told(done += part.value.length, total);
    }
    return new Blob(parts);
  }));
}

/** Inflates gzip, unless the host has done so already. */
async function inflated(blob) {
  const [a, b] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  return new Response(a === 0x1f && b === 0x8b ? blob.stream().pipeThrough(new DecompressionStream('gzip')) : blob).arrayBuffer();
}

async function start() {
  const mb = (bytes) => (bytes / 1e6).toFixed(1);
  const runtime = import('./runtime.mjs');
  const [model, wasm] = await load(['model.onnx', 'runtime.wasm.gz'], (done, total) => {
    $('.line').textContent = say('loading', { done: mb(done), total: mb(total) });
  });
  const ort = await runtime;
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: await inflated(wasm) });
  const session = await ort.InferenceSession.create(new Uint8Array(await model.arrayBuffer()), { executionProviders: ['wasm'] });
  draw = async (z, { label, sampling }) => {
    const feeds = { latents: new ort.Tensor('float32', z, [1, ...page.latent]) };
    for (const s of page.settings) feeds[s.name] = new ort.Tensor('float32', Float32Array.of(sampling[s.name]), []);
    if (label !== null) feeds.label = new ort.Tensor('int32', Int32Array.of(label), [1]);
    return (await session.run(feeds)).x.data;
  };
}

document.documentElement.lang = lang;
$('.line').classList.add('ours');
complain('');
document.title = page.name;
$('h1').textContent = page.name;
$('.about').textContent = say('about', {
  ...page.about, preset: page.preset, items: page.about.items.toLocaleString(lang), steps: page.about.steps.toLocaleString(lang),
  minutes: Math.max(1, Math.round(page.about.seconds / 60)), licence: page.about.licence || say('unknown'),
});
for (const [selector, key] of Object.entries({
  '.dice': 'dice', '.reset': 'reset', '.save': 'save', '.link': 'link', '.seed-name': 'seed', '.class-name': 'class', '.grid-name': 'grid', '.card summary': 'card',
})) $(selector).textContent = say(key);
$('.grid').setAttribute('aria-label', say('grid'));
$('.classes').hidden = page.classes.length === 0;
$('.chips').replaceChildren(...page.classes.map((name, k) => {
  const chip = Object.assign(document.createElement('button'), { type: 'button', textContent: name });
  chip.addEventListener('click', () => { state.label = k; build(); want(true); });
  return chip;
}));
$('.grid').replaceChildren(...Array.from({ length: GRID }, (_, i) => {
  const cell = Object.assign(document.createElement('button'), { type: 'button', ariaLabel: say('sample', { k: i + 1 }) });
  cell.append(document.createElement('canvas'));
  cell.addEventListener('click', () => { state.index = i; state.sliders.fill(0); build(); want(true); });
  return cell;
}));
$('.dice').addEventListener('click', () => seed(Math.floor(Math.random() * 100000)));
$('.reset').addEventListener('click', () => { const { sliders, sampling } = fresh(); Object.assign(state, { sliders, sampling }); build(); want(true); });
$('.save').addEventListener('click', save);
$('.link').addEventListener('click', async () => {
  const link = new URL(address(), location.href).href;
  try { await navigator.clipboard.writeText(link); } catch { $('.line').textContent = link; return; }  // without https a page has no clipboard
  $('.link').textContent = say('copied');
  setTimeout(() => { $('.link').textContent = say('link'); }, 1500);
});
$('[name=seed]').addEventListener('change', (e) => seed(Math.trunc(within(e.target.value, 0, MOST, 0))));
card(page.card);
build();

if (JSON.stringify(state) === JSON.stringify(fresh())) {  // something to look at while the model loads
  const poster = new Image();
  poster.addEventListener('load', () => { if (!draw) { Object.assign(hero, { width, height }); hero.getContext('2d').drawImage(poster, 0, 0); } });
  poster.src = 'poster.png';
}

try {
  const made = new URLSearchParams(location.search);
  await start();
  want(true);
  if (!page.digest.startsWith(made.get('hash') || '') || !page.ways.startsWith(made.get('ways') || '')) notice = say('other');
  else if (['place', 'numbers', 'latent'].some((name) => made.has(name))) notice = say('more');
} catch { complain(say('unloaded')); }
