// What the models of the page can do: for the page's own view, and for other programs as `window.refrain`.

const PAGE = JSON.parse(document.getElementById("models").textContent);
const IDS = new Map(PAGE.chars.map((char, id) => [char, id]));
const RANGES = { // the least value, the greatest, what it is a multiple of (0: of anything), and what to do
  temperature: [0.01, 100, 0, "temperature: give a number from 0.01 to 100, or 0"],
  topK: [1, 2 ** 40, 1, "top k: give a whole number from 1"],
  topP: [1e-9, 1, 0, "top p: give a number above 0, up to 1"],
  length: [1, 2 ** 40, 1, "length: give a whole number from 1"],
};

/** A model by name. Its weights are read when it is first used. */
function openModel(name) {
  const found = PAGE.models.find((model) => model.name === name);
  if (!found) throw new RangeError(`no model ${name}: choose from ${PAGE.models.map((model) => model.name).join(", ")}`);
  if (typeof found.weights === "string") found.weights = readWeights(found.weights, found.shapes);
  return found;
}

const codeOf = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
const isHidden = (char) => /[\p{C}\p{Zl}\p{Zp}]/u.test(char) && char !== "\n";

/** A text with symbols for characters that cannot be seen or that reorder others. */
const visible = (text) =>
  Array.from(text, (char) => PAGE.visible[char] ?? (isHidden(char) && !IDS.has(char) ? `<${codeOf(char)}>` : char)).join("");

/** Characters of a text that the vocabulary lacks, with their code points, such as `é (U+00E9)`; "" if it has all. */
function unknownIn(text) {
  const unknown = [...new Set(text)].filter((char) => !IDS.has(char));
  const named = unknown.slice(0, 10).map((char) => (/[\p{C}\p{Z}]/u.test(char) ? codeOf(char) : `\u2068${char}\u2069 (${codeOf(char)})`));
  return named.join(", ") + (unknown.length > 10 ? ` and ${unknown.length - 10} more` : "");
}

/** The ids of a text. Unknown characters become <unk> if `allowUnk` and the vocabulary has it; else an error. */
function encode(text, allowUnk) {
  const unknown = allowUnk && PAGE.unk !== null ? "" : unknownIn(text);
  if (unknown) throw new RangeError(`not in the vocabulary: ${unknown}`);
  return Array.from(text, (char) => IDS.get(char) ?? PAGE.unk);
}

/** A text as `corpus.normalize` leaves it (pipeline/text/normalize.py). */
function normalize(text) {
  if (PAGE.normalize === "lyrics") return text.replace(/\r\n|\r|\n/g, " ");
  if (PAGE.normalize === "letters") return text.replace(/Σ/g, "σ").toLowerCase().replace(/[^\p{L}\p{M}]+/gu, " ").trim();
  return text;
}

/** A text that a model writes after a prefix, `length` characters at a time. */
class Writing {
  constructor({ model, prefix, length = 200, temperature = 0, topK = null, topP = null, seed = PAGE.form.seed }) {
    if (!prefix) throw new RangeError("the prefix is empty: a model needs at least one character to continue");
    const given = { temperature: temperature === 0 ? 1 : temperature, topK: topK ?? 1, topP: topP ?? 1, length };
    for (const [name, [low, high, step, words]] of Object.entries(RANGES)) {
      const isRight = typeof given[name] === "number" && given[name] >= low && given[name] <= high && !(given[name] % step);
      if (!isRight) throw new RangeError(words);
    }
    if (!/^\d{1,30}$/.test(seed)) throw new RangeError("seed: give a whole number from 0");
    this.unread = encode(String(prefix), PAGE.allow_unk);
    this.length = length;
    this.stream = new Stream(openModel(model));
    this.chooser = new Chooser(PAGE.chars.length, { temperature, topK, topP, seed }, PAGE.unk);
  }

  /** The next characters; at first, "" for each character of the prefix that is read. Another call goes on. */
  *characters() {
    for (; this.unread.length > 1; yield "") this.stream.step(this.unread.shift());
    for (let i = 0; i < this.length; i++) {
      this.stream.step(this.unread[0]);
      this.unread[0] = this.chooser.choose(this.stream.logits);
      yield PAGE.chars[this.unread[0]];
    }
  }
}

/** For each id of a text after the first: its loss in nats, and the probabilities of all characters there. */
function* losses(model, ids) {
  const stream = new Stream(openModel(model));
  for (let i = 1; i < ids.length; i++) {
    stream.step(ids[i - 1]);
    const logit = stream.logits[ids[i]];
    yield { nats: softmax(stream.logits) - logit, probabilities: stream.logits };
  }
}

/** Call `use` with each value, with pauses in which the browser draws and reacts. */
async function inSlices(values, use) {
  let start = performance.now();
  for (const value of values) {
    use(value);
    if (performance.now() - start < 50) continue;
    await (globalThis.scheduler?.yield?.() ?? new Promise((resolve) => { setTimeout(resolve); }));
    start = performance.now();
  }
}

window.refrain = {
  /** A promise of the `length` characters that a model writes after `prefix`. */
  async write(settings) {
    const text = [];
    await inSlices(new Writing(settings).characters(), (char) => text.push(char));
    return text.join("");
  },

  /** A promise of the nats of each character of a text after the first. */
  async score({ model, text }) {
    const found = [];
    await inSlices(losses(model, encode(text, true)), ({ nats }) => found.push(nats));
    return found;
  },
};
