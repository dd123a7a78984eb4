// -- what is heard: the wave of the sample that is shown, drawn under its spectrogram, and a player that goes on while sliders move

let ear = null;        // the audio context, made at the first press: browsers keep a page silent until then
let clip = null;       // the sample's AudioBuffer
let sounding = null;   // the source that plays: { source, gain, began }
let listening = false; // the visitor has pressed play once: from then on what changes is heard
const FADE_OUT = 0.015; // seconds

function bufferOf({ wave, rate }) {
  const bytes = Uint8Array.from(atob(wave), (c) => c.charCodeAt(0)), samples = new Int16Array(bytes.buffer);
  const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate, numberOfChannels: 1 });
  buffer.copyToChannel(Float32Array.from(samples, (v) => v / 32768), 0);
  return buffer;
}

function drawWave(canvas, buffer) {  // the least and the most of each column
  const samples = buffer.getChannelData(0), { width, height } = canvas, pen = canvas.getContext('2d');
  const step = samples.length / width, middle = height / 2;
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  for (let x = 0; x < width; x++) {
    let low = 0, high = 0;
    for (let i = Math.floor(x * step); i < Math.floor((x + 1) * step); i++) { low = Math.min(low, samples[i]); high = Math.max(high, samples[i]); }
    pen.fillRect(x, middle - high * middle, 1, Math.max(1, (high - low) * middle));
  }
}

function stopSound() {
  if (!sounding) return;
  const { source, gain } = sounding;
  sounding = null;
  source.onended = null;
  gain.gain.setTargetAtTime(0, ear.currentTime, FADE_OUT / 3);
  source.stop(ear.currentTime + FADE_OUT);
  tellPlayer();
}

function startSound(buffer, from = 0, loop = false) {
  stopSound();
  ear ??= new AudioContext();
  ear.resume();
  const source = ear.createBufferSource(), gain = ear.createGain();
  Object.assign(source, { buffer, loop });
  source.connect(gain).connect(ear.destination);
  source.onended = () => { sounding = null; tellPlayer(); };
  source.start(0, from);
  sounding = { source, gain, began: ear.currentTime - from };
  tellPlayer();
  requestAnimationFrame(needle);
}

const loops = () => $('[name=sound-loop]').checked;
const where = () => (ear.currentTime - sounding.began) % sounding.source.buffer.duration;

function needle() {  // where in the clip the player is
  const line = $('.needle');
  line.hidden = !sounding;
  if (!sounding) return;
  line.style.left = `${100 * where() / sounding.source.buffer.duration}%`;
  requestAnimationFrame(needle);
}

function tellPlayer() {
  $('.sound-play').textContent = say(sounding ? 'sound.stop' : 'sound.play');
  $('.sound-play').setAttribute('aria-pressed', Boolean(sounding));
}

function hear(picture) {  // what comes with a sample; a picture is silent
  $('.player').hidden = !picture.wave;
  if (!picture.wave) { clip = null; stopSound(); return; }
  clip = bufferOf(picture);
  drawWave($('.waveform'), clip);
  pad.dataset.heard = 1 + Number(pad.dataset.heard || 0);
  if (sounding) startSound(clip, Math.min(where(), clip.duration - 0.01), loops());  // in the same place of the new sound
  else if (listening) startSound(clip, 0, loops());
}

$('.sound-play').addEventListener('click', () => {
  listening = !sounding;
  if (sounding) stopSound(); else if (clip) startSound(clip, 0, loops());
});
$('[name=sound-loop]').addEventListener('change', () => { if (sounding) sounding.source.loop = loops(); });
