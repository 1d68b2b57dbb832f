// The parts of the page that react: the form, and what the models write and read.

const find = (selector) => document.querySelector(selector);

/** An element with properties, and with texts or elements in it. */
function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// Write: a Writing for each chosen model, continued in steps between which the screen is drawn.
const form = find("#settings");
const fields = [...(form?.elements ?? [])].filter((field) => field.name);
let written = [], run = 0; // what began in an earlier run stops
const value = (name) => form.elements.namedItem(name).value;
const isUnreadable = (name) => form.elements.namedItem(name).validity.badInput; // such as "e", given as ""
const number = (name, otherwise) => (isUnreadable(name) ? Number.NaN : value(name) === "" ? otherwise : Number(value(name)));

/** Fill the form from the address. What it does not name is as params.yaml has it. Then write. */
function openAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) field.value = given.get(field.name) ?? PAGE.form[field.name] ?? "";
  const missing = ["model", "beside"].filter((name) => given.get(name) && given.get(name) !== value(name));
  if (missing.length) showProblem(`the address names a model that cannot write here: ${given.get(missing[0])}`);
  else begin();
}

/** Show what is wrong. Unknown characters are named while they are typed. */
function showProblem(problem = "") {
  const unknown = PAGE.allow_unk ? "" : unknownIn(value("prefix"));
  const text = problem || (unknown && `not in the vocabulary: ${unknown}`);
  if (find("#problem").textContent !== text) find("#problem").textContent = text;
  form.elements.prefix.setAttribute("aria-invalid", String(unknown !== "" || value("prefix") === ""));
}

function begin() {
  const names = [...new Set([value("model"), value("beside")])].filter(Boolean);
  const decoding = { temperature: number("temperature", Number.NaN), topK: number("top_k", null), topP: number("top_p", null) };
  const settings = { prefix: value("prefix"), length: number("length", 200), seed: value("seed") || PAGE.form.seed, ...decoding };
  stop();
  try {
    written = names.map((model) => ({ ...settings, model, content: settings.prefix, writing: new Writing({ model, ...settings }) }));
  } catch (error) {
    return showProblem(error.message);
  }
  showProblem();
  find("#written").replaceChildren(...written.map(figureOf));
  history.replaceState(null, "", `#${new URLSearchParams(fields.map((field) => [field.name, field.value]))}`);
  return goOn();
}

/** The place in which the text of a model appears. */
function figureOf(one) {
  const prefix = element("b", {}, visible(one.content));
  one.text = element("p", { className: "sample", lang: PAGE.language, dir: "auto" }, prefix);
  const copy = element("button", { type: "button", textContent: `Copy ${one.model}`, onclick: () => copyText(one) });
  return element("figure", {}, element("figcaption", {}, one.model, copy), one.text);
}

/** All texts go on by their length: in two seconds, or slower if the models are, or faster where motion disturbs. */
async function goOn() {
  const own = ++run;
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const texts = written.map((one) => ({ one, next: one.writing.characters(), isDone: false }));
  find("#hold").textContent = "Stop";
  find("#status").textContent = "writing";
  while (own === run && texts.some((text) => !text.isDone)) {
    for (const text of texts) {
      const share = isCalm ? Infinity : text.one.writing.length / 120;
      const until = performance.now() + 8;
      let added = "";
      while (!text.isDone && added.length < share && performance.now() < until) {
        const { done, value: char = "" } = text.next.next();
        text.isDone = done;
        added += char;
      }
      text.one.content += added;
      text.one.text.append(visible(added));
    }
    await new Promise(requestAnimationFrame);
  }
  if (own === run) stop();
}

function stop() {
  run++;
  find("#hold").textContent = "Go on";
  find("#status").textContent = written.map((one) => `${one.model}: ${[...one.content].length - [...one.prefix].length} characters written`).join(", ");
}

/** Copy a text, or select it where the browser does not let pages copy. */
async function copyText({ model, content, text }) {
  getSelection().selectAllChildren(text);
  const copied = navigator.clipboard?.writeText(content).then(() => true, () => false);
  find("#status").textContent = (await copied) ? `copied the text of ${model}` : "selected: press Ctrl and C to copy";
}

// Read: a text in the colours of its losses, as the page shows the held-out text without a script.
const textarea = find("#text");
let reading = Promise.resolve();
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumSignificantDigits: 2 });
const percentage = (share) => (share < 1e-4 ? "less than 0.01%" : PERCENT.format(share));
const shown = (id) => PAGE.shown[PAGE.chars[id]] ?? PAGE.chars[id];
const shownAlone = (id) => (PAGE.chars[id] === " " ? "␣" : shown(id));

/** The five likeliest characters with their probabilities, in words. */
function fiveLikeliest(probabilities) {
  const least = probabilities.slice().sort().at(-5) ?? 0;
  const ids = [...probabilities.keys()].filter((id) => probabilities[id] >= least);
  ids.sort((one, other) => probabilities[other] - probabilities[one]);
  return ids.slice(0, 5).map((id) => `\u2068${shownAlone(id)}\u2069 ${percentage(probabilities[id])}`).join(", ");
}

/** A character in the colour of its loss. Each group of radio buttons is one stop of the Tab key. */
function coloured(id, { nats, probabilities }, name) {
  const step = PAGE.edges.filter((edge) => !(edge >= nats)).length;
  const label = element("label", { className: `step${step}${id === PAGE.unk ? " unk" : ""}` });
  const words = `${Math.abs(nats).toFixed(2)} nats, ${percentage(Math.exp(-nats))}; likeliest: `;
  label.dataset.loss = words + fiveLikeliest(probabilities);
  label.append(element("input", { type: "radio", name }), shown(id) + (PAGE.chars[id] === "\n" ? "\n" : ""));
  return label;
}

/** All embedded models read characters by their ids. Returns what they found, in words. */
async function read(ids) {
  if (ids.length < 2) return "give two characters or more: the first has no loss";
  const results = [];
  for (const place of document.querySelectorAll("[data-model]")) {
    const name = place.dataset.model;
    const isHere = PAGE.models.some((model) => model.name === name);
    place.parentElement.hidden = !isHere && ids !== PAGE.held_out;
    if (!isHere) continue;
    const labels = [shown(ids[0])];
    let sum = 0;
    await inSlices(losses(name, ids), (loss) => {
      sum += loss.nats;
      labels.push(coloured(ids[labels.length], loss, `read ${name}`));
    });
    place.replaceChildren(...labels);
    const perplexity = Math.exp(sum / (ids.length - 1)).toLocaleString("en", { maximumSignificantDigits: 4 });
    results.push(`${name}: perplexity ${perplexity}`);
  }
  return results.join(", ");
}

/** Read what the text area holds, one text after the other. */
function readText() {
  const isExample = textarea.value === textarea.defaultValue;
  const text = normalize(textarea.value);
  const ids = async () => (isExample ? PAGE.held_out : encode(text, true));
  const unknown = unknownIn(text);
  const about = (words) => words + (isExample ? " on this part of the split" : unknown && `; read as <unk>: ${unknown}`);
  reading = reading.then(ids).then(read).then(about).catch((error) => error.message);
  reading.then((words) => { find("#read-status").textContent = words; });
}

for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
if (textarea) {
  textarea.defaultValue = PAGE.held_out.map((id) => (id === PAGE.unk ? "\ufffd" : PAGE.chars[id])).join("");
  find("#reader").onsubmit = () => { readText(); return false; };
  const readOnce = (entries, watch) => { if (entries.at(-1).isIntersecting) { watch.disconnect(); readText(); } };
  new IntersectionObserver(readOnce).observe(find("#reader"));
}
if (form) {
  form.elements.seed.placeholder = PAGE.form.seed;
  form.onsubmit = () => { begin(); return false; };
  form.oninput = () => showProblem();
  form.elements.prefix.onkeydown = (event) => event.key !== "Enter" || event.shiftKey || event.isComposing || form.onsubmit();
  find("#hold").onclick = () => (find("#hold").textContent === "Stop" ? stop() : goOn());
  window.onhashchange = openAddress;
  openAddress();
}
