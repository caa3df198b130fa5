// The short lists beside the plot: refusals by outcome, top clients, top
// destinations.

import { byId, element, keyed, setText, setTitle } from "./dom.js";
import { meaning } from "./outcomes.js";
import { count, plain, rate } from "./text.js";

const minute = 60_000; // what "last minute" is
const shown = 10; // of the top clients and destinations

// Refusals by outcome: totals of the proxy, and what came in the last minute.
export class Outcomes {
  constructor() {
    this.history = []; // {time, requests}, oldest first
    this.made = new Map();
    this.body = byId("outcome-rows");
  }

  replace(time, requests) {
    this.history = [{ time, requests }];
    this.draw();
  }

  tick(time, requests) {
    this.history.push({ time, requests });
    while (this.history.length > 2 && this.history[1].time <= time - minute) this.history.shift();
    this.draw();
  }

  draw() {
    const { time, requests } = this.history.at(-1);
    const first = this.history[0];
    const rows = Object.entries(requests)
      .filter(([outcome, n]) => outcome !== "ok" && n > 0)
      .map(([outcome, total]) => ({ outcome, total, recent: Math.max(0, total - (first.requests[outcome] ?? 0)) }))
      .sort((a, b) => b.recent - a.recent || b.total - a.total || (a.outcome < b.outcome ? -1 : 1));
    keyed(this.body, this.made, rows, (row) => row.outcome, create, update);
    byId("outcome-table").hidden = rows.length === 0;
    byId("outcome-empty").hidden = rows.length !== 0;
    const sum = (field) => rows.reduce((n, row) => n + row[field], 0);
    this.recent = sum("recent");
    this.total = sum("total");
    this.seconds = Math.round((time - first.time) / 1000); // that "recent" covers
  }
}

function create({ outcome }) {
  return element("tr", {},
    element("th", { scope: "row" }, element("span", { className: "code", textContent: plain(outcome) }), element("span", { className: "meaning", textContent: meaning(outcome) })),
    element("td"), element("td"));
}

function update(node, { recent, total }) {
  setText(node.children[1], count(recent));
  setText(node.children[2], count(total));
  node.classList.toggle("moving", recent > 0);
}

// A list of those that move most: clients, or destinations.
export class Top {
  // id is the element's; field names what is listed; choose is called with its
  // value when the name is used, kill (if given) when its button is.
  constructor(id, field, { choose, kill }) {
    this.body = byId(`${id}-rows`);
    this.table = byId(`${id}-table`);
    this.empty = byId(`${id}-empty`);
    this.made = new Map();
    this.field = field;
    this.choose = choose;
    this.kill = kill;
  }

  draw(list) {
    const rows = (list ?? []).slice(0, shown).filter((row) => row[this.field]);
    keyed(this.body, this.made, rows, (row) => row[this.field], (row) => this.create(row), (node, row) => this.update(node, row));
    this.table.hidden = rows.length === 0;
    this.empty.hidden = rows.length !== 0;
  }

  create(row) {
    const value = row[this.field];
    const name = element("button", { type: "button", className: "link", textContent: plain(value), title: `Show the tunnels of ${plain(value)}` });
    name.addEventListener("click", () => this.choose(value));
    const node = element("tr", {}, element("th", { scope: "row" }, name), element("td"), element("td"), element("td"));
    if (this.kill) {
      const button = element("button", { type: "button", className: "kill", textContent: "Kill all…" });
      button.setAttribute("aria-label", `Kill all tunnels of ${plain(value)}`);
      button.addEventListener("click", () => this.kill(value));
      node.append(element("td", { className: "action" }, button));
    }
    return node;
  }

  update(node, row) {
    setText(node.children[1], count(row.tunnels));
    for (const [i, value] of [[2, row.rate_up], [3, row.rate_down]]) {
      setText(node.children[i], value ? rate(value) : "0");
      setTitle(node.children[i], `${count(value)} bytes per second`);
    }
    node.classList.toggle("moving", row.rate_up + row.rate_down > 0);
  }
}
