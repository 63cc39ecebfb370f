"use strict";
// The page to try models on. All that comes from a model or a person is put in as text, never as HTML.
const at = (id) => document.getElementById(id);
const HINTS = {
  completions: ["Prompt", "Once upon a time"],
  predict: ["Input: a text, or a row as JSON", '{"column": "value"}'],
  forecast: ["Past values as JSON", "[1, 2, 3, 4]"],
  translate: ["What to translate", ""],
  images: ["Which pictures, as JSON", '{"n": 4, "seed": 1}'],
};
let models = [];
let going = null; // the AbortController of an answer that is being written

function element(kind, text, ...children) {
  const made = document.createElement(kind);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

async function asked(path, body, signal) {
  const how = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal } : {};
  const answer = await fetch(path, how);
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Error(said && said.error ? said.error.message : `status ${answer.status}`);
  }
  return answer;
}

const model = () => models.find((one) => one.id === at("model").value);
const takesPictures = () => model().task === "vision";

function choose() {
  const route = model().routes[0];
  const [what, example] = HINTS[route] || ["Input as JSON", "{}"];
  at("what").textContent = takesPictures() ? "Picture" : what;
  at("input").placeholder = example;
  at("input").hidden = takesPictures();
  at("file").hidden = !takesPictures();
  at("why").hidden = !model().routes.includes("explain");
  at("answer").replaceChildren();
  at("problem").textContent = "";
}

async function input() {
  if (takesPictures()) {
    const file = at("file").files[0];
    if (!file) throw new Error("choose a picture first");
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  }
  const text = at("input").value || at("input").placeholder;
  const plain = ["classify", "translate"].includes(model().task);
  try {
    return plain ? text : JSON.parse(text);
  } catch {
    throw new Error("the input is not JSON");
  }
}

function rows(pairs) {
  const table = element("table", null);
  for (const [name, value] of pairs) table.append(element("tr", null, element("th", name), element("td", value)));
  return table;
}

const number = (value) => (typeof value === "number" ? Number(value.toPrecision(6)).toString() : String(value));

function shown(prediction) {
  const pairs = Object.entries(prediction).filter(([name]) => !["probabilities", "explanation", "quantiles", "times"].includes(name));
  const parts = [rows(pairs.map(([name, value]) => [name, Array.isArray(value) ? value.slice(0, 24).map(number).join(", ") : number(value)]))];
  if (prediction.probabilities) parts.push(rows(Object.entries(prediction.probabilities).map(([name, value]) => [name, number(value)])));
  if (prediction.explanation) parts.push(why(prediction.explanation));
  if (prediction.quantiles) parts.push(chart(prediction.quantiles));
  return parts;
}

function why(explanation) {
  const parts = [...explanation.parts].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution)).slice(0, 12);
  const called = (part) => part.text || (part.name !== undefined ? `${part.name} = ${part.value}` : `row ${part.row}, column ${part.column}`);
  return element("div", null, element("h2", "Why"), rows(parts.map((part) => [called(part), number(part.contribution)])));
}

function chart(quantiles) {
  const space = "http://www.w3.org/2000/svg";
  const all = Object.values(quantiles).flat();
  const low = Math.min(...all), span = Math.max(...all) - low || 1, count = quantiles["0.5"].length;
  const point = (value, k) => `${(600 * k) / Math.max(count - 1, 1)},${200 - (200 * (value - low)) / span}`;
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 600 200");
  svg.setAttribute("role", "img");
  for (const [lower, upper, opacity] of [["0.025", "0.975", "0.15"], ["0.1", "0.9", "0.25"]]) {
    const band = document.createElementNS(space, "polygon");
    band.setAttribute("points", [...quantiles[lower].map(point), ...quantiles[upper].map(point).reverse()].join(" "));
    band.setAttribute("fill", "#2266aa");
    band.setAttribute("fill-opacity", opacity);
    svg.append(band);
  }
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", quantiles["0.5"].map(point).join(" "));
  line.setAttribute("fill", "none");
  line.setAttribute("stroke", "#2266aa");
  svg.append(line);
  return svg;
}

async function write() {
  const prompt = at("input").value || at("input").placeholder;
  const place = element("span", "");
  at("answer").replaceChildren(element("b", prompt), place);
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
  at("problem").textContent = "";
  try {
    if (route === "completions") return await write();
    const said = await (await asked(`/v1/${route}`, { model: model().id, inputs: [await input()] })).json();
    const found = said.predictions || said.explanations || said.forecasts || said.translations || said.data;
    const parts = found.flatMap((one) => (one.images ? one.images.map(picture) : shown(one)));
    at("answer").replaceChildren(...parts);
  } catch (error) {
    if (error.name !== "AbortError") at("problem").textContent = error.message;
  } finally {
    going = null;
    at("stop").hidden = true;
  }
}

function picture(one) {
  const made = element("img", null);
  made.src = `data:image/png;base64,${one.b64_json}`;
  made.alt = "a picture that the model made";
  return made;
}

at("model").addEventListener("change", choose);
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  answer(model().routes[0]);
});
at("why").addEventListener("click", () => answer("explain"));
at("stop").addEventListener("click", () => going && going.abort());
asked("/v1/models")
  .then((found) => found.json())
  .then((found) => {
    models = found.data;
    at("model").append(...models.map((one) => element("option", one.id)));
    choose();
  })
  .catch((error) => { at("problem").textContent = error.message; });
