// Asks the runner, and listens to it.

export class Refused extends Error {
  constructor(status, answer) {
    super(answer.error ?? `the runner answered ${status}`);
    this.status = status;
    this.answer = answer;
  }
}

async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

const filePath = (name) => `/api/files/${name.split("/").map(encodeURIComponent).join("/")}`;

export const get = (path) => ask(path);

export const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const readFile = (name) => ask(filePath(name));

export const writeFile = (name, text, mark) =>
  ask(filePath(name), { method: "PUT", headers: { "if-match": `"${mark}"`, "content-type": "application/yaml" }, body: text });

/** Listens as long as somebody can see the page; `handlers` are called by the names of events. */
export class Listener {
  constructor(handlers, onGone) {
    this.viewer = [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    this.handlers = handlers;
    this.onGone = onGone;
    this.source = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    this.open();
  }

  open() {
    if (this.source || document.hidden) return;
    this.source = new EventSource(`/api/events?viewer=${this.viewer}`);
    for (const [name, handler] of Object.entries(this.handlers)) {
      this.source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    }
    this.source.addEventListener("open", () => this.onGone(false));
    this.source.addEventListener("error", () => {
      this.onGone(true);
      if (this.source?.readyState === EventSource.CLOSED) {
        this.close();
        setTimeout(() => this.open(), 2000);
      }
    });
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  /** Says what is on the screen. */
  look(flows, flow, step) {
    return post("/api/look", { viewer: this.viewer, flows, flow, step }).catch(() => undefined);
  }
}
