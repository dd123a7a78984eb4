// One latent at the mark in view: the sliders move it, the slider of time leaves it where it is. One request is under way at a time.
const box = element.querySelector('.moment'), $ = (selector) => box.querySelector(selector);
const session = Math.random().toString(36).slice(2) + Date.now().toString(36);
let seed = 7, busy = false, wanted = null;

function paint({ raw, width, height, channels }) {
  const bytes = Uint8Array.from(atob(raw), (c) => c.charCodeAt(0)), image = new ImageData(width, height), canvas = $('canvas');
  for (let i = 0, n = width * height; i < n; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = bytes[channels * i + (channels === 1 ? 0 : c)];
    image.data[4 * i + 3] = channels === 4 ? bytes[4 * i + 3] : 255;
  }
  Object.assign(canvas, { width, height });
  canvas.classList.toggle('clear', channels === 4);
  canvas.getContext('2d').putImageData(image, 0, 0);
}

function show(answer, asked) {
  if (asked.run !== (props.value || {}).run) return;
  box.hidden = Boolean(answer.error);
  if (answer.error || answer.superseded) return;
  paint(answer.picture);
  const select = $('select'), at = say('at', { step: answer.step.toLocaleString(lang === 'en' ? 'en' : 'zh') });
  if (select.length !== answer.classes.length) {
    select.replaceChildren(...answer.classes.map((name, k) => Object.assign(document.createElement('option'), { textContent: name, value: k })));
  }
  select.hidden = answer.classes.length === 0;
  $('.at').textContent = at;
  $('canvas').setAttribute('aria-label', `${say('picture', { seed: asked.seed })}, ${at}`);
  box.dataset.drawn = JSON.stringify({ ...asked, step: answer.step, label: select.length ? Number(select.value) : null });
}

async function draw() {
  const { run, step } = props.value || {};
  if (!run) { box.hidden = true; return; }
  const label = $('select').length ? Number($('select').value) : null;
  wanted = { run, step, seed, label, x: Number($('[name=x]').value), y: Number($('[name=y]').value), session };
  if (busy) return;
  busy = true;
  try {
    while (wanted) {
      const asked = wanted;
      wanted = null;
      try { show(await server.moment(asked), asked); } catch { /* the status line says that the server does not answer */ }
    }
  } finally { busy = false; }
}

$('button').textContent = say('dice');
$('[name=x]').previousElementSibling.textContent = say('x');
$('[name=y]').previousElementSibling.textContent = say('y');
$('select').setAttribute('aria-label', say('class'));
$('button').addEventListener('click', () => { seed = Math.floor(Math.random() * 100000); draw(); });
for (const one of box.querySelectorAll('input, select')) one.addEventListener('input', draw);
draw();
watch('value', draw);
