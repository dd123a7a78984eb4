// -- the view "From a picture": a sheet of paper to draw on or to drop a photo on, and the search for its latent

const paper = $('canvas.paper'), ink = paper.getContext('2d', { alpha: false });
const PEN = 22;                           // of 280: as thick as MNIST's strokes once scaled
let erasing = false, stroke = null, photo = null, searching = false;

function clean() {
  photo = null;
  ink.fillStyle = '#fff';
  ink.fillRect(0, 0, paper.width, paper.height);
  paper.dataset.drawn = '';
}

const onPaper = (event) => onCanvas(paper, event);

function drawTo(x, y) {
  if (photo) clean();
  Object.assign(ink, { lineWidth: erasing ? 2 * PEN : PEN, lineCap: 'round', lineJoin: 'round', strokeStyle: erasing ? '#fff' : '#111' });
  ink.beginPath();
  ink.moveTo(...stroke);
  ink.lineTo(x, y);
  ink.stroke();
  stroke = [x, y];
  paper.dataset.drawn = 'yes';
}

paper.addEventListener('pointerdown', (event) => { paper.setPointerCapture(event.pointerId); stroke = onPaper(event); drawTo(...stroke); });
paper.addEventListener('pointermove', (event) => { if (stroke) for (const one of event.getCoalescedEvents?.() ?? [event]) drawTo(...onPaper(one)); });
for (const kind of ['pointerup', 'pointercancel']) paper.addEventListener(kind, () => { stroke = null; });

async function take(file) {
  const read = await photoOf(file, 'high');
  if (!read) return;
  photo = read;
  const side = Math.min(photo.width, photo.height);   // the middle square is what is read
  ink.fillStyle = '#fff';
  ink.fillRect(0, 0, paper.width, paper.height);
  ink.drawImage(photo, (photo.width - side) / 2, (photo.height - side) / 2, side, side, 0, 0, paper.width, paper.height);
  paper.dataset.drawn = 'yes';
  search();
}

async function search() {
  if (searching) return;
  if (!paper.dataset.drawn) return complain(say('invert.blank'));
  searching = true;
  complain('');
  const bar = $('.invert-progress'), says = $('.invert-says'), token = session + Math.random().toString(36).slice(2);
  $('.invert-go').disabled = true;
  bar.hidden = false;
  bar.value = 0;
  says.textContent = say('invert.searching');
  const picture = (photo || paper).toDataURL('image/png').split(',')[1], name = about.name;
  const watchIt = setInterval(async () => {
    const seen = await server.invert_progress(token).catch(() => null);
    if (!searching || !seen || seen.error) return;
    bar.value = seen.share;
    if (seen.picture && about.name === name) paint(hero, seen.picture);
  }, 300);
  try {
    const answer = await server.invert({ state: copy(), picture, token, any_class: $('[name=invert-class]').checked });
    if (answer.error) { says.textContent = ''; complain(answer.error); draw(copy()); return; }
    if (about.name !== name) return;
    paint($('.invert-original'), answer.original);
    paint($('.invert-match'), answer.picture);
    $('.invert-pairs').hidden = false;
    says.textContent = say(answer.class === null ? 'invert.found' : 'invert.named', {
      rmse: answer.rmse.toFixed(1), psnr: answer.psnr.toFixed(1), seconds: answer.seconds.toFixed(1), name: answer.class, how: say(answer.encoded ? 'invert.encoder' : 'invert.descent') });
    says.dataset.found = answer.class ?? '';
    $('.invert-notes').textContent = answer.notes.length ? `${say('invert.done')} ${answer.notes.join('; ')}.` : say('invert.untouched');
    await setState(answer.state);
  } catch { says.textContent = ''; complain(say('lost')); } finally {
    clearInterval(watchIt);
    searching = false;
    bar.hidden = true;
    $('.invert-go').disabled = false;
  }
}

for (const [selector, key] of Object.entries({
  '.invert-how': 'invert.how', '.invert-pen': 'invert.pen', '.invert-eraser': 'invert.eraser', '.invert-clear': 'invert.clear', '.invert-file span': 'invert.file', '.invert-check span': 'invert.any', '.invert-go': 'invert.go',
})) $(selector).textContent = say(key);
pad.querySelectorAll('.invert-pairs figcaption').forEach((caption, k) => { caption.textContent = say(k ? 'invert.match' : 'invert.original'); });
paper.setAttribute('aria-label', say('invert.paper'));
for (const [selector, on] of [['.invert-pen', false], ['.invert-eraser', true]]) $(selector).addEventListener('click', () => {
  erasing = on;
  $('.invert-pen').setAttribute('aria-pressed', !on);
  $('.invert-eraser').setAttribute('aria-pressed', on);
});
$('.invert-clear').addEventListener('click', clean);
$('.invert-go').addEventListener('click', search);
$('.invert-file input').addEventListener('change', (event) => { if (event.target.files[0]) take(event.target.files[0]); event.target.value = ''; });
const desk = $('.invert-desk');
desk.addEventListener('dragover', (event) => { event.preventDefault(); event.stopPropagation(); });
desk.addEventListener('drop', (event) => { event.preventDefault(); event.stopPropagation(); if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]); });
clean();
const enterInvert = () => { $('.invert-check').hidden = !about.classes.length; };
panels.push({ id: 'invert', word: 'invert', show: enterInvert, opened: enterInvert, take });
