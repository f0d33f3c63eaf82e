// Shows flows as cards: a name that can be read from the last row, the picture, and what is wrong.

import { byId, clockText, countText, h, rateText } from "./dom.js";
import { Picture } from "./picture.js";

const STATUS = {
  running: "running",
  stale: "older version runs",
  broken: "does not run",
  off: "switched off",
};

/** With no more flows than these all pictures are drawn at once, else each when somebody sees it. */
const FEW = 60;

/** One flow on the page. */
class Card {
  constructor(data, list) {
    this.list = list;
    this.isVisible = false;
    this.numbers = null;
    this.name = h("h2", { id: `flow-${data.name}` });
    this.status = h("span", { class: "status" });
    this.rates = h("p", { class: "rates" });
    this.description = h("p", { class: "description" });
    this.holder = h("div", { class: "holder" });
    this.frames = h("div", { class: "frames" });
    this.errors = h("div", { class: "errors", role: "region", "aria-label": `Errors of ${data.name}`, hidden: true });
    this.edit = h("button", { type: "button", class: "quiet", onclick: () => list.on.edit(this.data) }, "Edit");
    this.element = h("article", { class: "card", tabindex: -1, "aria-labelledby": `flow-${data.name}`, "data-flow": data.name },
      h("header", {}, this.name, this.status, this.rates, this.edit),
      this.description, this.frames, this.holder, this.errors);
    this.update(data, null);
    list.seeing.observe(this.element);
  }

  update(data, joins) {
    const before = this.data;
    this.data = data;
    this.element.dataset.status = data.status;
    this.name.textContent = data.name;
    this.status.textContent = data.status === "stale" ? `the running version is from ${clockText(data.since)}` : STATUS[data.status];
    this.status.hidden = data.status === "running";
    this.description.textContent = data.description;
    this.description.hidden = !data.description;
    this.edit.setAttribute("aria-label", `Edit ${data.file}`);
    this.edit.title = data.file;
    this.frames.replaceChildren(...data.frames.map((frame) => frameElement(frame)));
    if (joins) this.joins = joins;
    this.draw(before);
  }

  draw(before) {
    if (!this.data.picture) {
      this.picture = null;
      this.holder.replaceChildren();
      return;
    }
    const isNew = !this.picture || JSON.stringify(before?.picture) !== JSON.stringify(this.data.picture);
    const isMoved = JSON.stringify(this.drawnJoins) !== JSON.stringify(this.joins);
    if (!isNew && !isMoved) {
      this.picture.card = this.data;
      return;
    }
    this.drawnJoins = this.joins;
    this.picture = new Picture(this.data, this.joins ?? { from: [], to: [] }, this.list.on);
    this.holder.replaceChildren(this.picture.element);
    this.redraw();
    if (before?.picture && isNew) this.picture.flash(before.picture);
  }

  /** Draws for the width that there is now; cards that nobody sees are drawn when somebody does. */
  redraw() {
    if (!this.picture) return;
    const width = this.holder.clientWidth;
    if (!width || !(this.isVisible || this.list.cards.size <= FEW)) {
      this.picture.width = 0;
      this.holder.style.minHeight = "6rem";
      return;
    }
    this.holder.style.minHeight = "";
    this.picture.draw(width);
    this.picture.select(this.list.selected.flow === this.data.name ? this.list.selected.step : "");
    if (this.numbers) this.picture.update(this.numbers, performance.now());
  }

  see(isVisible) {
    this.isVisible = isVisible;
    if (isVisible && this.picture && !this.picture.width) this.redraw();
  }

  tell(numbers) {
    this.numbers = numbers;
    const rate = rateText(numbers.rate) || "–";
    const failed = numbers.dropped ? h("span", { class: "bad" }, `${countText(numbers.dropped)} failed`) : "";
    const handled = numbers.handled ? h("span", { class: "mild" }, `${countText(numbers.handled)} handled`) : "";
    const stopped = Object.values(numbers.stopped ?? {}).reduce((sum, count) => sum + count, 0);
    const ended = stopped ? h("span", { class: "mild" }, `${countText(stopped)} stopped`) : "";
    this.rates.replaceChildren(h("strong", {}, rate), h("span", { class: "mild" }, `${countText(numbers.received)} in`), ended, handled, failed);
    if (this.isVisible && this.picture?.width) this.picture.update(numbers, performance.now());
    this.showErrors(numbers.errors ?? []);
  }

  showErrors(errors) {
    this.errors.hidden = errors.length === 0;
    const key = JSON.stringify(errors.map((error) => [error.frame, error.step]));
    if (key !== this.errorsKey) {
      this.errorsKey = key;
      this.errors.replaceChildren(...errors.map((error) => {
        const count = h("span", { class: "count" });
        return h("details", {}, h("summary", {}, count, h("b", {}, error.step || error.code), " ", error.message), frameElement(error));
      }));
    }
    this.errors.querySelectorAll(".count").forEach((element, index) => {
      element.textContent = `${countText(errors[index].count)} × `;
    });
  }
}

/** A diagnostic as the terminal shows it: the text is put in as text. */
export function frameElement(frame) {
  return h("pre", { class: `frame ${frame.severity}`, tabindex: 0, role: "group", "aria-label": `${frame.severity}: ${frame.message}` },
    frame.frame.trimEnd().split("\n").map((line, index) => {
      const kind = index === 0 ? "frame-head" : /^\s*(\d+ )?\|\s*[\^]/.test(line) ? "frame-mark" : /^(help|note):/.test(line) ? "frame-help" : /^\s*(-->|\d* \||\.\.\.)/.test(line) ? "frame-line" : "";
      return h("span", { class: kind }, `${line}\n`);
    }));
}

/** All flows. */
export class CardList {
  constructor(on) {
    this.on = on;
    this.cards = new Map();
    this.selected = { flow: "", step: "" };
    this.element = byId("cards");
    this.filter = "";
    this.seeing = new IntersectionObserver((entries) => {
      for (const entry of entries) this.cards.get(entry.target.dataset.flow)?.see(entry.isIntersecting);
      on.see(this.visible());
    }, { rootMargin: "120px" });
    new ResizeObserver(() => this.redraw()).observe(this.element);
    setInterval(() => {
      const now = performance.now();
      for (const card of this.cards.values()) if (card.isVisible && card.picture?.width) card.picture.countDown(now);
    }, 100);
  }

  visible() {
    return [...this.cards.values()].filter((card) => card.isVisible).map((card) => card.data.name);
  }

  redraw(isForced = false) {
    const width = this.element.clientWidth;
    if (width === this.width && !isForced) return;
    this.width = width;
    for (const card of this.cards.values()) card.redraw();
  }

  /** Takes what there is now; `reload` says what was changed. */
  show(state) {
    const names = new Set(state.cards.map((card) => card.name));
    for (const [name, card] of this.cards) {
      if (names.has(name)) continue;
      this.cards.delete(name);
      this.seeing.unobserve(card.element);
      card.element.classList.add("leaving");
      setTimeout(() => card.element.remove(), 500);
    }
    let place = null;
    for (const data of state.cards) {
      const joins = { from: state.joins.filter((join) => join.to === data.name), to: state.joins.filter((join) => join.flow === data.name) };
      let card = this.cards.get(data.name);
      if (card) card.update(data, joins);
      else {
        card = new Card(data, this);
        card.update(data, joins);
        this.cards.set(data.name, card);
        if (this.width !== undefined) card.element.classList.add("arriving");
      }
      const next = place ? place.nextElementSibling : this.element.firstElementChild;
      if (next !== card.element) this.element.insertBefore(card.element, next);
      place = card.element;
    }
    for (const card of this.cards.values()) if (!card.picture?.width) card.redraw();
    this.find(this.filter);
    const settings = byId("settings");
    settings.replaceChildren(...state.settings.map((frame) => h("article", { class: "card", "data-status": "broken" }, h("header", {}, h("h2", {}, "flowrunner.yaml"), h("span", { class: "status" }, "the settings stay as they were")), frameElement(frame))));
    const empty = byId("empty");
    empty.hidden = state.cards.length > 0;
    empty.textContent = "There is no flow yet: flowrunner new NAME writes a first one.";
  }

  tell(numbers) {
    for (const [name, card] of this.cards) if (numbers.flows[name]) card.tell(numbers.flows[name]);
  }

  find(text) {
    this.filter = text;
    const wanted = text.trim().toLowerCase();
    for (const card of this.cards.values()) {
      const { name, description, file } = card.data;
      card.element.hidden = wanted !== "" && !`${name} ${description} ${file}`.toLowerCase().includes(wanted);
    }
  }

  select(flow, step) {
    this.selected = { flow, step };
    for (const [name, card] of this.cards) card.picture?.select(name === flow ? step : "");
  }

  visit(name) {
    const card = this.cards.get(name);
    if (!card) return;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.element.scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: "center" });
    card.element.focus({ preventScroll: true });
    card.element.classList.add("visited");
    setTimeout(() => card.element.classList.remove("visited"), 1500);
  }

  /** Moves from card to card with the keyboard. */
  step(by) {
    const all = [...this.element.children].filter((element) => !element.hidden);
    const here = all.findIndex((element) => element.contains(document.activeElement));
    const next = all[Math.min(Math.max(here + by, 0), all.length - 1)];
    if (next) this.visit(next.dataset.flow);
  }

  focused() {
    return this.cards.get(document.activeElement?.closest?.("[data-flow]")?.dataset.flow)?.data;
  }
}
