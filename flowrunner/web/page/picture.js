// Draws a flow: its sources, its steps in a row, branches below, and arrows with how much goes along them.

import { rateText, rem, s, secondsText, countText } from "./dom.js";

const measuring = document.createElement("canvas").getContext("2d");

/** How wide a text is, in pixels. */
function widthOf(text, font) {
  measuring.font = font;
  return measuring.measureText(text).width;
}

/** A text cut so that it fits. */
function fit(text, font, room) {
  if (widthOf(text, font) <= room) return text;
  let low = 0;
  let high = text.length;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (widthOf(`${text.slice(0, middle)}…`, font) <= room) low = middle;
    else high = middle - 1;
  }
  return `${text.slice(0, low)}…`;
}

const PASSES_BESIDE = new Set(["switch", "call", "retry"]);

/** Whether a message can go on behind a step without taking one of its branches. */
function passesDirectly(step) {
  if (!step.branches.length || !PASSES_BESIDE.has(step.kind)) return true;
  return step.kind === "switch" && !step.branches.some((branch) => branch.label === "else");
}

export class Picture {
  /** `flow` is the card; `joins` are the flows that its topics lead to and come from; `on` hears of clicks. */
  constructor(card, joins, on) {
    this.card = card;
    this.joins = joins;
    this.on = on;
    this.nodes = new Map();
    this.edges = new Map();
    this.width = 0;
    this.element = s("svg", { class: "picture", role: "group", "aria-label": `Steps of ${card.name}` });
    this.element.addEventListener("keydown", (event) => this.move(event));
  }

  /** Draws anew for a width in pixels. */
  draw(width) {
    this.width = width;
    const unit = rem();
    this.unit = unit;
    this.isNarrow = width < 34 * unit;
    this.fonts = { kind: `600 ${0.95 * unit}px system-ui, sans-serif`, label: `${0.82 * unit}px ui-monospace, monospace` };
    this.size = { gap: (this.isNarrow ? 2.1 : 3.8) * unit, row: 1.5 * unit, height: 3.3 * unit, most: 15 * unit, least: 5.5 * unit };
    this.limit = width - (this.isNarrow ? 0.5 : 1.3) * unit;
    this.nodes.clear();
    this.edges.clear();
    this.lines = s("g", { class: "edges" });
    this.boxes = s("g", { class: "nodes" });
    const picture = this.card.picture;
    const top = 0.9 * unit; // room for the number of errors
    const begin = this.drawSources(picture.sources, 2, top);
    const first = this.isNarrow
      ? { x: 2, y: begin.height + top + this.size.gap }
      : { x: begin.right + this.size.gap, y: Math.max(top, begin.middle - this.size.height / 2) };
    let bottom = begin.height + top;
    if (picture.steps.length) {
      const placed = this.drawSteps(picture.steps, first.x, first.y, begin.exits, "", 2 + 1.6 * unit);
      placed.bottom = Math.max(placed.bottom, begin.height + top);
      bottom = Math.max(bottom, placed.bottom);
    }
    if (picture.on_error) bottom = this.drawHandling(picture.on_error, 2, bottom + this.size.row, "on_error");
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.step : null;
    this.element.replaceChildren(this.lines, this.boxes);
    if (focused) this.nodes.get(focused)?.group.focus({ preventScroll: true });
    const right = Math.max(width, this.right ?? 0);
    this.element.setAttribute("viewBox", `0 0 ${Math.ceil(right)} ${Math.ceil(bottom + 0.4 * unit)}`);
    this.element.setAttribute("width", Math.ceil(right));
    this.element.setAttribute("height", Math.ceil(bottom + 0.4 * unit));
  }

  drawSources(sources, x, y) {
    const unit = this.unit;
    const exits = [];
    let top = y;
    let right = x;
    const comes = [...new Set(this.joins.from.map((join) => join.flow))];
    sources.forEach((source, index) => {
      const known = { subscribe: "hears", every: "every", cron: "cron", at_start: "at start" };
      const notes = [source.qos ? `QoS ${source.qos}` : "", source.connection && source.connection !== "default" ? `on ${source.connection}` : ""];
      const chips = index === 0 ? comes : [];
      const node = this.node({
        x, y: top, kind: known[source.kind] ?? source.kind, label: source.label, className: "source", name: `source ${index + 1}`,
        chips: chips.map((flow) => ({ text: `◂ ${flow}`, flow })),
        notes: notes.filter(Boolean).join(", "),
        open: () => this.on.open(this.card, this.card.picture.steps[0]?.name ?? ""),
        says: `${known[source.kind] ?? source.kind} ${source.label}`,
      });
      exits.push({ x: node.x + node.width, y: node.y + this.size.height / 2, node, isSource: true });
      right = Math.max(right, node.x + node.width);
      top = node.bottom + 0.7 * unit;
    });
    const height = top - 0.7 * unit - y;
    return { exits, right, height, middle: y + Math.min(height, this.size.height) / 2 };
  }

  /** Draws a list of steps from a place on; `entries` are where arrows into the first one begin; further rows begin at `left`. */
  drawSteps(steps, x, y, entries, label = "", left = x + 0.8 * this.unit) {
    const { gap, row } = this.size;
    let here = { x, y };
    let bottom = y;
    let from = entries;
    let rowBottom = Math.max(y, ...entries.filter((entry) => entry.isSource).map((entry) => entry.node.bottom));
    for (const [index, step] of steps.entries()) {
      const width = this.measure(step);
      const needed = step.branches.length ? width + 12 * this.unit : width;
      if (!this.isNarrow && index > 0 && here.x + needed > this.limit && here.x > left) {
        here = { x: left, y: rowBottom + row * 1.5 };
        rowBottom = here.y;
      }
      const node = this.stepNode(step, here.x, here.y, width);
      for (const [number, exit] of from.entries()) this.edge(exit, node, step.name, number === 0 ? label : "", number === 0);
      label = "";
      let blockRight = node.x + node.width;
      let blockBottom = node.bottom;
      const exits = passesDirectly(step) && !step.ends ? [this.exitOf(node)] : [];
      for (const branch of step.branches) {
        const start = { x: node.x + 1.6 * this.unit, y: blockBottom + row + (branch.label ? 0.4 * this.unit : 0) };
        if (!this.isNarrow) start.x += gap * 0.45;
        const placed = this.drawSteps(branch.steps, start.x, start.y, [{ x: node.x + 0.8 * this.unit, y: node.y + node.height, node, isBranch: true }], branch.label);
        blockBottom = placed.bottom;
        blockRight = Math.max(blockRight, placed.right);
        if (branch.joins) exits.push(...placed.exits.map((exit) => ({ ...exit, joins: true })));
      }
      if (step.on_error?.steps?.length) blockBottom = this.drawHandling(step.on_error, node.x + 1.2 * this.unit, blockBottom + 0.5 * this.unit, "on_error", node);
      rowBottom = Math.max(rowBottom, blockBottom);
      bottom = Math.max(bottom, blockBottom);
      this.right = Math.max(this.right ?? 0, blockRight + 4);
      from = exits;
      here = this.isNarrow ? { x, y: blockBottom + gap * 0.8 } : { x: blockRight + gap, y: here.y };
    }
    return { bottom, right: this.isNarrow ? x : here.x - gap, exits: from };
  }

  drawHandling(handling, x, y, title, node) {
    const text = handling.how === "continue" ? "on error: goes on unchanged" : "on error";
    this.lines.append(s("text", { class: "handling", x, y: y + 0.9 * this.unit }, text));
    if (node) this.lines.append(s("path", { class: "branch failing", d: `M${x - 0.6 * this.unit} ${node.y + node.height} V${y + 0.6 * this.unit} H${x - 2}` }));
    if (!handling.steps.length) return y + 1.2 * this.unit;
    return this.drawSteps(handling.steps, x, y + 1.4 * this.unit, []).bottom;
  }

  measure(step) {
    const text = Math.max(widthOf(step.kind + (step.id ? ` ${step.id}` : ""), this.fonts.kind) + 1.2 * this.unit, widthOf(step.label, this.fonts.label));
    const most = this.isNarrow ? this.limit - 2.4 * this.unit : this.size.most;
    return Math.min(Math.max(text + 1.7 * this.unit, this.size.least, step.group === "time" ? 11 * this.unit : 0), most);
  }

  stepNode(step, x, y, width) {
    const to = this.joins.to.filter((join) => join.step === step.name);
    return this.node({
      x, y, width: this.isNarrow ? Math.min(width, this.limit - x) : width,
      kind: step.kind, label: step.label, className: `step ${step.group}`, name: step.name, id: step.id,
      chips: [...new Set(to.map((join) => join.to))].map((flow) => ({ text: `▸ ${flow}`, flow })),
      hasState: step.group === "time" || step.group === "outside" && !["log", "write"].includes(step.kind) || step.kind === "retry",
      when: step.when,
      open: () => this.on.open(this.card, step.name),
      says: `${step.name}${step.label ? `: ${step.label}` : ""}${step.when ? `, when ${step.when}` : ""}`,
      title: step.yaml,
    });
  }

  node(given) {
    const unit = this.unit;
    const width = given.width ?? Math.min(Math.max(widthOf(given.label, this.fonts.label), widthOf(given.kind, this.fonts.kind) + 2 * unit) + 2.2 * unit, this.isNarrow ? this.limit - 4 : this.size.most * 1.2);
    const height = this.size.height + (given.hasState ? 1.35 * unit : 0);
    const room = width - 1.6 * unit;
    const group = s("g", {
      class: `node ${given.className}`, tabindex: 0, role: "button", "data-step": given.name,
      transform: `translate(${given.x} ${given.y})`,
      onclick: given.open,
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); given.open(); } },
    });
    if (given.title) group.append(s("title", {}, given.title));
    group.append(
      s("rect", { class: "box", width, height, rx: given.className === "source" ? this.size.height / 2 : 0.55 * unit }),
      given.className === "source" ? "" : s("rect", { class: "bar", x: 0.35 * unit, y: 0.6 * unit, width: 0.22 * unit, height: this.size.height - 1.2 * unit, rx: 0.11 * unit }),
      s("text", { class: "kind", x: (given.className === "source" ? 1.2 : 0.95) * unit, y: 1.35 * unit }, given.kind, given.id ? s("tspan", { class: "id", dx: 0.4 * unit }, given.id) : "", given.notes ? s("tspan", { class: "id", dx: 0.4 * unit }, given.notes) : "", given.when ? s("tspan", { class: "when", dx: 0.4 * unit }, "when") : ""),
      s("text", { class: "label", x: (given.className === "source" ? 1.2 : 0.95) * unit, y: 2.55 * unit }, fit(given.label, this.fonts.label, room)),
    );
    const state = given.hasState ? s("g", { class: "state", transform: `translate(${0.95 * unit} ${3.15 * unit})` }) : null;
    if (state) group.append(state);
    const badge = s("g", { class: "badge", transform: `translate(${width - 0.2 * unit} 0)` });
    group.append(badge);
    this.boxes.append(group);
    let chipX = given.x + 0.4 * unit;
    let chipY = given.y + height + 0.3 * unit;
    for (const chip of given.chips) {
      const chipWidth = widthOf(chip.text, this.fonts.label) + 0.9 * unit;
      if (chipX + chipWidth > Math.max(this.limit, given.x + width) && chipX > given.x + unit) {
        chipX = given.x + 0.4 * unit;
        chipY += 1.5 * unit;
      }
      this.boxes.append(s("g", {
        class: "chip", role: "link", tabindex: 0, transform: `translate(${chipX} ${chipY})`, "aria-label": `flow ${chip.flow}`,
        onclick: () => this.on.visit(chip.flow),
        onkeydown: (event) => { if (event.key === "Enter") this.on.visit(chip.flow); },
      }, s("rect", { width: chipWidth, height: 1.25 * unit, rx: 0.62 * unit }), s("text", { x: 0.45 * unit, y: 0.9 * unit }, chip.text)));
      chipX += chipWidth + 0.4 * unit;
    }
    const node = { ...given, group, state, badge, width, height, bottom: given.chips.length ? chipY + 1.25 * unit : given.y + height };
    group.setAttribute("aria-label", given.says);
    this.nodes.set(given.name, node);
    this.right = Math.max(this.right ?? 0, given.x + width + 2, chipX);
    return node;
  }

  exitOf(node) {
    return this.isNarrow
      ? { x: node.x + 1.4 * this.unit, y: node.bottom, node }
      : { x: node.x + node.width, y: node.y + this.size.height / 2, node };
  }

  /** An arrow from an exit into a node; the first one into each node bears its rate. */
  edge(exit, node, name, label, isMain) {
    const unit = this.unit;
    const middle = node.y + this.size.height / 2;
    const tip = 0.35 * unit;
    let path;
    let text = { x: 0, y: 0, anchor: "middle" };
    if (exit.isBranch) {
      path = `M${exit.x} ${exit.y} V${middle - 0.6 * unit} Q${exit.x} ${middle} ${exit.x + 0.6 * unit} ${middle} H${node.x - tip}`;
      const shown = label ? widthOf(fit(label, this.fonts.label, this.caseRoom(exit.x)), this.fonts.label) + 0.8 * unit : 0;
      text = { x: exit.x + 0.55 * unit + shown, y: node.y - 0.35 * unit, anchor: "start" };
    } else if (this.isNarrow) {
      const x = node.x + 1.4 * unit;
      const begin = exit.isSource ? { x: exit.node.x + 1.4 * unit, y: exit.node.bottom } : exit;
      path = begin.x === x || !exit.joins ? `M${x} ${Math.max(begin.y, node.y - this.size.gap)} V${node.y - tip}` : "";
      text = { x: x + 0.5 * unit, y: node.y - this.size.gap * 0.32, anchor: "start" };
    } else if (Math.abs(exit.y - middle) < 1) {
      path = `M${exit.x} ${exit.y} H${node.x - tip}`;
      text = { x: (exit.x + node.x) / 2, y: middle - 0.4 * unit, anchor: "middle" };
    } else if (node.x > exit.x) {
      const turn = node.x - 0.9 * unit;
      const up = middle < exit.y ? -1 : 1;
      const bend = Math.min(0.5 * unit, Math.abs(middle - exit.y) / 2);
      path = `M${exit.x} ${exit.y} H${turn - bend} Q${turn} ${exit.y} ${turn} ${exit.y + up * bend} V${middle - up * bend} Q${turn} ${middle} ${turn + bend} ${middle} H${node.x - tip}`;
      text = { x: node.x - 1.4 * unit, y: middle - 0.4 * unit, anchor: "end" };
    } else {
      const turn = exit.x + 0.8 * unit;
      const between = node.y - 0.75 * unit;
      path = `M${exit.x} ${exit.y} H${turn} V${between} H${node.x - 0.9 * unit} V${middle} H${node.x - tip}`;
      text = { x: node.x + 0.2 * unit, y: node.y - 1.05 * unit, anchor: "start" };
    }
    if (!path) return;
    const line = s("path", { class: `edge${exit.isBranch ? " branch" : ""}`, d: path });
    this.lines.append(line);
    const head = this.isNarrow && !exit.isBranch
      ? `M${node.x + 1.4 * unit - 0.3 * unit} ${node.y - tip - 0.25 * unit} l${0.3 * unit} ${0.5 * unit} l${0.3 * unit} ${-0.5 * unit}z`
      : `M${node.x - 0.55 * unit} ${middle - 0.32 * unit} l${0.5 * unit} ${0.32 * unit} l${-0.5 * unit} ${0.32 * unit}z`;
    this.lines.append(s("path", { class: "head", d: head }));
    const known = this.edges.get(name) ?? { lines: [], text: null };
    known.lines.push(line);
    if (isMain && !known.text) {
      if (label) {
        const where = exit.isBranch ? { x: exit.x + 0.55 * unit, y: node.y - 0.35 * unit } : text;
        this.lines.append(s("text", { class: "case", x: where.x, y: where.y }, fit(label, this.fonts.label, this.caseRoom(exit.x))));
      }
      known.text = s("text", { class: "rate", x: text.x, y: text.y, "text-anchor": text.anchor });
      this.lines.append(known.text);
    }
    this.edges.set(name, known);
  }

  /** How wide the condition of a branch may be. */
  caseRoom(x) {
    return Math.max(5 * this.unit, Math.min(22 * this.unit, this.limit - x - 5 * this.unit));
  }

  /** Puts the numbers of now into the picture. */
  update(numbers, now) {
    const first = this.card.picture.steps[0]?.name;
    for (const [name, edge] of this.edges) {
      const step = numbers.steps?.[name];
      const rate = name === first ? numbers.rate : (step?.[0] ?? 0);
      const text = rateText(rate, numbers.scaled && name !== first);
      if (edge.text && edge.text.textContent !== text) edge.text.textContent = text;
      const speed = rate > 0 ? (rate > 50 ? "fast" : rate > 2 ? "quick" : "slow") : "";
      for (const line of edge.lines) if (line.dataset.speed !== speed) line.dataset.speed = speed;
    }
    this.states = numbers.states ?? {};
    this.statesAt = now;
    this.countDown(now);
    this.showErrors(numbers.errors ?? []);
    for (const [name, node] of this.nodes) {
      const step = numbers.steps?.[name];
      if (step) node.group.setAttribute("aria-label", `${node.says}; ${countText(step[2])} in, ${countText(step[3])} out`);
    }
  }

  showErrors(errors) {
    const counts = new Map();
    for (const error of errors) counts.set(error.step, (counts.get(error.step) ?? 0) + error.count);
    const unit = this.unit;
    for (const [name, node] of this.nodes) {
      const count = counts.get(name) ?? 0;
      node.group.classList.toggle("failing", count > 0);
      if (node.errors === count) continue;
      node.errors = count;
      if (!count) { node.badge.replaceChildren(); continue; }
      const text = countText(count);
      const width = widthOf(text, this.fonts.kind) + 0.9 * unit;
      node.badge.replaceChildren(
        s("rect", { x: -width + 0.5 * unit, y: -0.7 * unit, width, height: 1.4 * unit, rx: 0.7 * unit }),
        s("text", { x: -width / 2 + 0.5 * unit, y: 0.32 * unit, "text-anchor": "middle" }, text),
        s("title", {}, `${text} failed`),
      );
    }
  }

  /** Counts timers down between two looks of the runner. */
  countDown(now) {
    const passed = (now - (this.statesAt ?? now)) / 1000;
    for (const [name, node] of this.nodes) {
      if (!node.state) continue;
      const state = this.states?.[name];
      const text = state ? stateText(state, passed) : "";
      const next = state?.due?.[0];
      const left = next ? Math.max(next.in - passed, 0) : 0;
      if (next && (node.dueFrom === undefined || left > node.dueLeft + 0.05)) node.dueFrom = Math.max(left, 0.1);
      if (!next) node.dueFrom = undefined;
      node.dueLeft = left;
      const room = node.width - 1.9 * this.unit;
      const share = next && node.dueFrom ? Math.min(left / node.dueFrom, 1) : 0;
      if (!node.stateText) {
        node.stateText = s("text", { class: "state-text", y: 0.85 * this.unit });
        node.stateBar = s("rect", { class: "state-bar", y: 1.05 * this.unit, height: 0.18 * this.unit, rx: 0.09 * this.unit });
        node.state.append(node.stateText, node.stateBar);
      }
      const shown = fit(text, this.fonts.label, room);
      if (node.stateText.textContent !== shown) node.stateText.textContent = shown;
      node.stateBar.setAttribute("width", Math.max(0, room * share));
    }
  }

  /** Lets the steps light up that a reload has changed. */
  flash(before) {
    const known = new Map();
    const collect = (steps) => steps.forEach((step) => {
      known.set(step.name, JSON.stringify([step.kind, step.label, step.when, step.yaml]));
      step.branches.forEach((branch) => collect(branch.steps));
    });
    collect(before?.steps ?? []);
    const look = (steps) => steps.forEach((step) => {
      const node = this.nodes.get(step.name);
      const text = JSON.stringify([step.kind, step.label, step.when, step.yaml]);
      if (node && known.get(step.name) !== text) node.group.classList.add(known.has(step.name) ? "changed" : "added");
      step.branches.forEach((branch) => look(branch.steps));
    });
    look(this.card.picture.steps);
    const sources = JSON.stringify(before?.sources) !== JSON.stringify(this.card.picture.sources);
    if (sources) this.nodes.get("source 1")?.group.classList.add("changed");
    setTimeout(() => this.nodes.forEach((node) => node.group.classList.remove("added", "changed")), 6000);
  }

  select(step) {
    for (const [name, node] of this.nodes) node.group.classList.toggle("selected", name === step);
  }

  move(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = [...this.boxes.querySelectorAll(".node")];
    const at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    all[(at + step + all.length) % all.length].focus();
  }
}

function stateText(state, passed) {
  const parts = [];
  const next = state.due?.[0];
  if (next) {
    const left = Math.max(next.in - passed, 0);
    parts.push(`${secondsText(left)}${next.key ? ` ${next.key}` : ""}`);
    if (next.items) parts.push(`${next.items} in it`);
  }
  if (state.waiting) parts.push(`${countText(state.waiting)} waiting`);
  if (state.keys > 1) parts.push(`${countText(state.keys)} keys`);
  else if (state.keys === 1 && !next) parts.push("1 remembered");
  if (state.evicted) parts.push(`${countText(state.evicted)} forgotten`);
  return parts.join(" · ");
}
