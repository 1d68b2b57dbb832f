// The parts of the page that react: the form, what the models write and read, the chart.

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
let written = [];
let run = 0; // what began under an earlier number stops
const value = (name) => form.elements.namedItem(name).value;
const number = (name) => (value(name) === "" ? null : Number(value(name)));

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const field of fields) field.value = given.get(field.name) ?? PAGE.form[field.name] ?? "";
  showState();
}

/** Show the temperature and what is wrong: unknown characters are named while they are typed. */
function showState(problem = "") {
  const unknown = unknownIn(value("prefix"));
  find("#problem").textContent = problem || (unknown && `not in the vocabulary: ${unknown}`);
  form.elements.prefix.setAttribute("aria-invalid", String(unknown !== "" || value("prefix") === ""));
  find("#chosen-temperature").textContent = value("temperature");
}

function begin() {
  const prefix = value("prefix");
  const decoding = { temperature: number("temperature"), topK: number("top_k"), topP: number("top_p") };
  const names = [...new Set([value("model"), value("beside")])].filter(Boolean);
  try {
    const settings = { prefix, ...decoding, seed: number("seed") ?? PAGE.form.seed };
    written = names.map((name) => ({ name, content: prefix, writing: new Writing({ model: name, ...settings }) }));
  } catch (error) {
    return showState(error.message);
  }
  find("#written").replaceChildren(...written.map(figureOf));
  const given = fields.filter((field) => field.value).map((field) => [field.name, field.value]);
  history.replaceState(null, "", `#${new URLSearchParams(given)}`);
  return goOn();
}

/** The place in which the text of a model appears. */
function figureOf(one) {
  one.text = element("p", { className: "sample", lang: PAGE.language, dir: "auto" }, element("b", {}, shown(one.content)));
  const copy = element("button", { type: "button", textContent: `Copy ${one.name}`, onclick: () => copyText(one) });
  return element("figure", {}, element("figcaption", {}, one.name, copy), one.text);
}

/** All texts go on by the chosen length, in two seconds, or at once for people who avoid motion. */
async function goOn() {
  const own = ++run;
  const length = Math.min(number("length") ?? 200, 10000);
  const share = matchMedia("(prefers-reduced-motion: reduce)").matches ? length : Math.ceil(length / 120);
  showBusy(true);
  for (let left = length; left > 0 && own === run; left -= share) {
    for (const one of written) {
      const added = [...one.writing.characters(Math.min(share, left))].join("");
      one.content += added;
      one.text.append(shown(added));
    }
    await new Promise(requestAnimationFrame);
  }
  if (own === run) stop();
}

function stop() {
  run++;
  showBusy(false);
  find("#status").textContent = written.map((one) => `${one.name}: ${[...one.content].length} characters`).join(", ");
}

function showBusy(busy) {
  find("#stop").disabled = !busy;
  find("#go-on").disabled = busy || !written.length;
}

/** Select a text, and copy it where the browser lets pages copy. */
async function copyText({ name, content, text }) {
  getSelection().selectAllChildren(text);
  await navigator.clipboard.writeText(content);
  find("#status").textContent = `copied the text of ${name}`;
}

// Read: a text in the colours of its losses, as the page shows the held-out text without a script.
const percentage = (share) => share.toLocaleString("en", { style: "percent", maximumSignificantDigits: 2 });

/** The five likeliest characters with their probabilities, in words. */
function fiveLikeliest(probabilities) {
  const least = probabilities.slice().sort().at(-5) ?? 0;
  const ids = [...PAGE.chars.keys()].filter((id) => probabilities[id] >= least);
  ids.sort((one, other) => probabilities[other] - probabilities[one]);
  return ids.slice(0, 5).map((id) => `“${alone(PAGE.chars[id])}” ${percentage(probabilities[id])}`).join(", ");
}

/** A character in the colour of its loss. Each group of radio buttons is one stop of the Tab key. */
function coloured(char, { nats, probabilities }, group) {
  const step = PAGE.edges.filter((edge) => edge < nats).length;
  const label = element("label", { className: `step${step}${IDS.has(char) ? "" : " unk"}` });
  const loss = `${Math.abs(nats).toFixed(2)} nats, ${percentage(Math.exp(-nats))}`;
  label.dataset.loss = `${loss}; likeliest: ${fiveLikeliest(probabilities)}`;
  label.append(element("input", { type: "radio", name: group }), alone(char) + (char === "\n" ? "\n" : ""));
  return label;
}

const alone = (char) => (IDS.has(char) ? PAGE.alone[char] ?? char : "<unk>");

async function read() {
  const characters = [...normalize(find("#text").value)];
  const results = [];
  find("#reader button").disabled = true;
  try {
    for (const { name } of PAGE.models) {
      const labels = characters.slice(0, 1).map(alone);
      let sum = 0;
      await inSlices(losses(name, characters.join("")), (loss) => {
        sum += loss.nats;
        labels.push(coloured(characters[labels.length], loss, `read ${name}`));
      });
      find(`[data-model="${name}"]`).replaceChildren(...labels);
      if (labels.length > 1) results.push(`${name}: perplexity ${Math.exp(sum / (labels.length - 1)).toPrecision(4)}`);
    }
    find("#read-status").textContent = results.join(", ");
  } catch (error) {
    find("#read-status").textContent = error.message;
  }
  find("#reader button").disabled = false;
}

// The chart: the value under the pointer, or that the arrow keys have reached.
const points = [...document.querySelectorAll(".chart .mark-symbol.role-mark [aria-label]")];
let chosen = -1;

function showPoint(index) {
  if (!points[index]) return;
  points[chosen]?.classList.remove("chosen");
  chosen = index;
  points[chosen].classList.add("chosen");
  find("#chart-value").textContent = points[chosen].getAttribute("aria-label");
}

find(".chart").onpointermove = ({ target }) => showPoint(points.indexOf(target));
find(".chart").onkeydown = (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) event.preventDefault();
  if (step) showPoint(chosen + step);
};

for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
if (find("#reader")) {
  find("#reader").onsubmit = () => { read(); return false; };
  const watch = new IntersectionObserver(([{ isIntersecting }]) => {
    if (isIntersecting) watch.disconnect();
    if (isIntersecting) read();
  });
  watch.observe(find("#reader"));
}
if (form) {
  form.onsubmit = () => { begin(); return false; };
  form.oninput = () => showState();
  form.elements.prefix.onkeydown = (event) => (event.key !== "Enter" || event.shiftKey ? true : form.onsubmit());
  find("#stop").onclick = stop;
  find("#go-on").onclick = goOn;
  window.onhashchange = () => { readAddress(); begin(); };
  readAddress();
  begin();
}
