"use strict";
// The page to try models on. All that comes from a model or a person is put in as text, never as HTML.
const at = (id) => document.getElementById(id);
const HINTS = {
  completions: ["Prompt", "Once upon a time"],
  predict: ["Text", ""],
  forecast: ["Past values: numbers, the latest last", "1 2 3 4"],
  translate: ["What to translate", ""],
};
const RAISES = "34, 160, 74", LOWERS = "217, 64, 64"; // red, green, blue
const MOST_PAST = 3; // times as many past values as forecast ones in a chart
let models = [];
let going = null; // the AbortController of an answer that is being written
let busy = false; // buttons stay enabled while it asks: one that has the focus would lose it
let dropped = null; // the picture, as a data: URL

function element(kind, text, ...children) {
  const made = document.createElement(kind);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

function drawn(kind, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

async function asked(path, body, signal) {
  const how = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal } : {};
  const answer = await fetch(new URL(path, location.origin), how); // the page's own address may have a key in it
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Error(said && said.error ? said.error.message : `status ${answer.status}`);
  }
  return answer;
}

// --- what goes in ----------------------------------------------------------------------------------------------------

const model = () => models.find((one) => one.id === at("model").value);
const columns = () => (model().input && model().input.properties) || null; // of a row, or what else has named parts
const takesPictures = () => model().task === "vision";

function choose() {
  const [what, example] = HINTS[model().routes[0]] || ["Input", ""];
  at("what").textContent = what;
  at("input").placeholder = example;
  const asForm = model().input && model().input.type === "object";
  at("words").hidden = takesPictures() || asForm;
  at("drop").hidden = !takesPictures();
  at("fields").hidden = !asForm;
  at("fields").replaceChildren(...(asForm ? Object.entries(columns()).map(field) : []));
  at("why").hidden = !model().routes.includes("explain");
  at("answer").replaceChildren();
  at("problem").textContent = "";
}

function field([name, schema], number) {
  const choices = schema.enum || schema.examples;
  const made = element(choices ? "select" : "input", null);
  made.id = `field-${number}`;
  made.name = name;
  if (choices) made.append(...[null, ...choices.filter((one) => one !== null)].map(choice));
  else made.inputMode = schema.type.includes("number") || schema.type.includes("integer") ? "decimal" : "text";
  if (schema.default !== undefined && schema.default !== null) made.value = schema.default;
  if (schema.description) made.title = schema.description;
  const label = element("label", name);
  label.htmlFor = made.id;
  return element("div", null, label, made);
}

function choice(value) {
  const made = element("option", value === null ? "(none)" : value);
  made.value = value === null ? "" : value;
  return made;
}

function filled() {
  const row = {};
  for (const one of at("fields").querySelectorAll("input, select")) {
    const type = columns()[one.name].type;
    const required = (model().input.required || []).includes(one.name);
    const text = one.value.trim();
    if (text === "") {
      if (required) row[one.name] = null;
    } else {
      const isNumber = (type.includes("number") || type.includes("integer")) && one.tagName === "INPUT" && Number.isFinite(Number(text));
      row[one.name] = isNumber ? Number(text) : one.value;
    }
  }
  return row;
}

function take(file) {
  const reader = new FileReader();
  reader.addEventListener("load", () => {
    dropped = reader.result;
    at("preview").src = dropped;
    at("preview").hidden = false;
  });
  if (file) reader.readAsDataURL(file);
}

function input() {
  if (takesPictures()) {
    if (!dropped) throw new Error("choose a picture first");
    return dropped;
  }
  if (!at("fields").hidden) return filled();
  const text = at("input").value || at("input").placeholder;
  if (model().routes[0] !== "forecast") return text;
  if (text.trim().startsWith("{") || text.trim().startsWith("[")) {
    try {
      return JSON.parse(text);
    } catch {
      throw new Error("the past values are not JSON");
    }
  }
  const values = text.trim().split(/[\s,;]+/);
  const wrong = values.find((value) => !Number.isFinite(Number(value)));
  if (wrong !== undefined) throw new Error(`'${wrong}' is no number; write past values as 1.5 2 3`);
  return values.map(Number);
}

// --- what comes out --------------------------------------------------------------------------------------------------

const number = (value, digits = 6) => (typeof value === "number" ? Number(value.toPrecision(digits)).toString() : String(value));
const listed = (value) => (Array.isArray(value) ? value.map((one) => number(one)).join(" to ") : number(value));
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const HIDDEN = ["probabilities", "explanation", "quantiles", "times", "median", "name", "log_probability", "score", "tokens", "finish_reason"];

function rows(pairs) {
  const table = element("table", null);
  for (const [name, ...cells] of pairs) table.append(element("tr", null, element("th", name), ...cells.map((cell) => element("td", null, cell))));
  return table;
}

// A bar as wide as a share of the widest one.
function bar(share, colour) {
  const made = element("div", "");
  made.className = "bar";
  made.style.width = `${100 * Math.min(share, 1)}%`;
  made.style.background = `rgb(${colour})`;
  return made;
}

function shown(prediction, given) {
  const pairs = Object.entries(prediction).filter(([name, value]) => !HIDDEN.includes(name) && value !== null && (typeof value !== "object" || Array.isArray(value)));
  const parts = [rows(pairs.map(([name, value]) => [name, listed(value)]))];
  if (prediction.probabilities) {
    const likely = Object.entries(prediction.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 20);
    parts.push(rows(likely.map(([name, value]) => [name, percent(value), bar(value, "34, 102, 170")])));
  }
  if (prediction.explanation) parts.push(why(prediction.explanation, given));
  if (prediction.quantiles) parts.push(...forecast(prediction, given));
  return parts;
}

function why(explanation, given) {
  const most = Math.max(...explanation.parts.map((part) => Math.abs(part.contribution)), 1e-12);
  const colour = (part) => (part.contribution > 0 ? RAISES : LOWERS);
  const called = (part) => (part.text !== undefined ? part.text : `${part.column} = ${part.value === null ? "(none)" : number(part.value)}`);
  const strong = [...explanation.parts].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, 12);
  const told = `${explanation.of}: ${number(explanation.value)}, beside ${number(explanation.baseline)} of the baseline. Green raises it, red lowers it.`;
  const found = element("div", null, element("h2", "Why"), element("p", told));
  if (explanation.kind === "patches") found.append(patches(explanation, most, colour));
  else {
    if (explanation.kind === "words") found.append(words(explanation.parts, given, most, colour));
    found.append(rows(strong.map((part) => [called(part), (part.contribution > 0 ? "+" : "") + number(part.contribution, 3), bar(Math.abs(part.contribution) / most, colour(part))])));
  }
  return found;
}

function words(parts, given, most, colour) {
  const text = element("p", "");
  text.className = "written";
  const letters = [...given]; // places are of whole characters, as in Python
  let end = 0;
  for (const part of parts) {
    const word = element("span", part.text);
    word.style.background = `rgba(${colour(part)}, ${(0.7 * Math.abs(part.contribution)) / most})`;
    text.append(letters.slice(end, part.start).join(""), word);
    end = part.end;
  }
  return text;
}

function patches(explanation, most, colour) {
  const height = Math.max(...explanation.parts.map((part) => part.row + part.height));
  const width = Math.max(...explanation.parts.map((part) => part.column + part.width));
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "which parts of the picture counted", class: "patches" });
  svg.append(drawn("image", { href: `data:image/png;base64,${explanation.picture}`, width, height }));
  for (const part of explanation.parts) {
    const place = { x: part.column, y: part.row, width: part.width, height: part.height };
    const fill = { fill: `rgb(${colour(part)})`, "fill-opacity": (0.6 * Math.abs(part.contribution)) / most };
    const title = drawn("title", {});
    title.textContent = number(part.contribution);
    svg.append(drawn("rect", { ...place, ...fill }, title));
  }
  return svg;
}

// The end of the past, the median of the future, and bands that hold 80 % and 95 % of it.
function forecast(prediction, given) {
  const quantiles = prediction.quantiles, steps = prediction.median.length;
  const past = (Array.isArray(given) ? given : given.values).slice(-MOST_PAST * steps);
  const all = [...past, ...Object.values(quantiles).flat()].filter((value) => value !== null);
  const low = Math.min(...all), span = Math.max(...all) - low || 1, count = past.length + steps;
  const point = (value, k) => `${(600 * k) / Math.max(count - 1, 1)},${195 - (190 * (value - low)) / span}`;
  const ahead = (values) => values.map((value, k) => point(value, past.length + k));
  const svg = drawn("svg", { viewBox: "0 0 600 200", role: "img", "aria-label": `a forecast of ${steps} steps after ${past.length} past values`, class: "chart" });
  for (const [lower, upper, opacity] of [["0.025", "0.975", "0.2"], ["0.1", "0.9", "0.3"]]) {
    const points = [...ahead(quantiles[lower]), ...ahead(quantiles[upper]).reverse()].join(" ");
    svg.append(drawn("polygon", { points, fill: "#4488cc", "fill-opacity": opacity }));
  }
  const known = past.map((value, k) => (value === null ? null : point(value, k))).filter((each) => each !== null);
  svg.append(drawn("polyline", { points: known.join(" "), class: "past" }));
  svg.append(drawn("polyline", { points: ahead(prediction.median).join(" "), class: "median" }));
  const told = `From ${number(low)} to ${number(low + span)}. Grey: the past; blue: the median, with bands for 80 % and 95 %.`;
  const lines = prediction.median.slice(0, 100).map((value, k) => {
    const when = prediction.times ? prediction.times[k] : `+${k + 1}`;
    return [when, number(value), `${number(quantiles["0.1"][k])} to ${number(quantiles["0.9"][k])}`];
  });
  return [svg, element("p", told), rows([["step", "median", "80 %"], ...lines])];
}

function picture(one) {
  const made = element("img", null);
  made.src = `data:image/png;base64,${one.b64_json}`;
  made.alt = "a picture that the model made";
  return made;
}

// --- asking ----------------------------------------------------------------------------------------------------------

async function write() {
  const prompt = at("input").value || at("input").placeholder;
  const place = element("span", "");
  const written = element("p", null, element("b", prompt), place);
  written.className = "written";
  at("answer").replaceChildren(written);
  going = new AbortController();
  at("stop").hidden = false;
  const answer = await asked("/v1/completions", { model: model().id, prompt, max_tokens: 300, temperature: 0.8, stream: true }, going.signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    const events = (held + next.value).split("\n\n");
    held = events.pop();
    for (const event of events.filter((text) => text !== "data: [DONE]")) {
      const said = JSON.parse(event.slice(6));
      if (said.error) throw new Error(said.error.message);
      for (const choice of said.choices) place.textContent += choice.text;
    }
  }
}

async function answer(route) {
  if (busy) return;
  busy = true;
  at("problem").textContent = "";
  at("answer").replaceChildren();
  at("answer").setAttribute("aria-busy", "true");
  try {
    if (route === "completions") return await write();
    const given = input();
    const said = await (await asked(`/v1/${route}`, { model: model().id, inputs: [given] })).json();
    const found = said.predictions || said.explanations || said.forecasts || said.translations || said.data;
    const parts = found.flatMap((one) => (one.images ? one.images.map(picture) : shown(one, given)));
    at("answer").replaceChildren(...parts);
  } catch (error) {
    if (error.name !== "AbortError") at("problem").textContent = error.message;
  } finally {
    going = null;
    busy = false;
    at("stop").hidden = true;
    at("answer").removeAttribute("aria-busy");
  }
}

at("model").addEventListener("change", choose);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  answer(model().routes[0]);
});
at("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
});
at("why").addEventListener("click", () => answer("explain"));
at("stop").addEventListener("click", () => going && going.abort());
at("file").addEventListener("change", () => take(at("file").files[0]));
for (const kind of ["dragover", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser leaves the page and opens the file
    if (kind === "drop" && !at("drop").hidden) take(event.dataTransfer.files[0]);
  });
}
asked("/v1/models")
  .then((found) => found.json())
  .then((found) => {
    models = found.data;
    at("model").append(...models.map((one) => choice(one.id)));
    choose();
  })
  .catch((error) => { at("problem").textContent = error.message; });
