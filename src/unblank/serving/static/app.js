// The page: its fields and buttons, tied to the calls of the server and to what is drawn.

import * as api from "./api.js";
import { closeMenus, drawAnswer, element, percent } from "./answer.js";
import { alternativesOf, blankOut, countBlanks, openBlanks, orderOf, withPins } from "./blanks.js";
import { History } from "./history.js";
import { Rules } from "./rules.js";
import { drawSides, drawView } from "./view.js";

const at = (id) => document.getElementById(id);
const EXAMPLES = {
  blanks: "The [MASK] was called off because of the [MASK].",
  targets: "A dog runs across the field.",
};
const HELP = {
  blanks: "Select words and make them a blank, or write [MASK]. The model decides how long each fill is.",
  targets: "What the model reads. It writes an answer as it was trained to: a translation, a summary.",
};
const REST_BEFORE_VIEW = 350; // milliseconds

const state = {
  models: [],
  pins: new Map(), // blank -> text
  fills: new Map(), // blank -> what the model put there
  answered: null, // the text that the answer belongs to
  running: null, // AbortController
  rows: null, // of Part B of the last answer
};

const rules = new Rules(at("rules"));
const history = new History(at("history"), at("history-empty"), restore);

// ---------------------------------------------------------------- the model

function model() {
  return state.models.find((one) => one.id === at("model").value);
}

function writesBlanks() {
  return model()?.can.includes("fill") ?? true;
}

async function begin() {
  try {
    state.models = (await api.listModels()).filter((one) => one.can.includes("score"));
  } catch (error) {
    at("key-field").hidden = error.status !== 401;
    if (error.status === 401) at("key").focus();
    show(error);
    return;
  }
  if (state.models.length === 0) {
    show(new Error("This server has classifiers alone, which only programs can ask: see /docs."));
    return;
  }
  hideProblem();
  at("model").replaceChildren(...state.models.map((one) => new Option(one.id, one.id)));
  changeModel();
}

function changeModel() {
  const kind = writesBlanks() ? "blanks" : "targets";
  for (const part of document.querySelectorAll(".of-blanks")) part.hidden = kind !== "blanks";
  at("text-help").textContent = HELP[kind];
  at("text-title").textContent = kind === "blanks" ? "Text" : "Source";
  at("run").textContent = kind === "blanks" ? "Fill" : "Write";
  const text = at("text");
  if (text.value === "" || Object.values(EXAMPLES).includes(text.value)) text.value = EXAMPLES[kind];
  forgetAnswer();
}

// ---------------------------------------------------------------- the text

function changeText() {
  if (at("text").value !== state.answered) forgetAnswer();
}

function forgetAnswer() {
  stop();
  state.pins.clear();
  state.fills.clear();
  state.answered = null;
  state.rows = null;
  at("calibration").hidden = true;
  draw();
  viewSoon();
}

function makeBlank() {
  const field = at("text");
  const { selectionStart, selectionEnd, value } = field;
  const made = blankOut(value, selectionStart, selectionEnd, at("blank-kind").value);
  field.value = made.text;
  field.focus();
  field.setSelectionRange(made.caret, made.caret);
  changeText();
}

function draw() {
  const text = at("text").value;
  const count = countBlanks(text);
  at("answers").hidden = writesBlanks();
  at("result").hidden = !writesBlanks();
  if (writesBlanks()) drawAnswer(at("result"), state.answered === null ? "" : text, state.fills, state.pins, choose);
  const isPinned = state.pins.size > 0;
  at("pinned-tools").hidden = !isPinned;
  at("refill").disabled = state.pins.size >= count;
  const chosen = at("score-blank").value;
  at("score-blank").replaceChildren(
    ...Array.from({ length: count }, (_, blank) => new Option(blank + 1, blank)),
  );
  if (chosen !== "" && Number(chosen) < count) at("score-blank").value = chosen;
  const ruled = at("rule-blank").value;
  at("rule-blank").replaceChildren(
    new Option("every one", ""),
    ...Array.from({ length: count }, (_, blank) => new Option(blank + 1, blank)),
  );
  if (Number(ruled) < count) at("rule-blank").value = ruled;
}

function addRule() {
  rules.add(at("rule-blank").value, at("rule-name").value, at("rule-value").value);
  at("rule-value").value = "";
  at("rule-value").focus();
}

function choose(blank, text) {
  if (text === null) state.pins.delete(blank);
  else state.pins.set(blank, text);
  draw();
  document.querySelector(`.fill > button[data-blank="${blank}"]`)?.focus();
  viewSoon();
}

// ---------------------------------------------------------------- running

async function attempt(what, act) {
  stop();
  hideProblem();
  const running = (state.running = new AbortController());
  at("stop").hidden = false;
  at("status").textContent = what;
  const before = performance.now();
  try {
    await act(running.signal);
    if (state.running === running) {
      at("status").textContent = `${((performance.now() - before) / 1000).toFixed(1)} s`;
    }
  } catch (error) {
    if (error.name === "AbortError") {
      if (state.running === running || state.running === null) at("status").textContent = "Stopped.";
    } else {
      at("status").textContent = "";
      show(error);
    }
  } finally {
    if (state.running === running) {
      state.running = null;
      at("stop").hidden = true;
    }
  }
}

function stop() {
  state.running?.abort();
  state.running = null;
  at("stop").hidden = true;
}

function show(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
}

function hideProblem() {
  at("problem").hidden = true;
}

function run() {
  closeMenus();
  if (writesBlanks()) {
    state.pins.clear();
    return fillBlanks();
  }
  return writeAnswer();
}

function options() {
  const isSampled = at("do-sample").checked;
  const chosen = {};
  if (at("max-tokens").value !== "") chosen.max_tokens = Number(at("max-tokens").value);
  if (isSampled) {
    chosen.do_sample = true;
    chosen.temperature = Number(at("temperature").value);
    chosen.seed = Number(at("seed").value);
  }
  return chosen;
}

function severalOptions() {
  const count = Math.max(1, Number(at("num-return").value) || 1);
  const several = { num_return: count };
  if (!at("do-sample").checked) several.num_beams = count;
  return { ...options(), ...several };
}

async function fillBlanks() {
  const text = at("text").value;
  const pins = new Map(state.pins);
  const open = openBlanks(text, pins);
  await attempt("Filling …", async (signal) => {
    if (open.length === 0) {
      throw new Error("There is no open blank: select words and press “Make blank”, or write [MASK].");
    }
    const order = orderOf(at("order").value, open);
    const request = { model: model().id, text: withPins(text, pins) };
    if (order !== null) request.order = order;
    const ofOpen = rules.forOpen(open);
    if (ofOpen.length > 0) request.rules = ofOpen;
    state.answered = text;
    state.fills = new Map(open.map((blank) => [blank, { text: "", tokens: [], probability: 1, alternatives: [] }]));
    draw();
    const filled = await streamFills({ ...request, ...options() }, open, signal);
    state.rows = filled.blanks;
    viewSoon();
    if (Number(at("num-return").value) > 1) {
      at("status").textContent = "Looking for alternatives …";
      const result = await api.fill({ ...request, ...severalOptions() }, signal);
      const fillings = [filled, result, ...result.alternatives];
      open.forEach((blank, number) => {
        state.fills.get(blank).alternatives = alternativesOf(fillings, number);
      });
      draw();
    }
    remember({ text, shown: filled.text });
  });
}

async function streamFills(request, open, signal) {
  for await (const [kind, event] of api.stream("v1/fill", request, signal)) {
    if (kind === "result") {
      event.blanks.forEach((blank, number) => {
        const fill = state.fills.get(open[number]);
        fill.text = blank.text;
        fill.probability = blank.probability;
        fill.confidence = blank.confidence;
      });
      at("calibration").textContent = `Confidence (%) is ${event.calibration}.`;
      at("calibration").hidden = event.calibration === "";
      draw();
      return event;
    }
    const fill = state.fills.get(open[event.blank]);
    if (!event.is_end) {
      const before = fill.text;
      fill.text = event.blank_text;
      fill.tokens.push({
        text: event.blank_text.startsWith(before) ? event.blank_text.slice(before.length) : event.token,
        probability: Math.exp(event.log_probability),
      });
      draw();
    }
  }
  throw new Error("The answer ended early. Try again.");
}

async function writeAnswer() {
  const source = at("text").value;
  await attempt("Writing …", async (signal) => {
    state.answered = source;
    const list = at("answers");
    list.replaceChildren();
    const result = await api.generate({ model: model().id, source, ...severalOptions() }, signal);
    const all = [result, ...result.alternatives];
    list.replaceChildren(
      ...all.map((one) => {
        const line = element("li", { textContent: `${one.text} ` });
        line.append(element("span", { className: "share", textContent: `log p ${one.log_probability.toFixed(2)}` }));
        return line;
      }),
    );
    list.hidden = false;
    state.rows = result.text;
    viewSoon();
    remember({ text: source, shown: result.text });
  });
}

async function scoreCandidates() {
  const text = at("text").value;
  const candidates = at("candidates").value.split("\n").map((line) => line.trim()).filter(Boolean);
  await attempt("Scoring …", async (signal) => {
    if (candidates.length === 0) throw new Error("Write at least one candidate, one a line.");
    const request = { model: model().id, text, candidates };
    if (writesBlanks()) {
      const blank = Number(at("score-blank").value);
      const others = new Map([...state.pins].filter(([pinned]) => pinned !== blank));
      request.text = withPins(text, others);
      request.blank = openBlanks(text, others).indexOf(blank);
    }
    const result = await api.score(request, signal);
    drawScores(result.candidates);
    remember({ text, shown: `${result.candidates[0].text} ← ${candidates.length} candidates` });
  });
}

function drawScores(candidates) {
  const best = candidates[0].share || 1;
  at("scores").replaceChildren(
    ...candidates.map((candidate) => {
      const line = element("li", { title: `log-probability ${candidate.score.toFixed(3)}` });
      const bar = element("span", { className: "bar" });
      bar.style.width = `${(100 * candidate.share) / best}%`;
      line.append(
        element("span", { textContent: candidate.text }),
        bar,
        element("span", { className: "share", textContent: percent(candidate.share) }),
      );
      return line;
    }),
  );
}

// ---------------------------------------------------------------- what the model sees

let viewTimer = 0;

function viewSoon() {
  clearTimeout(viewTimer);
  viewTimer = setTimeout(drawModelView, REST_BEFORE_VIEW);
}

async function drawModelView() {
  const text = at("text").value;
  if (!model() || text.trim() === "") return;
  const places = { table: at("view"), mask: at("mask"), summary: at("view-summary") };
  if (writesBlanks() && countBlanks(withPins(text, state.pins)) === 0) {
    seeNothing(places, "There is no open blank: the model reads a text once it has one.");
    return;
  }
  try {
    if (writesBlanks()) {
      const fills = state.rows === null || state.pins.size > 0 ? [] : state.rows.map((blank) => blank.token_ids);
      const { rows } = await api.view({ model: model().id, text: withPins(text, state.pins), fills });
      drawView(rows, places);
    } else {
      const { rows } = await api.view({ model: model().id, text, answer: state.rows ?? "" });
      drawSides(rows, places);
    }
  } catch (error) {
    seeNothing(places, error.message);
  }
}

function seeNothing(places, why) {
  places.summary.textContent = why;
  places.table.replaceChildren();
  places.mask.hidden = true;
}

// ---------------------------------------------------------------- history, looks, keys

function remember(entry) {
  history.add({ model: model().id, ...entry });
}

function restore(entry) {
  if (state.models.some((one) => one.id === entry.model)) at("model").value = entry.model;
  at("text").value = entry.text;
  changeModel();
  at("text").focus();
}

function useTheme(name) {
  document.documentElement.dataset.theme = name;
  at("theme").textContent = name === "dark" ? "Light" : "Dark";
  try {
    localStorage.setItem("unblank-theme", name);
  } catch {
    // It is kept for this page at least.
  }
  drawModelView();
}

function preferredTheme() {
  let kept = null;
  try {
    kept = localStorage.getItem("unblank-theme");
  } catch {
    // Storage may be forbidden.
  }
  return kept ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

document.addEventListener("keydown", (event) => {
  const isCommand = event.ctrlKey || event.metaKey;
  if (isCommand && event.key === "Enter") {
    event.preventDefault();
    run();
  } else if (isCommand && event.key.toLowerCase() === "b" && writesBlanks()) {
    event.preventDefault();
    makeBlank();
  } else if (event.key === "Escape") {
    closeMenus();
    stop();
  }
});

at("model").addEventListener("change", changeModel);
at("key").addEventListener("change", () => {
  api.useKey(at("key").value);
  begin();
});
at("text").addEventListener("input", changeText);
at("add-rule").addEventListener("click", addRule);
at("rule-value").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) addRule();
});
at("make-blank").addEventListener("click", makeBlank);
at("run").addEventListener("click", run);
at("refill").addEventListener("click", fillBlanks);
at("unpin").addEventListener("click", () => {
  state.pins.clear();
  draw();
  viewSoon();
});
at("stop").addEventListener("click", stop);
at("score").addEventListener("click", scoreCandidates);
at("theme").addEventListener("click", () =>
  useTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
);

useTheme(preferredTheme());
begin();
