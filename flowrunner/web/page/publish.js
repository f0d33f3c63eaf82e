// Publishes a message that somebody types.

import { post } from "./api.js";
import { byId, h } from "./dom.js";

export class Publisher {
  constructor() {
    this.dialog = byId("publish");
    this.topic = h("input", { id: "publish-topic", required: true, list: "topics", autocomplete: "off", spellcheck: "false", placeholder: "sensors/kitchen/climate" });
    this.payload = h("textarea", { id: "publish-payload", rows: 6, spellcheck: "false", placeholder: '{"temperature": 26}' });
    this.qos = h("select", { id: "publish-qos" }, [0, 1, 2].map((qos) => h("option", { value: qos }, String(qos))));
    this.retain = h("input", { id: "publish-retain", type: "checkbox" });
    this.connection = h("select", { id: "publish-connection" });
    this.topics = h("datalist", { id: "topics" });
    this.note = h("p", { class: "note", role: "status" });
    this.dialog.replaceChildren(h("form", { onsubmit: (event) => this.send(event) },
      h("h2", { id: "publish-title" }, "Publish a message"),
      h("label", { for: "publish-topic" }, "Topic"), this.topic, this.topics,
      h("label", { for: "publish-payload" }, "Payload"), this.payload,
      h("div", { class: "fields" },
        h("label", { for: "publish-qos" }, "QoS ", this.qos),
        h("label", { for: "publish-retain" }, this.retain, " retain"),
        h("label", { for: "publish-connection" }, "on ", this.connection)),
      this.note,
      h("div", { class: "bar end" },
        h("button", { type: "button", class: "quiet", onclick: () => this.dialog.close() }, "Close"),
        h("button", { type: "submit", class: "main" }, "Publish"))));
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.send(event);
    });
  }

  /** Learns what there is to publish to. */
  know(connections, cards) {
    const names = connections.map((one) => one.name);
    if (JSON.stringify(names) !== JSON.stringify(this.names)) {
      this.names = names;
      this.connection.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    }
    const heard = cards.flatMap((card) => card.picture?.sources ?? []).filter((source) => source.kind === "subscribe").map((source) => source.label);
    this.topics.replaceChildren(...[...new Set(heard)].slice(0, 200).map((topic) => h("option", { value: topic.replace(/[+#](\w*)/g, (_, name) => name || "x") })));
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
    this.topic.focus();
  }

  async send(event) {
    event.preventDefault();
    if (!this.topic.reportValidity()) return;
    const message = { topic: this.topic.value, payload: this.payload.value, qos: Number(this.qos.value), retain: this.retain.checked, connection: this.connection.value };
    try {
      await post("/api/publish", message);
      this.note.className = "note good";
      this.note.textContent = `published to ${message.topic} at ${new Date().toLocaleTimeString()}`;
    } catch (error) {
      this.note.className = "note bad";
      this.note.textContent = error.message;
    }
  }
}
