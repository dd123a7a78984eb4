// The latents that the program itself draws: sample `index` of `seed` comes from a generator of its own, as model.py and torch have it.

const IV = [0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n,
  0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n];
const SIGMA = ['0123456789abcdef', 'ea489fd61c02b753', 'b8c052fdae367194', '7931dcbe265a40f8', '905724afe1bc683d',
  '2c6a0b834d75fe19', 'c51fed4a0763928b', 'db7ec13950f4862a', '6fe9b308c2d714a5', 'a2847615fb9e3cd0'];
const MIX = ['048c', '159d', '26ae', '37bf', '05af', '16bc', '278d', '349e'];  // which of the 16 words each G works on

/** BLAKE2b (RFC 7693) without a key: a text in UTF-8 -> `size` bytes, 1 to 64. */
export function blake2b(text, size) {
  const data = new TextEncoder().encode(text), last = Math.max(1, Math.ceil(data.length / 128));
  const h = IV.map((v, i) => (i ? v : v ^ 0x01010000n ^ BigInt(size)));
  for (let block = 0; block < last; block++) {
    const part = new Uint8Array(128), ends = block === last - 1;
    part.set(data.subarray(128 * block, 128 * block + 128));
    const m = [...new BigUint64Array(part.buffer)];  // little-endian, as every browser's machine is
    const v = [...h, ...IV];
    v[12] ^= BigInt(ends ? data.length : 128 * (block + 1));
    if (ends) v[14] ^= 0xffffffffffffffffn;
    const turn = (x, n) => BigInt.asUintN(64, (x >> n) | (x << (64n - n)));
    for (let round = 0; round < 12; round++) {
      const order = SIGMA[round % 10];
      MIX.forEach((words, g) => {
        const [a, b, c, d] = [...words].map((w) => parseInt(w, 16));
        const [x, y] = [0, 1].map((k) => m[parseInt(order[2 * g + k], 16)]);
        v[a] = BigInt.asUintN(64, v[a] + v[b] + x); v[d] = turn(v[d] ^ v[a], 32n);
        v[c] = BigInt.asUintN(64, v[c] + v[d]); v[b] = turn(v[b] ^ v[c], 24n);
        v[a] = BigInt.asUintN(64, v[a] + v[b] + y); v[d] = turn(v[d] ^ v[a], 16n);
        v[c] = BigInt.asUintN(64, v[c] + v[d]); v[b] = turn(v[b] ^ v[c], 63n);
      });
    }
    for (let i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
  }
  return new Uint8Array(new BigUint64Array(h).buffer).slice(0, size);
}

/** The low 32 bits of model.key(seed, index), which are all that torch's generator on a CPU takes of a seed. */
function key(seed, index) {
  const bytes = blake2b(`${seed}\x1f${index}`, 8);
  return Number(BigInt.asUintN(32, new DataView(bytes.buffer).getBigUint64(0) >> 1n));
}

/** MT19937 (Matsumoto and Nishimura 1998): a function that gives the next 32 bits. */
function twister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  let at = 624;
  return () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++];
    y ^= y >>> 11; y ^= (y << 7) & 0x9d2c5680; y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** Standard normals as torch.randn draws `count` of them on a CPU: Box and Muller's, in pairs below 16, and in blocks of 16 from there. */
function randn(count, next) {
  const found = new Float32Array(count);
  if (count < 16) {  // at::normal_distribution<double>: 53 bits a uniform, the second of a pair kept for the next number
    const uniform = () => Number(BigInt.asUintN(53, (BigInt(next()) << 32n) | BigInt(next()))) / 2 ** 53;
    for (let i = 0; i < count; i += 2) {
      const angle = 2 * Math.PI * uniform(), radius = Math.sqrt(-2 * Math.log1p(-uniform()));
      found[i] = radius * Math.cos(angle);
      if (i + 1 < count) found[i + 1] = radius * Math.sin(angle);
    }
    return found;
  }
  const uniform = () => (next() & 0xffffff) / 2 ** 24;
  const block = (from) => {
    for (let i = from; i < from + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - found[i])), angle = 2 * Math.PI * found[i + 8];
      found[i] = radius * Math.cos(angle);
      found[i + 8] = radius * Math.sin(angle);
    }
  };
  for (let i = 0; i < count; i++) found[i] = uniform();
  for (let i = 0; i + 16 <= count; i += 16) block(i);
  if (count % 16) {  // the last 16 are drawn once more
    for (let i = count - 16; i < count; i++) found[i] = uniform();
    block(count - 16);
  }
  return found;
}

/** The latent of sample `index` of `seed`: `size` standard normals. */
export const latent = (seed, index, size) => randn(size, twister(key(seed, index)));
