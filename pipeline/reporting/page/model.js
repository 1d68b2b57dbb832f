// A character-level language model, step by step: the equations of pipeline/nn/cells in typed arrays.
// Weights are float16 numbers; all arithmetic is in float64.

/** The values of all float16 numbers, by their bits. */
const FLOAT16 = Float32Array.from({ length: 0x10000 }, (_, bits) => {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const magnitude = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return bits & 0x8000 ? -magnitude : magnitude;
});
const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** Cells by name. `update(x, a, state)` is one time step: it replaces `state`, of which the first part is the output.
 *  `x` is W_ih times the input, plus its bias, and `a` is W_hh times the output before, plus its bias, gate by gate. */
const CELLS = {
  rnn_tanh: { gates: 1, states: 1, update: elman(Math.tanh) },
  rnn_relu: { gates: 1, states: 1, update: elman((x) => Math.max(0, x)) },
  gru: { gates: 3, states: 1, update: updateGru },
  lstm: { gates: 4, states: 2, update: updateLstm },
};

/** h' = f(x + a) */
function elman(f) {
  return (x, a, [h]) => {
    for (let i = 0; i < h.length; i++) h[i] = f(x[i] + a[i]);
  };
}

/** Gates r, z, n: n = tanh(x_n + r a_n), h' = (1 - z) n + z h */
function updateGru(x, a, [h]) {
  for (let r = 0, z = h.length, n = 2 * z; r < h.length; r++, z++, n++) {
    const keep = sigmoid(x[z] + a[z]);
    h[r] = (1 - keep) * Math.tanh(x[n] + sigmoid(x[r] + a[r]) * a[n]) + keep * h[r];
  }
}

/** Gates i, f, g, o: c' = f c + i g, h' = o tanh(c') */
function updateLstm(x, a, [h, c]) {
  for (let i = 0, f = h.length, g = 2 * f, o = 3 * f; i < h.length; i++, f++, g++, o++) {
    c[i] = sigmoid(x[f] + a[f]) * c[i] + sigmoid(x[i] + a[i]) * Math.tanh(x[g] + a[g]);
    h[i] = sigmoid(x[o] + a[o]) * Math.tanh(c[i]);
  }
}

/** The weights of a model by name. `shapes` has pairs of a name and a shape, in the order in which they stand.
 *  Matrices have room for three more rows and a number: see multiply(). */
function readWeights(base64, shapes) {
  const bytes = atob(base64);
  const weights = {};
  let at = 0;
  for (const [name, shape] of shapes) {
    const size = shape.reduce((product, length) => product * length);
    const values = new Float32Array(size + 3 * shape.at(-1) + 1);
    for (let i = 0; i < size; i++, at += 2) values[i] = FLOAT16[bytes.charCodeAt(at) + 256 * bytes.charCodeAt(at + 1)];
    weights[name] = values;
  }
  return weights;
}

/** `out` = matrix times `x` plus `bias`. Four rows at a time read each number of `x` once, two numbers in each step; what
 *  the last rows write beyond the end of `out` is ignored. */
function multiply(matrix, x, bias, out) {
  const columns = x.length, last = columns % 2 ? x[columns - 1] : 0;
  for (let row = 0; row < out.length; row += 4) {
    let at0 = row * columns, at1 = at0 + columns, at2 = at1 + columns, at3 = at2 + columns;
    let sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    for (let i = 1; i < columns; i += 2, at0 += 2, at1 += 2, at2 += 2, at3 += 2) {
      const one = x[i - 1], two = x[i];
      sum0 += matrix[at0] * one + matrix[at0 + 1] * two;
      sum1 += matrix[at1] * one + matrix[at1 + 1] * two;
      sum2 += matrix[at2] * one + matrix[at2 + 1] * two;
      sum3 += matrix[at3] * one + matrix[at3 + 1] * two;
    }
    out[row] = sum0 + matrix[at0] * last + bias[row];
    out[row + 1] = sum1 + matrix[at1] * last + bias[row + 1];
    out[row + 2] = sum2 + matrix[at2] * last + bias[row + 2];
    out[row + 3] = sum3 + matrix[at3] * last + bias[row + 3];
  }
}

/** `out` = one column of a matrix, plus `bias`: the product with a one-hot vector. */
function column(matrix, columns, index, bias, out) {
  for (let row = 0, at = index; row < out.length; row++, at += columns) out[row] = matrix[at] + bias[row];
}

/** A text on its way through a model. It starts in the zero state. */
class Stream {
  constructor({ config, weights }) {
    const { gates, states, update } = CELLS[config.cell];
    Object.assign(this, { weights, update });
    this.embedding = weights[config.tied ? "decoder.weight" : "embedding.weight"]; // undefined: one-hot
    this.embedded = new Float64Array(config.embedding_size ?? 0);
    this.logits = new Float64Array(config.vocab_size);
    this.layers = Array.from({ length: config.num_layers }, (_, layer) => {
      const names = ["weight_ih", "bias_ih", "weight_hh", "bias_hh"];
      const [inputs, inputBias, recurrent, recurrentBias] = names.map((name) => weights[`rnn.${name}_l${layer}`]);
      const [x, a] = [0, 0].map(() => new Float64Array(gates * config.hidden_size));
      const state = Array.from({ length: states }, () => new Float64Array(config.hidden_size));
      return { inputs, inputBias, recurrent, recurrentBias, x, a, state };
    });
  }

  /** Read a character. The logits of the next one are then in `this.logits`. */
  step(id) {
    let input = null;
    if (this.embedding) {
      input = this.embedded;
      for (let i = 0; i < input.length; i++) input[i] = this.embedding[id * input.length + i];
    }
    for (const { inputs, inputBias, recurrent, recurrentBias, x, a, state } of this.layers) {
      if (input) multiply(inputs, input, inputBias, x);
      else column(inputs, this.logits.length, id, inputBias, x);
      multiply(recurrent, state[0], recurrentBias, a);
      this.update(x, a, state);
      input = state[0];
    }
    multiply(this.weights["decoder.weight"], input, this.weights["decoder.bias"], this.logits);
  }
}
