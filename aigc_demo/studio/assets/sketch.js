// Points drawn by hand: a spray under the pointer, or under a cross that the arrow keys move and the space bar sprays at.
const box = element.querySelector('.sketch'), canvas = box.querySelector('canvas'), pen = canvas.getContext('2d');
const SPRAY = 6, WIDTH = 0.12, STEP = 0.25; // points at a time, their deviation, and the way of an arrow key: of a square from -reach to reach
const side = canvas.width, count = box.querySelector('.count'), use = box.querySelector('.use');
let points = [], at = [0, 0], down = false;

const place = (v, up) => (side / 2) * (1 + (up ? -v : v) / reach);
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());

function show() {
  pen.fillStyle = '#16181a';
  pen.fillRect(0, 0, side, side);
  pen.fillStyle = '#6eb4ff';
  for (const [x, y] of points) pen.fillRect(place(x) - 1, place(y, true) - 1, 2, 2);
  if (document.activeElement === canvas) {
    pen.strokeStyle = '#ecece6';
    pen.beginPath();
    for (const [dx, dy] of [[6, 0], [0, 6]]) { pen.moveTo(place(at[0]) - dx, place(at[1], true) - dy); pen.lineTo(place(at[0]) + dx, place(at[1], true) + dy); }
    pen.stroke();
  }
  count.textContent = say('count', { n: points.length.toLocaleString(lang === 'en' ? 'en' : 'zh') });
  use.disabled = points.length < 20;
}

function spray() {
  for (let k = 0; k < SPRAY && points.length < most; k++) {
    const [x, y] = at.map((v) => Math.max(-reach, Math.min(reach, v + WIDTH * normal())));
    points.push([Number(x.toFixed(3)), Number(y.toFixed(3))]);
  }
  show();
}

function move(event) {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  at = [((event.clientX - left) / width) * 2 - 1, 1 - ((event.clientY - top) / height) * 2].map((v) => reach * v);
  if (down) spray();
}

canvas.addEventListener('pointerdown', (event) => { down = true; canvas.setPointerCapture(event.pointerId); move(event); });
canvas.addEventListener('pointermove', move);
for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { down = false; });
canvas.addEventListener('keydown', (event) => {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], ' ': [0, 0] }[event.key];
  if (!way) return;
  event.preventDefault();
  at = at.map((v, k) => Math.max(-reach, Math.min(reach, v + STEP * way[k])));
  if (event.key === ' ') spray(); else show();
});
for (const turn of ['focus', 'blur']) canvas.addEventListener(turn, show);
box.querySelector('.clear').addEventListener('click', () => { points = []; show(); });
use.addEventListener('click', async () => {
  const answer = await server.sketch(points);
  if (answer.error) { count.textContent = answer.error; return; }
  props.value = answer;
  trigger('release');
});

box.querySelector('p').textContent = say('about');
canvas.setAttribute('aria-label', say('canvas'));
box.querySelector('.clear').textContent = say('clear');
use.textContent = say('use');
show();
