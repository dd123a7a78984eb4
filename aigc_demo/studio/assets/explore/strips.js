// -- film strips: the whole travel of one amount, asked for before the hand moves, so that a drag plays here without a round trip.
// Between two stops the picture is a mix of theirs. When the hand rests or lets go, the exact picture comes from the server and stays.

const STRIP_BYTES = 8 << 20;  // kept in all; the oldest go first
const REST = 90;              // ms without a move
const DWELL = 60;             // ms that the pointer stays on a slider before its strip is asked for
const strips = new Map();     // what was asked for (see filmed) -> strip, or null while it is on its way
let playing = false;          // the picture comes from a strip: answers for states that the hand has left come too late
let resting = 0;
let nearest = null;           // the axis of the slider that the hand is on

function filmed(axis) {  // all that a strip depends on: the state without the amount that moves
  const [kind, key] = axis.split('.');
  const { session: own, sliders, numbers, sampling, ...rest } = state;
  const without = { sliders, numbers, sampling };
  if (kind === 'sliders') without.sliders = sliders.map((v, k) => (k === Number(key) ? null : v));
  else without[kind] = { ...without[kind], [key]: undefined };
  return JSON.stringify([axis, about.digest, rest, without]);
}

function amount(axis) {  // null: what the seed draws, or the setting's default
  const [kind, key] = axis.split('.');
  return state[kind][key] ?? about.sampling.find((s) => kind === 'sampling' && s.name === key)?.default ?? null;
}

async function ahead(axis) {
  if (about.kind === 'audio' && !presenting) return;  // a strip is silent: each picture comes with its sound
  const key = filmed(axis);
  if (strips.has(key)) return;
  strips.set(key, null);
  let answer = null;
  try { answer = await server.strip({ ...copy(), axis, value: amount(axis) }); } catch { /* the live picture says that the server is gone */ }
  if (!answer || answer.error || answer.superseded) { strips.delete(key); return; }
  answer.bytes = Uint8Array.from(atob(answer.raw), (c) => c.charCodeAt(0));
  delete answer.raw;
  strips.set(key, answer);
  let size = 0;
  for (const [old, strip] of [...strips].reverse()) {
    size += strip ? strip.bytes.length : 0;
    if (size > STRIP_BYTES) strips.delete(old);
  }
  pad.dataset.filmed = JSON.stringify({ axis, bytes: answer.bytes.length });
}

function play(axis, value) {  // whether the strip is there and the picture was painted from it
  const strip = strips.get(filmed(axis));
  if (!strip) return false;
  const { low, high, stops, first, count, width, height, channels, bytes } = strip;
  const at = Math.round(1e4 * (value - low) / (high - low) * (stops - 1)) / 1e4 - first;
  if (!count || at < 0 || at > count - 1) return false;
  const size = width * height * channels, before = Math.floor(at), share = at - before;
  const a = before * size, b = Math.min(before + 1, count - 1) * size;
  const image = new ImageData(width, height), data = image.data;
  for (let i = 0, n = width * height; i < n; i++) {
    data[4 * i + 3] = 255;
    for (let c = 0; c < Math.max(3, channels); c++) {
      const j = channels * i + (channels === 1 ? 0 : c);
      data[4 * i + c] = bytes[a + j] + share * (bytes[b + j] - bytes[a + j]);
    }
  }
  lay(hero, image);
  pad.dataset.played = 1 + Number(pad.dataset.played || 0);
  return true;
}

function slid(axis, value) {  // the hand moves a slider
  clearTimeout(resting);
  playing = play(axis, value);
  if (playing) resting = setTimeout(() => draw(copy()), REST);
  else {
    draw(copy());
    const key = filmed(axis), strip = strips.get(key);
    if (strip?.count && strip.count < strip.stops) strips.delete(key);  // a slow model's part of a strip: another part, from here
    ahead(axis);
  }
  chosen()?.moved?.(copy());
}

function approach(range, axis) {  // the hand comes near a slider
  const come = () => { nearest = axis; ahead(axis); };
  let dwell = 0;
  range.addEventListener('pointerenter', () => { dwell = setTimeout(come, DWELL); });
  range.addEventListener('pointerleave', () => { clearTimeout(dwell); if (document.activeElement !== range) nearest = null; });
  range.addEventListener('pointerdown', come);
  range.addEventListener('focus', come);
  range.addEventListener('blur', () => { nearest = null; });
}
