// Puts the page together: what the runner tells goes to the parts, and what people do goes to the runner.

import { get, Listener } from "./api.js";
import { CardList } from "./cards.js";
import { byId, h, rateText } from "./dom.js";
import { Editor } from "./editor.js";
import { Messages } from "./messages.js";
import { Publisher } from "./publish.js";
import { startLook, toggleBigger, toggleTheme } from "./looks.js";

let session = { can_edit: false, can_publish: false, why: "" };
let state = { cards: [], joins: [], settings: [], numbers: { flows: {}, connections: [] } };
let seen = [];
let lookTimer = 0;
const opened = { flow: "", step: "", tab: "messages" };

const cards = new CardList({
  open: (card, step) => open(card.name, step),
  edit: (card) => edit(card),
  visit: (name) => cards.visit(name),
  see: (names) => { seen = names; look(); },
});
const messages = new Messages();
const editor = new Editor(() => session, (isDirty) => { byId("tab-editor").textContent = isDirty ? "Edit •" : "Edit"; });
const publisher = new Publisher();

const listener = new Listener({
  state: (told) => { show(told); look(0); },
  change: (told) => { show({ ...state, ...told }); if (told.reload) editor.refresh(); },
  tick: (told) => tell(told),
  messages: (told) => messages.take(told),
  news: (told) => say(told),
  failed: () => undefined,
}, (isGone) => { byId("gone").hidden = !isGone; if (!isGone) learn(); });

function learn() {
  get("/api/session").then((found) => {
    session = found;
    byId("open-publish").hidden = !found.can_publish;
    const rights = byId("rights");
    rights.hidden = found.can_edit;
    rights.textContent = "looking only";
    rights.title = found.why === "read-only" ? "This page was opened for looking only." : "To edit and publish, open the address with the token that flowrunner printed.";
  }).catch(() => undefined);
}

function show(told) {
  state = told;
  cards.show(told);
  if (told.numbers) tell(told.numbers);
  publisher.know(state.numbers.connections, state.cards);
  if (opened.flow) refreshPanel();
}

function tell(numbers) {
  state.numbers = numbers;
  cards.tell(numbers);
  const list = byId("connections");
  const key = JSON.stringify(numbers.connections.map((one) => [one.name, one.url, one.is_there, one.version, one.clients]).concat(numbers.workers));
  if (list.dataset.key !== key) {
    list.dataset.key = key;
    list.replaceChildren(...numbers.connections.map(connectionElement), ...workersElement(numbers.workers));
  }
  const rate = Object.values(numbers.flows).reduce((sum, flow) => sum + flow.rate, 0);
  byId("total").textContent = rateText(rate) || "–";
}

/** A connection: its name and address, and how many of its clients have their broker where that is not all. */
function connectionElement(one) {
  const protocol = `MQTT ${one.version === 5 ? "5" : "3.1.1"}`;
  const clients = one.clients ?? { there: one.is_there ? 1 : 0, all: 1 };
  const some = one.is_there || !clients.there ? "" : ` (${clients.there} of ${clients.all})`;
  return h("li", { class: one.is_there ? "there" : "away", title: clients.there ? `${protocol}${clients.all > 1 ? `, ${clients.all} clients` : ""}` : "no broker" },
    h("span", { class: "dot", "aria-hidden": "true" }), one.name === "default" ? "" : `${one.name} `, `${one.url}${some}`, h("span", { class: "hidden" }, one.is_there ? " connected" : " away"));
}

/** How many processes do the work, where there are some. */
function workersElement(workers) {
  if (!workers?.length) return [];
  const there = workers.filter((one) => one.is_there).length;
  const restarts = workers.reduce((sum, one) => sum + one.restarts, 0);
  const text = there === workers.length ? `${there} worker${there === 1 ? "" : "s"}` : `${there} of ${workers.length} workers`;
  const title = restarts ? `started again: ${workers.filter((one) => one.restarts).map((one) => `worker ${one.number} ${one.restarts} ×`).join(", ")}` : "";
  return [h("li", { class: there === workers.length ? "workers there" : "workers away", title }, text)];
}

/** Says what is on the screen, so that the runner looks into these flows and no others. */
function look(delay = 120) {
  clearTimeout(lookTimer);
  const isLooking = opened.flow && opened.tab === "messages" && !byId("panel").hidden;
  lookTimer = setTimeout(() => listener.look(seen, isLooking ? opened.flow : "", isLooking ? opened.step : ""), delay);
}

function stepIn(steps, name) {
  for (const step of steps ?? []) {
    if (step.name === name) return step;
    for (const inner of [...step.branches, ...(step.on_error ? [step.on_error] : [])]) {
      const found = stepIn(inner.steps, name);
      if (found) return found;
    }
  }
  return null;
}

const cardOf = (name) => state.cards.find((card) => card.name === name);

function open(flow, step) {
  Object.assign(opened, { flow, step });
  choose("messages");
}

function edit(card, line) {
  Object.assign(opened, { flow: card.name, step: opened.flow === card.name ? opened.step : (card.picture?.steps[0]?.name ?? "") });
  choose("editor");
  editor.open(card.file, line ?? card.frames[0]?.line ?? card.line);
}

function choose(tab) {
  opened.tab = tab;
  const panel = byId("panel");
  const wasHidden = panel.hidden;
  panel.hidden = false;
  document.body.classList.add("with-panel");
  for (const name of ["messages", "editor"]) {
    const isChosen = name === tab;
    byId(name).hidden = !isChosen;
    byId(`tab-${name}`).setAttribute("aria-selected", String(isChosen));
    byId(`tab-${name}`).tabIndex = isChosen ? 0 : -1;
  }
  refreshPanel();
  look(0);
  if (wasHidden) requestAnimationFrame(() => document.querySelector(`[data-flow="${CSS.escape(opened.flow)}"]`)?.scrollIntoView({ block: "nearest" }));
}

function refreshPanel() {
  const card = cardOf(opened.flow);
  const step = stepIn([...(card?.picture?.steps ?? []), ...(card?.picture?.on_error?.steps ?? [])], opened.step);
  cards.select(opened.flow, opened.step);
  messages.open(opened.flow, opened.step, step?.yaml ?? "");
}

function closePanel() {
  byId("panel").hidden = true;
  document.body.classList.remove("with-panel");
  const [flow, step] = [opened.flow, opened.step];
  opened.flow = "";
  cards.select("", "");
  look(0);
  document.querySelector(`[data-flow="${CSS.escape(flow)}"] [data-step="${CSS.escape(step)}"]`)?.focus({ preventScroll: true });
}

function say(told) {
  const line = h("p", { class: told.level }, told.text);
  const news = byId("news");
  news.append(line);
  while (news.children.length > 3) news.firstElementChild.remove();
  setTimeout(() => line.remove(), told.level === "info" ? 6000 : 15000);
}

byId("tab-messages").addEventListener("click", () => choose("messages"));
byId("tab-editor").addEventListener("click", () => { const card = cardOf(opened.flow); if (card) edit(card, stepIn(card.picture?.steps, opened.step)?.line); });
document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = byId(opened.tab === "messages" ? "tab-editor" : "tab-messages");
  other.focus();
  other.click();
});
byId("close-panel").addEventListener("click", closePanel);
byId("find").addEventListener("input", (event) => cards.find(event.target.value));
byId("open-publish").addEventListener("click", () => publisher.open());
byId("theme").addEventListener("click", toggleTheme);
byId("bigger").addEventListener("click", () => { toggleBigger(); cards.redraw(true); });

const KEYS = [
  ["/", "find a flow", () => byId("find").focus()],
  ["j", "next flow", () => cards.step(1)],
  ["k", "previous flow", () => cards.step(-1)],
  ["e", "edit the flow that has the focus", () => { const card = cards.focused() ?? cardOf(opened.flow); if (card) edit(card); }],
  ["p", "publish a message", () => session.can_publish && publisher.open()],
  ["b", "larger, for a beamer", () => byId("bigger").click()],
  ["t", "dark or light", toggleTheme],
  ["?", "these keys", () => help()],
];

function help() {
  const dialog = byId("help");
  const rows = [...KEYS.map(([key, words]) => [key, words]), ["← →", "from step to step"], ["Enter", "messages of a step"], ["Ctrl+S", "save what is edited"], ["Escape", "close"]];
  dialog.replaceChildren(h("h2", { id: "help-title" }, "Keys"), h("dl", {}, rows.flatMap(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)])), h("div", { class: "bar end" }, h("button", { type: "button", onclick: () => dialog.close() }, "Close")));
  if (!dialog.open) dialog.showModal();
}
byId("open-help").addEventListener("click", help);

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select, .cm-editor, dialog");
  if (event.key === "Escape" && !event.target.closest?.(".cm-editor, dialog")) {
    if (event.target === byId("find")) { byId("find").value = ""; cards.find(""); byId("flows").focus(); } else if (!byId("panel").hidden) closePanel();
    return;
  }
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const found = KEYS.find(([key]) => key === event.key);
  if (found) { event.preventDefault(); found[2](); }
});

startLook();
