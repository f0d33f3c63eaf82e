// Edits a flow file: mistakes and previews as one types, and a save that overwrites nothing unseen.

import { post, readFile, writeFile } from "./api.js";
import { optionsAt } from "./completion.js";
import { byId, h } from "./dom.js";
import { compare } from "./messages.js";

const WAIT = 250;
let parts = null;
let schema = null;

/** The editor component is loaded when somebody edits. */
async function load() {
  if (!parts) {
    const [module, found] = await Promise.all([import("/assets/vendor/codemirror.js"), fetch("/api/schema").then((answer) => answer.json())]);
    [parts, schema] = [module, found];
  }
  return parts;
}

export class Editor {
  constructor(session, onState) {
    this.session = session;
    this.onState = onState;
    this.file = null;
    this.name = h("h3", {});
    this.save = h("button", { type: "button", class: "main", disabled: true, title: "Save (Ctrl+S)", onclick: () => this.store() }, "Save");
    this.undo = h("button", { type: "button", class: "quiet", disabled: true, onclick: () => this.load(this.file) }, "Load again");
    this.note = h("p", { class: "note", role: "status" });
    this.conflict = h("div", { class: "conflict", role: "alert", hidden: true });
    this.holder = h("div", { class: "holder-editor" });
    this.problems = h("ul", { class: "problems", "aria-label": "Mistakes" });
    this.previews = h("div", { class: "previews", "aria-live": "polite" });
    byId("editor").replaceChildren(h("div", { class: "bar" }, this.name, this.undo, this.save), this.note, this.conflict, this.holder, this.problems, this.previews);
    addEventListener("beforeunload", (event) => { if (this.isDirty) event.preventDefault(); });
  }

  get canEdit() { return this.session().can_edit; }

  get isDirty() { return this.view !== undefined && this.disk !== undefined && this.text !== this.disk.text; }

  get text() { return this.view ? this.view.state.sliceDoc() : ""; }

  async open(file, line) {
    if (file !== this.file) {
      if (this.isDirty && !confirm(`Leave ${this.file} without saving?`)) return;
      await this.load(file);
    }
    if (line) this.goTo(line);
  }

  async load(file) {
    this.file = file;
    this.name.textContent = file;
    this.conflict.hidden = true;
    this.note.className = "note";
    try {
      const [found] = await Promise.all([readFile(file), load()]);
      if (file !== this.file) return;
      this.disk = found;
      this.show(found.text);
      this.say(this.canEdit ? "" : this.session().why === "read-only" ? "This page is for looking only." : "For looking only: to edit, open the address with the token that flowrunner printed.");
      this.check();
    } catch (error) {
      this.disk = undefined;
      this.holder.replaceChildren();
      this.view = undefined;
      this.say(error.message, "bad");
    }
    this.mark();
  }

  show(text) {
    const ending = text.includes("\r\n") ? "\r\n" : "\n";
    if (this.view && this.ending === ending && this.viewFile === this.file) {
      if (this.text === text) return;
      const head = Math.min(this.view.state.selection.main.head, text.length);
      this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: this.view.state.toText(text) }, selection: { anchor: Math.min(head, this.view.state.toText(text).length) } });
      return;
    }
    this.view?.destroy();
    [this.ending, this.viewFile] = [ending, this.file];
    const state = parts.EditorState.create({ doc: text.split(ending).length ? text : "", extensions: this.extensions(ending) });
    this.view = new parts.EditorView({ state, parent: this.holder });
  }

  extensions(ending) {
    const { autocompletion, acceptCompletion, bracketMatching, closeBrackets, closeBracketsKeymap, completionKeymap, defaultKeymap, drawSelection, EditorState, EditorView, foldGutter, foldKeymap, highlightActiveLine, highlightActiveLineGutter, highlightSelectionMatches, highlightSpecialChars, history, historyKeymap, indentLess, indentMore, indentOnInput, indentUnit, keymap, lineNumbers, lintGutter, lintKeymap, searchKeymap, syntaxHighlighting, yaml } = parts;
    const nonce = document.querySelector("meta[name=style-nonce]").content;
    return [
      EditorView.cspNonce.of(nonce), EditorState.lineSeparator.of(ending), EditorState.readOnly.of(!this.canEdit), EditorState.tabSize.of(2), indentUnit.of("  "),
      lineNumbers(), highlightActiveLineGutter(), highlightSpecialChars(), history(), foldGutter(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(), lintGutter(),
      yaml(), syntaxHighlighting(colors()), EditorView.contentAttributes.of({ "aria-label": `Text of ${this.file}` }), EditorView.lineWrapping,
      autocompletion({ override: [(context) => this.complete(context)], icons: false }),
      keymap.of([
        { key: "Mod-s", preventDefault: true, run: () => { this.store(); return true; } },
        { key: "Tab", run: acceptCompletion }, { key: "Tab", run: indentMore, shift: indentLess },
        ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...completionKeymap, ...lintKeymap,
      ]),
      EditorView.inputHandler.of((view, from, to, text) => text === "-" && beginItem(view, from, to)),
      EditorView.updateListener.of((update) => { if (update.docChanged) this.changed(); }),
    ];
  }

  complete(context) {
    const found = optionsAt(schema, context.state.doc.sliceString(0, context.pos, "\n"), context.pos);
    if (!found || !found.options.length) return null;
    if (found.from === context.pos && !context.explicit && !/[-:] $|\n\s+$/.test(context.state.doc.sliceString(Math.max(0, context.pos - 40), context.pos, "\n"))) return null;
    return { from: found.from, options: found.options, validFor: /^[\w-]*$/ };
  }

  goTo(line) {
    if (!this.view) return;
    const at = this.view.state.doc.line(Math.min(line, this.view.state.doc.lines));
    this.view.dispatch({ selection: { anchor: at.from }, effects: parts.EditorView.scrollIntoView(at.from, { y: "center" }) });
    this.view.focus();
  }

  changed() {
    this.mark();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), WAIT);
  }

  mark() {
    const isDirty = this.isDirty;
    this.save.disabled = !isDirty || !this.canEdit;
    this.undo.disabled = !isDirty;
    this.name.textContent = `${this.file}${isDirty ? " •" : ""}`;
    this.onState(isDirty);
  }

  say(text, kind = "") {
    this.note.className = `note ${kind}`;
    this.note.textContent = text;
  }

  /** Has the runner look at the text; answers to an older text are left out. */
  async check() {
    if (!this.canEdit || !this.view || !this.disk) return;
    const [text, file] = [this.text, this.file];
    try {
      const found = await post("/api/draft", { file, text });
      if (text !== this.text || file !== this.file) return;
      this.showProblems(found.diagnostics);
      this.showPreviews(found.previews);
    } catch (error) {
      this.say(error.message, "bad");
    }
  }

  showProblems(diagnostics) {
    const own = diagnostics.filter((one) => one.file === this.file);
    const marks = own.map((one) => ({
      from: this.offset(one.line, one.column),
      to: Math.max(this.offset(one.end_line, one.end_column), this.offset(one.line, one.column)),
      severity: one.severity === "error" ? "error" : "warning",
      message: `${one.message}${one.label ? ` (${one.label})` : ""}${one.help ? `\n${one.help}` : ""}`,
    }));
    this.view.dispatch(parts.setDiagnostics(this.view.state, marks));
    this.problems.replaceChildren(...diagnostics.map((one) => h("li", { class: one.severity },
      h("button", { type: "button", class: "link", onclick: () => this.goTo(one.line) }, `${one.file === this.file ? "line " : `${one.file}:`}${one.line}`), " ", one.message,
      one.help ? h("div", { class: "mild" }, one.help) : "")));
  }

  /** Offset in the document of a place that counts characters, where JavaScript counts halves of some. */
  offset(line, column) {
    const found = this.view.state.doc.line(Math.min(Math.max(line, 1), this.view.state.doc.lines));
    return Math.min(found.from + [...found.text].slice(0, column - 1).join("").length, found.to);
  }

  showPreviews(previews) {
    this.previews.replaceChildren(...previews.map((preview) => {
      const shown = preview.pairs.filter((pair) => !pair.is_same).slice(0, 5);
      const rest = preview.pairs.filter((pair) => pair.is_same);
      const count = `the last ${preview.messages} ${preview.messages === 1 ? "message" : "messages"} of ${preview.flow}`;
      const words = preview.differing ? `${count}: ${preview.differing} would come to something else` : `${count} would come to the same`;
      return h("section", { class: "preview" }, h("h4", {}, words), (shown.length ? shown : rest.slice(-3).reverse()).map((pair) => this.pair(pair)));
    }));
  }

  pair(pair) {
    const given = pair.given ? h("p", { class: "given" }, h("code", {}, pair.given.topic), " ", h("span", { class: "mild" }, pair.given.payload)) : h("p", { class: "given mild" }, "when their time had come");
    const lines = (effects, sign, kind) => (effects.length ? effects : ["nothing"]).map((effect) => h("span", { class: kind }, `${sign} ${effect}\n`));
    const body = pair.is_same ? lines(pair.after, " ", "") : [...lines(pair.before.filter((one) => !pair.after.includes(one)), "-", "minus"), ...lines(pair.after, "+", "plus")];
    return h("div", { class: "pair" }, given, h("pre", {}, body));
  }

  async store(mark = this.disk?.mark) {
    if (!this.view || !this.canEdit || !mark) return;
    const text = this.text;
    try {
      this.disk = await writeFile(this.file, text, mark);
      this.conflict.hidden = true;
      this.say("saved", "good");
    } catch (error) {
      if (error.status === 412) this.differ(error.answer);
      else this.say(error.message, "bad");
    }
    this.mark();
  }

  /** The file was changed on disk by somebody else: show it, and let people choose. */
  differ(found) {
    this.conflict.hidden = false;
    const lines = compare(found.text, this.text).map(([sign, line]) => h("span", { class: sign === "-" ? "minus" : sign === "+" ? "plus" : "" }, `${sign === "=" ? " " : sign} ${line}\n`));
    this.conflict.replaceChildren(
      h("p", {}, h("b", {}, "The file was changed on disk meanwhile."), " Nothing was written. On disk (−) and here (+):"),
      h("pre", { class: "change" }, lines),
      h("div", { class: "bar" },
        h("button", { type: "button", onclick: () => this.load(this.file) }, "Take what is on disk"),
        h("button", { type: "button", class: "quiet", onclick: () => this.store(found.mark) }, "Overwrite it with mine")));
  }

  /** A reload tells that files may be other ones now. */
  async refresh() {
    if (!this.file || !this.disk) return;
    const found = await readFile(this.file).catch(() => null);
    if (!found || found.mark === this.disk.mark) return;
    if (this.isDirty && this.text !== found.text) this.differ(found);
    else {
      this.disk = found;
      this.show(found.text);
      this.mark();
      this.check();
    }
  }
}

/** A dash at the beginning of a line begins the next item of the list above, where the line was indented like its keys. */
function beginItem(view, from, to) {
  const line = view.state.doc.lineAt(from);
  if (from !== to || line.text.trim() !== "" || from !== line.to || line.number === 1) return false;
  const above = /^( *)- +\S.*[^:\s]\s*$/.exec(view.state.doc.line(line.number - 1).text);
  if (!above || above[1].length + 2 !== line.text.length) return false;
  view.dispatch({ changes: { from: line.from, to: line.to, insert: `${above[1]}-` }, selection: { anchor: line.from + above[1].length + 1 }, userEvent: "input.type" });
  return true;
}

function colors() {
  const { HighlightStyle, tags } = parts;
  return HighlightStyle.define([
    { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-key)", fontWeight: "600" },
    { tag: [tags.string, tags.special(tags.string), tags.content], color: "var(--code-text)" },
    { tag: [tags.number, tags.bool, tags.null, tags.literal], color: "var(--code-number)" },
    { tag: tags.comment, color: "var(--mild)", fontStyle: "italic" },
    { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--mild)" },
    { tag: [tags.meta, tags.keyword, tags.labelName, tags.typeName], color: "var(--out)" },
  ]);
}
