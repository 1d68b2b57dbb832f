// How the next character is chosen: as pipeline/generation/decoding.py does it, from the same random numbers.

const PRIMES = Array.from({ length: 310 }, (_, i) => i + 2).filter((n, i, all) => all.slice(0, i).every((m) => n % m));
const fractionBits = (x) => Math.floor((x % 1) * 2 ** 32) | 0;
const SHA_INITIAL = PRIMES.slice(0, 8).map((prime) => fractionBits(Math.sqrt(prime)));
const SHA_CONSTANTS = PRIMES.map((prime) => fractionBits(Math.cbrt(prime)));
const rotated = (x, ...turns) => turns.reduce((sum, bits) => sum ^ ((x >>> bits) | (x << (32 - bits))), 0);

/** SHA-256 (FIPS 180-4) of up to 55 ASCII characters, as eight numbers of 32 bits. */
function sha256(text) {
  const words = new Int32Array(64);
  [...`${text}\x80`].forEach((char, i) => { words[i >> 2] |= char.charCodeAt(0) << (24 - 8 * (i % 4)); });
  words[15] = 8 * text.length;
  for (let i = 16; i < 64; i++) {
    const s0 = rotated(words[i - 15], 7, 18) ^ (words[i - 15] >>> 3);
    const s1 = rotated(words[i - 2], 17, 19) ^ (words[i - 2] >>> 10);
    words[i] = words[i - 16] + s0 + words[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = SHA_INITIAL;
  for (let i = 0; i < 64; i++) {
    const s1 = rotated(e, 6, 11, 25);
    const s0 = rotated(a, 2, 13, 22);
    const t = (h + s1 + ((e & f) ^ (~e & g)) + SHA_CONSTANTS[i] + words[i]) | 0;
    [a, b, c, d, e, f, g, h] = [(t + s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0, a, b, c, (d + t) | 0, e, f, g];
  }
  return [a, b, c, d, e, f, g, h].map((word, i) => (word + SHA_INITIAL[i]) >>> 0);
}

/** What `torch.rand` draws from pipeline.seeds.generator(seed, "sample", 0): MT19937 (Matsumoto & Nishimura, 1998). */
function* uniforms(seed) {
  const digest = sha256(`(${BigInt(seed)}, 'sample', 0)`);
  const words = new Int32Array(624);
  words[0] = (digest[0] << 31) | (digest[1] >>> 1);
  for (let i = 1; i < 624; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;
  for (;;) {
    for (let i = 0; i < 624; i++) {
      const joined = (words[i] & 0x80000000) | (words[(i + 1) % 624] & 0x7fffffff);
      words[i] = words[(i + 397) % 624] ^ (joined >>> 1) ^ (joined & 1 && 0x9908b0df);
    }
    for (let y of words) {
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      yield ((y ^ (y >>> 18)) & 0xffffff) / 2 ** 24;
    }
  }
}

/** Chooses characters of a vocabulary of `size`, but never the one that is `banned` (null: none). */
class Chooser {
  constructor(size, { temperature, topK, topP, seed }, banned) {
    Object.assign(this, { temperature, topK: Math.min(topK ?? size, size), topP: topP ?? 1, banned, uniforms: uniforms(seed) });
    this.probabilities = new Float64Array(size);
    this.ranked = new Float64Array(size);
  }

  /** The id of the next character, given its logits, which are changed. */
  choose(logits) {
    const p = this.probabilities;
    if (this.banned !== null) logits[this.banned] = -Infinity;
    if (this.temperature === 0) return likeliest(logits);
    for (let id = 0; id < p.length; id++) p[id] = logits[id] / this.temperature;
    softmax(p);
    if (this.topK < p.length || this.topP < 1) this.keepLikeliest();
    const draw = this.uniforms.next().value * p.reduce((sum, value) => sum + value);
    let id = 0;
    for (let below = p[0]; below <= draw && id < p.length - 1; below += p[id]) id++;
    return id;
  }

  /** Set all probabilities to 0 but the `topK` largest, and of those, all but the largest that sum to `topP`. */
  keepLikeliest() {
    const { probabilities: p, ranked } = this;
    ranked.set(p);
    ranked.sort().reverse();
    let total = 0, kept = 0;
    for (let i = 0; i < this.topK; i++) total += ranked[i];
    for (let sum = 0; kept < this.topK && sum < this.topP * total; kept++) sum += ranked[kept];
    const least = ranked[kept - 1];
    let equal = kept - ranked.indexOf(least); // of those with this probability, the first are kept
    for (let id = 0; id < p.length; id++) if (p[id] < least || (p[id] === least && equal-- <= 0)) p[id] = 0;
  }
}

/** The index of the largest value, the first if there are several. */
function likeliest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Turn logits into probabilities, in place. Returns the logarithm of what their exponentials were divided by. */
function softmax(logits) {
  const largest = logits[likeliest(logits)];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += logits[i] = Math.exp(logits[i] - largest);
  for (let i = 0; i < logits.length; i++) logits[i] /= sum;
  return largest + Math.log(sum);
}
