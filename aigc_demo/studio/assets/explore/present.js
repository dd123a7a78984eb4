// -- presentation: the picture fills the screen, with three sliders; keyboard and touch; when nobody touches it, it walks by itself

const IDLE = 20;        // seconds without a hand until it walks; never where the visitor asked for less motion
const FAR_WALK = 0.8;   // of a slider's reach
const LEG = 4;          // seconds from one end to the other
const FADE = 0.9;       // seconds from one seed's picture to the next one's
const SETTLED = 300;    // ms after the last key or touch until the neighbours and the address follow
const still = matchMedia('(prefers-reduced-motion: reduce)');
let presenting = false, idle = 0, walk = 0, inert = [];  // walk: the number of the walk under way, 0 for none
let walks = 0;

const three = () => order().slice(0, 3);
const ranges = () => [...$('.present-sliders').querySelectorAll('input')];
const frame = () => new Promise(requestAnimationFrame);
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

function layPresent() {
  $('.present-title').textContent = about.title;
  $('.present-sliders').replaceChildren(...three().map((k, i) => {
    const title = make('span', { className: 'title', textContent: `${i + 1} · ${called(k)}` });
    const box = slider([title], state.sliders[k], -about.reach, about.reach, 0.01, { 'data-present': k, 'aria-label': called(k) },
      (v) => { state.sliders[k] = v; }, `sliders.${k}`);
    box.classList.add('way');
    box.dataset.way = k;
    return box;
  }));
  film();
}

let settling = 0;
function nudge(range, by) {
  range.value = Number(range.value) + by;
  range.dispatchEvent(new Event('input'));
  clearTimeout(settling);
  settling = setTimeout(() => moved(true), SETTLED);
}

// by itself: each slider there and back again, then another seed

const ease = (t) => (1 - Math.cos(Math.PI * t)) / 2;

async function go(mine, box, k, from, to) {
  const began = performance.now(), seconds = LEG * Math.max(0.4, Math.abs(to - from) / about.reach / 2);
  for (let t = 0; t < 1 && walk === mine;) {
    const now = await frame();
    t = Math.min(1, (now - began) / 1000 / seconds);
    if (walk !== mine) return;
    state.sliders[k] = Math.round(100 * (from + (to - from) * ease(t))) / 100;
    box.set(state.sliders[k]);
    playing = play(`sliders.${k}`, from + (to - from) * ease(t));
  }
}

async function fadeToAnother(mine) {
  const before = hero.getContext('2d').getImageData(0, 0, hero.width, hero.height);
  const next = { ...copy(), seed: Math.floor(Math.random() * 100000), index: 0, numbers: {}, place: null };
  const picture = await server.live(next).catch(() => null);
  if (walk !== mine || !picture?.raw) return;
  const after = decode(picture), mixed = new ImageData(after.width, after.height), began = performance.now();
  for (let t = 0; t < 1 && walk === mine;) {
    t = still.matches ? 1 : Math.min(1, (await frame() - began) / 1000 / FADE);
    for (let i = 0; i < mixed.data.length; i++) mixed.data[i] = before.data[i] + t * (after.data[i] - before.data[i]);
    lay(hero, mixed);
  }
  state = next;
  $('[name=seed]').value = state.seed;
  show(picture, next);
}

async function startWalk() {
  const mine = walk = ++walks;
  pad.classList.add('walking');
  $('.present-walk').setAttribute('aria-pressed', true);
  while (walk === mine) {
    for (const k of three()) {
      const box = $(`.present-sliders [data-way="${k}"]`), home = state.sliders[k], axis = `sliders.${k}`;
      await ahead(axis);
      if (walk !== mine) return;
      if (!strips.get(filmed(axis))?.count) { await pause(LEG); continue; }  // a model that takes its time, or no server
      let at = home;
      for (const to of [FAR_WALK * about.reach, -FAR_WALK * about.reach, home]) { await go(mine, box, k, at, to); at = to; }
      if (walk !== mine) return;
      await draw(copy());
    }
    await fadeToAnother(mine);
    await travels(copy());
    await pause(1);
  }
}

function stopWalk() {
  if (!walk) return;
  walk = 0;
  pad.classList.remove('walking');
  $('.present-walk').setAttribute('aria-pressed', false);
  moved(true);
}

function touched() {  // a hand: the walk ends, and waits for its next time
  clearTimeout(idle);
  if (presenting && !still.matches) idle = setTimeout(startWalk, 1000 * IDLE);
}

// in and out

function param(name, value) {
  const all = new URLSearchParams(location.search);
  if (value) all.set(name, value); else all.delete(name);
  history.replaceState(history.state, '', `${location.pathname}${all.size ? `?${all}` : ''}`);
}

function present(full) {
  if (presenting || !about) return;
  presenting = true;
  if (full) pad.requestFullscreen?.().catch(() => {});
  pad.classList.add('presenting');
  $('.present-bar').hidden = false;
  inert = [];
  for (let at = pad; at !== document.body; at = at.parentElement) inert.push(...[...at.parentElement.children].filter((one) => one !== at && !one.inert));
  inert.push($('.controls'));
  inert.forEach((one) => { one.inert = true; });
  layPresent();
  ranges()[0]?.focus({ focusVisible: false });
  param('show', '1');
  touched();
}

function leave() {
  if (!presenting) return;
  stopWalk();
  presenting = false;
  clearTimeout(idle);
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  pad.classList.remove('presenting');
  $('.present-bar').hidden = true;
  inert.forEach((one) => { one.inert = false; });
  param('show', '');
  put({ ...state });
  $('.present').focus();
}

function onKey(event) {
  if (!presenting || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = ranges(), at = Math.max(0, all.indexOf(document.activeElement)), big = event.shiftKey ? 0.5 : 0.1;
  const acts = {
    Escape: leave,
    ' ': () => { stopWalk(); another(); },
    ArrowRight: () => nudge(all[at], big),
    ArrowLeft: () => nudge(all[at], -big),
    ArrowDown: () => all[(at + 1) % all.length].focus(),
    ArrowUp: () => all[(at + all.length - 1) % all.length].focus(),
    w: () => (walk ? stopWalk() : startWalk()),
    1: () => all[0]?.focus(), 2: () => all[1]?.focus(), 3: () => all[2]?.focus(),
  };
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (event.key !== 'w') stopWalk();
  touched();
  if (!act || (event.key === ' ' && document.activeElement.tagName === 'BUTTON')) return;
  event.preventDefault();
  act();
}

let pull = null;  // a finger on the picture: { x, from, range, moved }
hero.addEventListener('pointerdown', (event) => {
  if (!presenting) return;
  const range = ranges().find((one) => one === document.activeElement) || ranges()[0];
  ahead(`sliders.${range.dataset.present}`);
  pull = { x: event.clientX, from: Number(range.value), range, moved: false };
  hero.setPointerCapture(event.pointerId);
});
hero.addEventListener('pointermove', (event) => {
  if (!pull) return;
  const by = (event.clientX - pull.x) / hero.clientWidth;
  pull.moved ||= Math.abs(event.clientX - pull.x) > 8;
  if (pull.moved) nudge(pull.range, pull.from + 2 * about.reach * by - Number(pull.range.value));
});
hero.addEventListener('pointerup', () => {
  if (!pull) return;
  if (!pull.moved) another();
  pull = null;
});
hero.addEventListener('pointercancel', () => { pull = null; });

document.addEventListener('keydown', onKey);
document.addEventListener('fullscreenchange', () => { if (!document.fullscreenElement) leave(); });
for (const kind of ['pointerdown', 'pointermove', 'wheel']) {
  pad.addEventListener(kind, (event) => { if (presenting && !event.target.closest('.present-walk')) { stopWalk(); touched(); } });
}
$('.present').addEventListener('click', () => present(true));
$('.present-leave').addEventListener('click', leave);
$('.present-dice').addEventListener('click', () => another());
$('.present-walk').addEventListener('click', () => (walk ? stopWalk() : startWalk()));
still.addEventListener('change', touched);
