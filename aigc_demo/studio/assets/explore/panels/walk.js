// -- the view "Walk": keys are states; a walk's frames come in one batch and are played at the screen's own speed

let keys = [], frames = [], heard = null, playing = 0, of = '', begun = 0;
const walkSays = (sentence) => { $('.walk-says').textContent = sentence; };
const asked = () => {
  if (about.kind === 'audio') {  // one clip after another
    const count = Math.max(2, Math.min(32, Math.round(Number($('[name=walk-seconds]').value)) || 8));
    return { keys: keys.map((key) => key.state), way: $('[name=walk-way]').value, loop: $('[name=walk-loop]').checked, fps: 1, frames: count };
  }
  const fps = Number($('[name=walk-fps]').value), seconds = Math.max(0.5, Math.min(10, Number($('[name=walk-seconds]').value) || 2));
  return { keys: keys.map((key) => key.state), way: $('[name=walk-way]').value, loop: $('[name=walk-loop]').checked, fps, frames: Math.round(seconds * fps) };
};

async function picture(canvas, key) {
  try {
    const drawn = await server.live({ ...key, session: null });
    if (drawn.error) complain(drawn.error); else paint(canvas, drawn);
  } catch { complain(say('lost')); }
}

function keyOf(state) {
  const canvas = make('canvas');
  picture(canvas, state);
  return { state, canvas };
}

function layKeys() {
  halt();
  $('.walk-keys').replaceChildren(...keys.map((key, k) => {
    const button = (className, text, word, act, off) => {
      const made = make('button', { type: 'button', className, textContent: text, title: say(word), disabled: off });
      made.setAttribute('aria-label', `${say(word)}: ${k + 1}`);
      made.addEventListener('click', act);
      return made;
    };
    const go = button('walk-go', '', 'walk.go', () => setState(key.state));
    go.append(key.canvas);
    const move = (by) => () => { keys.splice(k + by, 0, ...keys.splice(k, 1)); layKeys(); };
    const box = make('div', { className: 'walk-key' }, go, make('div', { className: 'walk-tools' },
      button('', '‹', 'walk.earlier', move(-1), k === 0), button('', '×', 'walk.drop', () => { keys.splice(k, 1); layKeys(); }), button('', '›', 'walk.later', move(1), k === keys.length - 1)));
    box.setAttribute('role', 'listitem');
    return box;
  }));
  walkSays(say(keys.length < 2 ? 'walk.none' : 'walk.some', { n: keys.length }));
  for (const selector of ['.walk-play', '.walk-save']) $(selector).disabled = keys.length < 2;
  $('.walk-sum').hidden = keys.length < 3;
  $('.walk-mix').hidden = about.levels < 2 || keys.length < 2;
  $('.walk-terms').replaceChildren(...keys.slice(0, 3).flatMap((key, k) => {
    const canvas = make('canvas');
    canvas.width = key.canvas.width; canvas.height = key.canvas.height;
    picture(canvas, key.state);
    return [make('span', { textContent: ['', '−', '+'][k] }), canvas];
  }), make('span', { textContent: '=' }), make('canvas', { className: 'walk-result' }));
}

// -- playing

function halt() {
  if (playing && about.kind === 'audio') stopSound();
  cancelAnimationFrame(playing);
  playing = 0;
  $('.walk-play').textContent = say('walk.play');
}

function tick(now) {
  if (!begun) begun = now;
  const rate = about.kind === 'audio' ? frames.length / heard.duration : Number($('[name=walk-fps]').value);
  const at = Math.floor((now - begun) / 1000 * rate) % frames.length;
  if (String(at) !== pad.dataset.frame) { lay(hero, frames[at]); pad.dataset.frame = at; }
  playing = requestAnimationFrame(tick);
}

async function play() {
  if (playing) {
    halt();
    const answer = await server.walk_at({ ...asked(), at: Number(pad.dataset.frame) });
    if (answer.error) return complain(answer.error);
    return setState(answer.state);
  }
  const now = JSON.stringify(asked());
  if (now !== of) {
    walkSays(say('walk.drawing'));
    const answer = await server.walk_frames(asked());
    if (answer.error) { walkSays(''); return complain(answer.error); }
    frames = answer.items.map(decode);
    heard = answer.wave ? bufferOf(answer) : null;
    of = now;
  }
  complain('');
  walkSays(heard ? say('walk.sounding', { n: frames.length, s: heard.duration.toFixed(1) }) : say('walk.playing', { n: frames.length, fps: asked().fps }));
  if (heard) startSound(heard, 0, true);
  begun = 0;
  $('.walk-play').textContent = say('walk.stop');
  playing = requestAnimationFrame(tick);
}

async function save() {
  $('.walk-save').disabled = true;
  walkSays(say('walk.writing'));
  try {
    const answer = await server.walk_film({ ...asked(), kind: $('[name=walk-kind]').value });
    walkSays(answer.error ? '' : say('walk.written', { name: answer.name, kb: Math.round(answer.film.length * 0.75 / 1024).toLocaleString() }));
    if (answer.error) return complain(answer.error);
    const type = { mp4: 'video/mp4', gif: 'image/gif', webp: 'image/webp', wav: 'audio/wav' }[$('[name=walk-kind]').value];
    make('a', { href: `data:${type};base64,${answer.film}`, download: answer.name }).click();
  } catch { complain(say('lost')); } finally { $('.walk-save').disabled = keys.length < 2; }
}

// -- words and events

for (const [selector, key] of Object.entries({
  '.walk-add': 'walk.add', '.walk-random': 'walk.random', '.walk-clear': 'walk.clear', '.walk-way-name': 'walk.way', '.walk-fps-name': 'walk.fps',
  '.walk-check span': 'walk.loop', '.walk-play': 'walk.play', '.walk-save': 'walk.save', '.walk-along-name': 'walk.along', '.walk-along': 'walk.ends', '.walk-add-up': 'walk.sum',
  '.walk-level-name': 'walk.level', '.walk-mixed': 'walk.mix',
})) $(selector).textContent = say(key);
$('.walk-keys').setAttribute('aria-label', say('walk.keys'));
$('.walk-terms').setAttribute('aria-label', say('walk.sum'));
$('[name=walk-kind]').setAttribute('aria-label', say('walk.kind'));
const options = (name, values, chosen) => $(`[name=${name}]`).replaceChildren(...values.map(([value, text]) => make('option', { value, textContent: text, selected: value === chosen })));
options('walk-way', [['arc', say('walk.arc')], ['line', say('walk.line')]]);
options('walk-fps', [[15, '15'], [30, '30'], [60, '60']], 30);
$('.walk-add').addEventListener('click', () => { keys.push(keyOf(copy())); layKeys(); });
$('.walk-random').addEventListener('click', () => { keys.push(keyOf({ ...copy(), seed: Math.floor(Math.random() * 100000), numbers: {}, place: null })); layKeys(); });
$('.walk-clear').addEventListener('click', () => { keys = []; layKeys(); });
$('.walk-play').addEventListener('click', () => play().catch(() => complain(say('lost'))));
$('.walk-save').addEventListener('click', save);
$('.walk-along').addEventListener('click', async () => {
  const answer = await server.walk_along({ state: copy(), slider: Number($('[name=walk-slider]').value) });
  if (answer.error) return complain(answer.error);
  keys = answer.keys.map((key) => keyOf(key));
  $('[name=walk-way]').value = 'line';
  $('[name=walk-loop]').checked = true;
  layKeys();
});
$('.walk-add-up').addEventListener('click', async () => {
  const answer = await server.walk_sum({ keys: keys.slice(0, 3).map((key) => key.state) });
  if (answer.error) return complain(answer.error);
  paint($('.walk-result'), answer.picture);
  setState(answer.state);
});
$('.walk-mixed').addEventListener('click', async () => {
  const answer = await server.walk_mix({ keys: keys.slice(0, 2).map((key) => key.state), level: Number($('[name=walk-level]').value) });
  if (answer.error) return complain(answer.error);
  setState(answer.state);
});
for (const name of ['walk-way', 'walk-seconds', 'walk-fps', 'walk-loop']) $(`[name=${name}]`).addEventListener('change', halt);

let walked = '';
function enterWalk() {
  if (walked === about.name) return;
  walked = about.name;
  keys = [];
  const films = [['mp4', 'MP4'], ['webp', 'WebP'], ['gif', 'GIF']], sounds = about.kind === 'audio';
  options('walk-kind', sounds ? [['wav', 'WAV'], ...films] : films, sounds ? 'wav' : 'webp');
  $('.walk-seconds-name').textContent = say(sounds ? 'walk.clips' : 'walk.seconds');
  Object.assign($('[name=walk-seconds]'), sounds ? { min: 2, max: 32, step: 1, value: 8 } : { min: 0.5, max: 10, step: 0.5, value: 2 });
  $('[name=walk-fps]').closest('label').hidden = sounds;
  options('walk-level', Array.from({ length: Math.max(0, about.levels - 1) }, (_, k) => [k + 1, say('walk.layers', { n: k + 1, of: about.levels })]));
  options('walk-slider', about.effects.map((_, k) => [k, called(k)]));
  layKeys();
}
panels.push({ id: 'walk', word: 'walk', show: enterWalk, opened: enterWalk, hide: halt });
