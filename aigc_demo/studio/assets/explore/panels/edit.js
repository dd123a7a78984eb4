// -- the view "Redraw": a picture, a mask that is painted on it, and what the model makes of it

const paper = $('.edit-paper'), ink = paper.getContext('2d', { alpha: false });
const BRUSH = 44;                           // of 280
const mask = make('canvas', { width: paper.width, height: paper.height }), where = mask.getContext('2d');
let source = null, masked = false, stroke = null, busy = false, made = null;

function veil() {                           // the picture, with the mask over it as a veil of the accent
  ink.imageSmoothingEnabled = false;
  const side = Math.min(source.width, source.height);   // the middle square is what is read
  ink.drawImage(source, (source.width - side) / 2, (source.height - side) / 2, side, side, 0, 0, paper.width, paper.height);
  const over = make('canvas', { width: paper.width, height: paper.height }), pen = over.getContext('2d');
  pen.fillStyle = getComputedStyle(pad).getPropertyValue('--color-accent') || '#2a7';
  pen.fillRect(0, 0, over.width, over.height);
  pen.globalCompositeOperation = 'destination-in';
  pen.drawImage(mask, 0, 0);
  ink.globalAlpha = 0.6;
  ink.drawImage(over, 0, 0);
  ink.globalAlpha = 1;
  paper.dataset.masked = masked;
}

function unmask() { where.clearRect(0, 0, mask.width, mask.height); masked = false; if (source) veil(); }

function takeHere() {                       // the picture on the left, as it is now
  source = make('canvas', { width: hero.width, height: hero.height });
  source.getContext('2d', { alpha: false }).drawImage(hero, 0, 0);
  unmask();
}

async function take(file) {
  const read = await photoOf(file);
  if (!read) return;
  source = read;
  unmask();
}

const onPaper = (event) => onCanvas(paper, event);

function paintTo(x, y) {
  Object.assign(where, { lineWidth: BRUSH, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  where.beginPath();
  where.moveTo(...stroke);
  where.lineTo(x, y);
  where.stroke();
  stroke = [x, y];
  masked = true;
  veil();
}

paper.addEventListener('pointerdown', (event) => { if (!source) return; paper.setPointerCapture(event.pointerId); stroke = onPaper(event); paintTo(...stroke); });
paper.addEventListener('pointermove', (event) => { if (stroke) for (const one of event.getCoalescedEvents?.() ?? [event]) paintTo(...onPaper(one)); });
for (const kind of ['pointerup', 'pointercancel']) paper.addEventListener(kind, () => { stroke = null; });

function asMask() {                         // white where it is to be redrawn
  const flat = make('canvas', { width: mask.width, height: mask.height }), pen = flat.getContext('2d', { alpha: false });
  pen.drawImage(mask, 0, 0);
  return flat.toDataURL('image/png').split(',')[1];
}

async function redraw() {
  if (busy || !source) return;
  busy = true;
  complain('');
  $('.edit-go').disabled = true;
  const says = $('.edit-says'), name = about.name;
  says.textContent = say('edit.busy');
  try {
    const answer = await server.edit({
      state: copy(), picture: source.toDataURL('image/png').split(',')[1], mask: masked ? asMask() : null, strength: Number($('[name=edit-strength]').value) });
    says.textContent = '';
    if (answer.error) return complain(answer.error);
    if (about.name !== name) return;
    made = answer;
    paint($('.edit-made canvas'), answer.picture);
    $('.edit-made').hidden = false;
    says.textContent = say(masked ? 'edit.filled' : 'edit.done', { share: (100 * answer.changed).toFixed(0), psnr: answer.psnr.toFixed(1) }) + (answer.notes.length ? ` ${say('invert.done')} ${answer.notes.join('; ')}.` : '');
    says.dataset.changed = answer.changed;
  } catch { says.textContent = ''; complain(say('lost')); } finally {
    busy = false;
    $('.edit-go').disabled = false;
  }
}

const strength = $('[name=edit-strength]');
const tell = () => {
  strength.parentNode.querySelector('output').textContent = Number(strength.value).toFixed(2);
  strength.style.setProperty('--from', '0%');
  strength.style.setProperty('--to', `${100 * (strength.value - strength.min) / (strength.max - strength.min)}%`);
};
strength.addEventListener('input', tell);
tell();
paper.setAttribute('aria-label', say('edit.paper'));
$('.edit-made canvas').setAttribute('aria-label', say('edit.made'));
$('.edit-made canvas').setAttribute('role', 'img');
$('.edit-here').addEventListener('click', takeHere);
$('.edit-clear').addEventListener('click', unmask);
$('.edit-go').addEventListener('click', redraw);
$('.edit-save').addEventListener('click', () => make('a', { href: `data:image/png;base64,${made.png}`, download: made.name }).click());
$('.edit-file input').addEventListener('change', (event) => { if (event.target.files[0]) take(event.target.files[0]); event.target.value = ''; });
const enter = () => { if (!source) takeHere(); };
const forget = () => { source = null; $('.edit-made').hidden = true; $('.edit-says').textContent = ''; };
panels.push({ id: 'edit', word: 'edit', fits: () => about.edits, show: enter, hide: forget, opened: () => { forget(); enter(); }, take });
