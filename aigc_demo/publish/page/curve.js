// The curve that sliders follow where a checkpoint has one, as latent/curve.py has it: a bijection u = f(c) of the latent's coordinates.

const numbers = (text) => new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const silu = (x) => x.map((v) => v / (1 + Math.exp(-v)));

/** W x + b, W row by row. */
const dense = (weights, bias, x) => Float64Array.from(bias, (b, row) => {
  let sum = b;
  for (let i = 0, at = row * x.length; i < x.length; i++) sum += weights[at + i] * x[i];
  return sum;
});

/** x^T W, W row by row. */
function across(x, weights, columns) {
  const out = new Float64Array(columns);
  x.forEach((v, row) => { for (let i = 0; i < columns; i++) out[i] += v * weights[row * columns + i]; });
  return out;
}

/** A function (z, move) -> z moved by `move` in the curve's coordinates. */
export function bent({ size, bound, parts, axes }) {
  const [turn, ...rest] = parts.map(numbers), along = axes && numbers(axes), digits = 32 - Math.clz32(size - 1);
  const places = [...Array(size).keys()];
  const couplings = [...Array(rest.length / 6).keys()].map((i) => {
    const one = (k) => ((k >> (Math.floor(i / 2) % digits)) & 1) === i % 2;
    const kept = places.filter(one), changed = places.filter((k) => !one(k)), [a, aBias, b, bBias, c, cBias] = rest.slice(6 * i, 6 * i + 6);
    return (x, change) => {
      const read = dense(c, cBias, silu(dense(b, bBias, silu(dense(a, aBias, kept.map((k) => x[k]))))));
      changed.forEach((k, j) => { x[k] = change(x[k], Math.exp(bound * Math.tanh(read[j])), read[changed.length + j]); });
    };
  });

  const coordinates = (z) => (along ? dense(along, new Float32Array(size), z) : z);
  const to = (c) => {
    const u = across(c, turn, size);
    couplings.forEach((coupling) => coupling(u, (v, stretch, shift) => v * stretch + shift));
    return u;
  };
  const back = (u) => {
    const c = Float64Array.from(u);
    [...couplings].reverse().forEach((coupling) => coupling(c, (v, stretch, shift) => (v - shift) / stretch));
    return dense(turn, new Float32Array(size), c);
  };
  return (z, move) => {
    const u = to(coordinates(z)), far = coordinates(move), here = back(u), there = back(u.map((v, k) => v + far[k]));
    const change = there.map((v, k) => v - here[k]), moves = along ? across(change, along, z.length) : change;
    return z.map((v, i) => v + moves[i]);
  };
}
