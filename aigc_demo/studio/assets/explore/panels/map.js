// -- the view "Map": tiles of pictures under a point that the picture follows. World coordinates: x to the right, y upwards.

const TILE = 4, CELL = 48, BASE = 0.5;   // pictures on a side of a tile; a picture's pixels on the screen, more or less; their distance at level 0
const LEVELS = { seeds: [-1, 7], sliders: [0, 6], plane: [0, 7], pca: [0, 6], data: [-1, 6] };
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#8c564b', '#999999', '#b15dff'];   // Okabe and Ito's eight, and two more
const map = $('canvas.map');
let kind = 'seeds', axes = [0, 1], corners = [], data = null;
let view = { x: 0, y: 0, px: 0 };        // the middle of the canvas, and pixels a unit
let point = null;                        // where the picture is, in world coordinates
let tiles = new Map(), wanted = [], asking = false, world = '';

const level = () => Math.max(LEVELS[kind][0], Math.min(LEVELS[kind][1], Math.round(Math.log2(view.px * BASE / CELL))));
const step = () => BASE / 2 ** level();
const payload = (more) => ({ state: copy(), kind, axes, corners, ...more });

function meaning() {                     // what the pictures of the map depend on
  const { seed, index, label, sliders, numbers, sampling, place } = state;
  const rest = { seeds: [seed, sliders], sliders: [seed, index, numbers, place, sliders.map((v, k) => (axes.includes(k) ? 0 : v)), axes], plane: corners.map((c) => ({ ...c, session: 0 })), pca: [seed, index], data: 0 };
  return JSON.stringify([about.name, kind, label, sampling, rest[kind]]);
}

const toScreen = (x, y) => [map.clientWidth / 2 + (x - view.x) * view.px, map.clientHeight / 2 - (y - view.y) * view.px];
const toWorld = (left, top) => [view.x + (left - map.clientWidth / 2) / view.px, view.y - (top - map.clientHeight / 2) / view.px];

function start() {
  view = { x: 0, y: 0, px: CELL / BASE };
  if (kind === 'plane') view = { x: 0.5, y: 0.4, px: 2.5 * CELL / BASE };
  if (kind === 'sliders' || kind === 'pca') view.px = Math.min(map.clientWidth, map.clientHeight) / (2 * about.reach + 1);
  if (kind === 'data') view.px = Math.min(map.clientWidth, map.clientHeight) / 8;
  point = kind === 'sliders' ? axes.map((k) => state.sliders[k] || 0) : kind === 'seeds' ? state.place : kind === 'plane' ? [0, 0] : null;
  if (kind === 'seeds' && point) [view.x, view.y] = point;
}

// -- drawing

function render() {
  if (!map.clientWidth || !view.px) return;
  const ratio = devicePixelRatio, { clientWidth: width, clientHeight: height } = map, pen = map.getContext('2d');
  if (map.width !== Math.round(width * ratio)) { map.width = Math.round(width * ratio); map.height = Math.round(height * ratio); }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.fillStyle = '#16181a';
  pen.fillRect(0, 0, width, height);
  const s = step(), side = TILE * s, [west, north] = toWorld(0, 0), [east, south] = toWorld(width, height), missing = [];
  for (let j = Math.floor((south + s / 2) / side); j <= Math.floor((north + s / 2) / side); j++) {
    for (let i = Math.floor((west + s / 2) / side); i <= Math.floor((east + s / 2) / side); i++) {
      const found = tiles.get(`${level()} ${i} ${j}`), [left, top] = toScreen(i * side - s / 2, (j + 1) * side - s / 2);
      if (found) pen.drawImage(found, left, top, side * view.px + 0.5, side * view.px + 0.5);
      else missing.push({ i, j, step: s, level: level(), far: Math.hypot(left + side * view.px / 2 - width / 2, top + side * view.px / 2 - height / 2) });
    }
  }
  wanted = missing.sort((a, b) => a.far - b.far);
  if (kind === 'data' && data?.places) {
    data.places.forEach(([x, y], k) => {
      const [left, top] = toScreen(x, y);
      pen.fillStyle = data.labels.length ? COLOURS[data.labels[k] % COLOURS.length] : COLOURS[0];
      pen.beginPath(); pen.arc(left, top, 3.5, 0, 7); pen.fill();
      pen.strokeStyle = '#16181a'; pen.lineWidth = 1; pen.stroke();
    });
  }
  if (kind === 'plane') [[0, 0, 'A'], [1, 0, 'B'], [0, 1, 'C']].forEach(([x, y, name]) => {
    const [left, top] = toScreen(x, y);
    pen.font = '600 13px system-ui, sans-serif'; pen.textAlign = 'center'; pen.lineWidth = 3; pen.strokeStyle = '#16181a'; pen.fillStyle = '#fff';
    pen.strokeText(name, left, top + 34); pen.fillText(name, left, top + 34);
  });
  if (point) {
    const [left, top] = toScreen(...point);
    for (const [colour, line] of [['#16181a', 7], ['#fff', 4], ['#0d8f83', 2]]) { pen.strokeStyle = colour; pen.lineWidth = line; pen.beginPath(); pen.arc(left, top, 13, 0, 7); pen.stroke(); }
  }
  map.dataset.missing = wanted.length;
  fetchTiles();
}

async function fetchTiles() {
  if (asking) return;
  asking = true;
  try {
    while (wanted.length && chosen().id === 'map') {
      const { i, j, step, level } = wanted.shift(), of = world;
      const answer = await server.map_tile(payload({ i, j, step }));
      if (answer.error) { complain(answer.error); wanted = []; break; }
      if (of !== world) continue;
      const canvas = make('canvas');
      paint(canvas, answer);
      tiles.set(`${level} ${i} ${j}`, canvas);
      if (tiles.size > 300) tiles.delete(tiles.keys().next().value);
      requestAnimationFrame(render);
    }
  } catch { complain(say('lost')); } finally { asking = false; }
}

function refresh() {
  if (world !== meaning()) { world = meaning(); tiles = new Map(); }
  requestAnimationFrame(render);
}

// -- the point

const follow = channel((p) => server.map_place(p), (answer, p) => {
  if (p.state.checkpoint !== about.name || p.kind !== kind) return;
  complain('');
  Object.assign(state, answer.state);
  show(answer.picture, copy());
  if (p.settled) put(copy());
});

function place(x, y, settled) {
  point = [x, y];
  playing = true;                        // answers for places that the hand has left come too late
  $('.map-says').textContent = say('map.at', { x: x.toFixed(2), y: y.toFixed(2) });
  requestAnimationFrame(render);
  follow(payload({ x, y, settled }));
}

function zoom(factor, left = map.clientWidth / 2, top = map.clientHeight / 2) {
  const [x, y] = toWorld(left, top), [low, high] = LEVELS[kind].map((l) => CELL / BASE * 2 ** l);
  view.px = Math.max(low, Math.min(high, view.px * factor));
  const [nowX, nowY] = toWorld(left, top);
  view.x += x - nowX; view.y += y - nowY;
  requestAnimationFrame(render);
}

const fingers = new Map();
let grip = null;                         // what the first finger holds: the point, or the paper
const local = (event) => { const box = map.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };

map.addEventListener('pointerdown', (event) => {
  const at = local(event);
  map.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, at);
  const near = point && Math.hypot(toScreen(...point)[0] - at[0], toScreen(...point)[1] - at[1]) < 24;
  grip = fingers.size > 1 ? null : { what: near ? 'point' : 'paper', from: at, went: 0 };
});
map.addEventListener('pointermove', (event) => {
  const at = local(event), before = fingers.get(event.pointerId);
  if (!before) return;
  if (fingers.size === 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1], apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
    zoom(apart(at) / Math.max(1, apart(before)), (at[0] + other[0]) / 2, (at[1] + other[1]) / 2);
  } else if (grip && grip.what === 'point') place(...toWorld(...at), false);
  else if (grip) {
    grip.went += Math.hypot(at[0] - before[0], at[1] - before[1]);
    if (grip.went > 4) { view.x -= (at[0] - before[0]) / view.px; view.y += (at[1] - before[1]) / view.px; requestAnimationFrame(render); }
  }
  fingers.set(event.pointerId, at);
});
const lift = (event) => {
  const at = fingers.get(event.pointerId);
  fingers.delete(event.pointerId);
  if (!at || !grip || event.type !== 'pointerup') return;
  if (grip.what === 'point' || grip.went <= 4) place(...toWorld(...at), true);
  grip = null;
};
map.addEventListener('pointerup', lift);
map.addEventListener('pointercancel', lift);
map.addEventListener('wheel', (event) => { event.preventDefault(); zoom(2 ** (-event.deltaY / 400), ...local(event)); }, { passive: false });
map.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const nearer = { '+': 2, '=': 2, '-': 0.5 }[event.key];
  if (!way && !nearer) return;
  event.preventDefault();
  if (nearer) return zoom(nearer);
  const from = point || [view.x, view.y], far = step() * (event.shiftKey ? 1 : 0.25);
  place(from[0] + way[0] * far, from[1] + way[1] * far, true);
});

// -- what is mapped

function layCorners() {
  $('.map-corners').hidden = kind !== 'plane';
  if (kind !== 'plane') return;
  if (!corners.length || corners[0].checkpoint !== about.name) corners = [0, 1, 2].map((k) => ({ ...copy(), ...(k ? { seed: state.seed + k, numbers: {}, place: null, sliders: [] } : {}) }));
  $('.map-corners').replaceChildren(...corners.map((corner, k) => {
    const canvas = make('canvas'), name = 'ABC'[k];
    const button = make('button', { type: 'button', title: say('map.take', { name }) }, canvas, make('span', { textContent: name }));
    button.setAttribute('aria-label', say('map.take', { name }));
    button.addEventListener('click', () => { corners[k] = copy(); layCorners(); refresh(); });
    server.live({ ...corner, session: null }).then((picture) => { if (!picture.error) paint(canvas, picture); }).catch(() => {});
    return button;
  }));
}

function legend() {
  const shown = kind === 'data' && data?.labels?.length;
  $('.map-legend').hidden = !shown;
  if (shown) $('.map-legend').replaceChildren(...data.classes.map((name, k) => {
    const dot = make('i'), entry = make('span', {}, dot, name);
    dot.style.background = COLOURS[k % COLOURS.length];
    return entry;
  }));
}

function chooseKind() {
  pad.querySelectorAll('.map-axis').forEach((one) => { one.hidden = kind !== 'sliders'; });
  layCorners();
  legend();
  start();
  const facts = { kept: Math.round(100 * (data?.kept || 0)), title: data?.title || '' };
  $('.map-says').textContent = say(`map.${kind}.says`, facts) + (kind === 'data' && data?.told ? ` ${say('map.told')}` : '');
  refresh();
}

async function readMap() {
  const names = about.effects.map((_, k) => called(k));
  for (const [name, k] of [['map-x', 0], ['map-y', 1]]) $(`[name=${name}]`).replaceChildren(...names.map((text, at) => make('option', { value: at, textContent: text, selected: at === axes[k] })));
  const answer = await server.map_data(about.name);
  data = answer.error ? { why: answer.error } : answer;
  $('[name=map] [value=data]').disabled = Boolean(data.why);
  $('[name=map] [value=data]').textContent = data.why ? `${say('map.data')} (${data.why})` : say('map.data');
  for (const one of ['sliders', 'pca']) $(`[name=map] [value=${one}]`).disabled = names.length < 2;
  if (kind === 'data' && data.why) { kind = 'seeds'; $('[name=map]').value = kind; }
  chooseKind();
}

for (const [selector, key] of Object.entries({ '.map-name': 'map.kind', '.map-across': 'map.across', '.map-up': 'map.up' })) $(selector).textContent = say(key);
$('[name=map]').replaceChildren(...Object.keys(LEVELS).map((value) => make('option', { value, textContent: say(`map.${value}`) })));
map.setAttribute('aria-label', say('map.how'));
map.title = say('map.how');
$('.map-corners').setAttribute('aria-label', say('map.plane'));
$('.map-in').setAttribute('aria-label', say('map.in'));
$('.map-out').setAttribute('aria-label', say('map.out'));
$('.map-in').addEventListener('click', () => zoom(2));
$('.map-out').addEventListener('click', () => zoom(0.5));
$('[name=map]').addEventListener('change', (event) => { kind = event.target.value; chooseKind(); });
for (const [name, k] of [['map-x', 0], ['map-y', 1]]) $(`[name=${name}]`).addEventListener('change', (event) => {
  const other = axes[1 - k];
  axes[k] = Number(event.target.value);
  if (axes[0] === axes[1]) { axes[1 - k] = [0, 1].find((v) => v !== axes[k]) ?? other; $(`[name=${k ? 'map-x' : 'map-y'}]`).value = axes[1 - k]; }
  chooseKind();
});
new ResizeObserver(() => requestAnimationFrame(render)).observe(map);

let mapped = '';
function entered() {
  if (mapped !== about.name) { mapped = about.name; axes = [0, 1]; corners = []; data = null; readMap(); } else { if (kind === 'sliders') start(); refresh(); }
}
panels.push({ id: 'map', word: 'map', show: entered, opened: entered, settled: () => { if (mapped === about.name) refresh(); } });
