// The latest refusals, each with its explanation under the rules now in force.
// While somebody reads them, newer ones wait behind a button.

import { addressKey } from "./address.js";
import { byId, element, keyed, setTime } from "./dom.js";
import { meaning } from "./outcomes.js";
import { counted, hostPort, plain } from "./text.js";

const keep = 100;

// The latest of a list that has the latest first. The client with most of them loses
// its oldest, so that a scan hides nobody else's. A client is an IPv4 address or the
// /64 of an IPv6 one.
function latest(list) {
  const clients = new Map(); // places in the list, the oldest last
  list.forEach((refusal, place) => {
    const address = plain(refusal.client);
    const client = addressKey(address).slice(0, address.includes(":") ? 16 : 32);
    if (!clients.has(client)) clients.set(client, []);
    clients.get(client).push(place);
  });
  const out = new Set();
  while (list.length - out.size > keep) {
    let most = [];
    for (const places of clients.values())
      if (places.length > most.length || (places.length === most.length && places.at(-1) > most.at(-1))) most = places;
    out.add(most.pop());
  }
  return list.filter((_, place) => !out.has(place));
}

export class Refusals {
  constructor() {
    this.list = []; // latest first
    this.waiting = []; // those that came while somebody reads
    this.open = new Map(); // explanations in sight, by the refusal's id
    this.made = new Map();
    this.rows = byId("refusal-rows");
    this.more = byId("refusal-more");
    this.more.addEventListener("click", () => {
      this.rows.scrollTop = 0;
      this.take();
      this.draw();
      this.rows.focus();
    });
    this.rows.addEventListener("pointerenter", () => (this.pointed = true));
    this.rows.addEventListener("pointerleave", () => (this.pointed = false));
  }

  // An explanation that was opened is kept through a restart of the proxy.
  replace(now, list) {
    this.now = now;
    this.waiting = [];
    this.list = latest(list);
    this.draw();
  }

  tick(now, fresh) {
    this.now = now;
    if (fresh.length === 0 && this.waiting.length === 0) return;
    this.waiting = latest([...fresh, ...this.waiting]);
    if (!this.read()) this.take();
    this.draw();
  }

  // Whether somebody reads: a row that moves is no use to a hand or an eye.
  read() {
    return this.list.length > 0 && (this.pointed || this.open.size > 0 || this.rows.scrollTop > 0 || this.rows.contains(document.activeElement));
  }

  take() {
    this.list = latest([...this.waiting, ...this.list]);
    this.waiting = [];
    const ids = new Set(this.list.map((r) => r.id));
    for (const id of this.open.keys()) if (!ids.has(id)) this.open.delete(id);
  }

  draw() {
    keyed(this.rows, this.made, this.list, (r) => r.id, (r) => this.create(r), () => {});
    this.rows.hidden = this.list.length === 0;
    byId("refusal-empty").hidden = this.list.length !== 0;
    this.more.hidden = this.waiting.length === 0;
    this.more.textContent = `Show ${this.waiting.length >= keep ? "the latest" : counted(this.waiting.length, "newer one")}`;
  }

  create(refusal) {
    const time = element("time");
    setTime(time, Date.parse(refusal.time ?? refusal.start), this.now);
    const client = plain(refusal.client);
    const to = hostPort(plain(refusal.host), refusal.port);
    const what = refusal.protocol === "http" ? plain([refusal.method, refusal.path].filter(Boolean).join(" ")) : "";
    const button = element("button", { type: "button", className: "explain", textContent: "Explain" });
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `Explain the refusal of ${client} to ${to}`);
    const outcome = element("span", { className: "code", textContent: plain(refusal.outcome), title: meaning(refusal.outcome) });
    const node = element("li", {},
      time,
      element("span", { className: "who" },
        element("bdi", { textContent: client }), refusal.user ? element("span", { className: "by" }, "as ", element("bdi", { textContent: plain(refusal.user) })) : ""),
      element("span", { className: "where" },
        element("bdi", { textContent: to || "no destination" }), what ? element("span", { className: "by" }, element("bdi", { textContent: what })) : ""),
      outcome,
      element("span", { className: "why" }, element("bdi", { textContent: plain(refusal.reason) })));
    node.dataset.id = refusal.id;
    // What could not be read as a request cannot be asked about.
    if (to) {
      node.append(button);
      button.addEventListener("click", () => this.toggle(refusal, node, button));
    }
    return node;
  }

  async toggle(refusal, node, button) {
    const shown = this.open.get(refusal.id);
    if (shown) {
      shown.remove();
      this.open.delete(refusal.id);
      button.setAttribute("aria-expanded", "false");
      return;
    }
    const region = element("div", { className: "explanation", role: "status", textContent: "Asking…" });
    this.open.set(refusal.id, region);
    node.append(region);
    button.setAttribute("aria-expanded", "true");
    try {
      region.replaceChildren(...explanation(refusal, await ask(refusal)));
    } catch (e) {
      region.replaceChildren(element("p", { className: "bad", textContent: `It cannot be explained: ${plain(e.message)}` }));
    }
  }
}

async function ask(refusal) {
  const query = new URLSearchParams({ client: refusal.client, to: hostPort(refusal.host, refusal.port) });
  if (refusal.user) query.set("user", refusal.user);
  const answer = await fetch(`explain?${query}`);
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
}

function explanation(refusal, { allowed, observed, sentence, steps }) {
  const list = element("ol", {}, ...(steps ?? []).map((step) =>
    element("li", { className: step.matched ? "matched" : "" },
      element("span", { className: "step" }, `rule ${plain(step.rule)} `, element("span", { className: `action ${step.action}`, textContent: plain(step.action) }), step.observed ? " observed" : ""),
      element("span", { className: "verdict", textContent: step.matched ? "decides" : "no" }),
      element("span", { className: "because" }, element("bdi", { textContent: plain(step.why) })))));
  const nodes = [element("p", {}, element("strong", { textContent: observed ? "Now it passes, for observe mode; otherwise: " : "Under the rules now in force: " }), element("bdi", { textContent: plain(sentence) }))];
  if (steps?.length) nodes.push(list);
  else nodes.push(element("p", { textContent: "There is no rule: every request is denied." }));
  if (allowed && !observed) nodes.push(element("p", { textContent: `The rules let it through: it ended as ${plain(refusal.outcome)} for another reason, or they have changed since.` }));
  return nodes;
}
