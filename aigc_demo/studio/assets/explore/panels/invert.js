// -- the view "From a picture", of a model of sounds "From a clip": a sheet of paper to draw on or to drop a photo on, or a clip that is
// dropped or recorded, and the search for its latent

const paper = $('canvas.paper'), ink = paper.getContext('2d', { alpha: false });
const PEN = 22;                           // of 280: as thick as MNIST's strokes once scaled
const RECORD = 2000;                      // ms that are recorded
let erasing = false, stroke = null, photo = null, spoken = null, searching = false;

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

const base64 = (blob) => new Promise((done) => {
  const read = new FileReader();
  read.onloadend = () => done(String(read.result).split(',')[1] || '');
  read.readAsDataURL(blob);
});

function waveFile(samples, rate) {         // a WAV of 16 bits
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const put = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  put(0, 'RIFF'); view.setUint32(4, 36 + 2 * samples.length, true); put(8, 'WAVEfmt ');
  for (const [at, value, bytes] of [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, rate, 4], [28, 2 * rate, 4], [32, 2, 2], [34, 16, 2]]) {
    if (bytes === 4) view.setUint32(at, value, true); else view.setUint16(at, value, true);
  }
  put(36, 'data'); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((v, i) => view.setInt16(44 + 2 * i, Math.round(32767 * Math.max(-1, Math.min(1, v))), true));
  return new Blob([view], { type: 'audio/wav' });
}

async function record() {                  // what a browser records, as a WAV, which is what is read here
  const button = $('.invert-record');
  let stream;
  try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch { return complain(say('invert.deaf')); }
  button.disabled = true;
  button.textContent = say('invert.recording');
  try {
    const parts = [], recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => parts.push(event.data);
    const over = new Promise((done) => { recorder.onstop = done; });
    recorder.start();
    await pause(RECORD / 1000);
    recorder.stop();
    await over;
    ear ??= new AudioContext();
    const sound = await ear.decodeAudioData(await new Blob(parts).arrayBuffer());
    await take(waveFile(sound.getChannelData(0), sound.sampleRate));
  } catch { complain(say('invert.deaf')); } finally {
    for (const track of stream.getTracks()) track.stop();
    button.disabled = false;
    button.textContent = say('invert.record');
  }
}

async function take(file) {
  if (about.kind === 'audio') { spoken = await base64(file); return search(); }
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
  const sounds = about.kind === 'audio';
  if (sounds ? !spoken : !paper.dataset.drawn) return complain(say(sounds ? 'invert.mute' : 'invert.blank'));
  searching = true;
  complain('');
  const bar = $('.invert-progress'), says = $('.invert-says'), token = session + Math.random().toString(36).slice(2);
  $('.invert-go').disabled = true;
  bar.hidden = false;
  bar.value = 0;
  says.textContent = say('invert.searching');
  const picture = sounds ? spoken : (photo || paper).toDataURL('image/png').split(',')[1], name = about.name;
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
    for (const [button, part] of [['.invert-hear-original', answer.original], ['.invert-hear-match', answer.picture]]) {
      $(button).hidden = !part.wave;
      $(button).onclick = () => startSound(bufferOf(part));
    }
    $('.invert-pairs').hidden = false;
    says.textContent = say(answer.class === null ? 'invert.found' : 'invert.named', {
      rmse: answer.rmse.toFixed(1), psnr: answer.psnr.toFixed(1), seconds: answer.seconds.toFixed(1), name: answer.class, how: say(answer.encoded ? 'invert.encoder' : 'invert.descent') });
    says.dataset.found = answer.class ?? '';
    $('.invert-notes').textContent = answer.notes.length ? `${say('invert.done')} ${answer.notes.join('; ')}.` : say(sounds ? 'invert.untouched.sound' : 'invert.untouched');
    await setState(answer.state);
  } catch { says.textContent = ''; complain(say('lost')); } finally {
    clearInterval(watchIt);
    searching = false;
    bar.hidden = true;
    $('.invert-go').disabled = false;
  }
}

for (const [selector, key] of Object.entries({
  '.invert-record': 'invert.record', '.invert-hear-original': 'sound.play', '.invert-hear-match': 'sound.play', '.invert-pen': 'invert.pen', '.invert-eraser': 'invert.eraser', '.invert-clear': 'invert.clear', '.invert-check span': 'invert.any', '.invert-go': 'invert.go',
})) $(selector).textContent = say(key);
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
$('.invert-record').addEventListener('click', record);
function enterInvert() {
  const sounds = about.kind === 'audio';
  $('.invert-check').hidden = !about.classes.length;
  for (const selector of ['.paper', '.invert-pen', '.invert-eraser', '.invert-clear']) $(selector).hidden = sounds;
  $('.invert-record').hidden = !sounds;
  $('.invert-how').textContent = say(sounds ? 'invert.how.sound' : 'invert.how');
  $('.invert-file span').textContent = say(sounds ? 'invert.file.sound' : 'invert.file');
  $('.invert-file input').accept = sounds ? 'audio/*' : 'image/png,image/jpeg,image/webp,image/gif,image/bmp';
  pad.querySelectorAll('.invert-pairs figcaption').forEach((caption, k) => {
    caption.textContent = say(`invert.${k ? 'match' : 'original'}${sounds ? '.sound' : ''}`);
  });
}
function leaveInvert() { spoken = null; $('.invert-pairs').hidden = true; enterInvert(); }
panels.push({ id: 'invert', word: 'invert', show: enterInvert, opened: leaveInvert, take, named: () => (about.kind === 'audio' ? 'invert.sound' : 'invert') });
