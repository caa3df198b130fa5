// The table of what is cached: repositories, and under each its tags.

import { byId, element, keyed, setText, setTime, setTitle } from "./dom.js";
import { count, counted, plain, size } from "./text.js";

const shown = 200; // rows at most: the filter finds the rest

const orders = {
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  tags: (a, b) => a.tag_count - b.tag_count,
  contents: (a, b) => a.contents - b.contents,
  size: (a, b) => a.size - b.size,
  used: (a, b) => a.used - b.used,
};

export class Cached {
  constructor() {
    this.list = [];
    this.total = 0;
    this.now = 0;
    this.known = false;
    this.open = new Set(); // names of repositories whose tags are shown
    this.made = new Map();
    this.column = "used";
    this.descending = true;
    this.body = byId("cached-rows");
    this.input = byId("filter");
    this.input.addEventListener("input", () => this.draw());
    byId("filter-clear").addEventListener("click", () => {
      this.input.value = "";
      this.draw();
      this.input.focus();
    });
    for (const head of document.querySelectorAll("#cached-table [data-column]"))
      head.querySelector("button").addEventListener("click", () => this.sortBy(head.dataset.column));
  }

  sortBy(column) {
    this.descending = this.column === column ? !this.descending : column !== "name";
    this.column = column;
    this.draw();
  }

  show({ repositories, total }, now) {
    this.known = true;
    this.now = now || Date.now();
    this.total = total;
    this.list = (repositories ?? []).map((r) => ({ ...r, tags: r.tags ?? [], name: `${r.registry}/${r.repository}`, used: Date.parse(r.last_used) }));
    this.draw();
  }

  // Words that must all be in the name or one of the tags.
  matching() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return this.list;
    return this.list.filter((r) => {
      const text = [r.name, ...r.tags.map((t) => `:${t.name}`)].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
  }

  draw() {
    const found = this.matching();
    const order = orders[this.column];
    const rows = [...found].sort((a, b) => (this.descending ? -1 : 1) * order(a, b) || orders.name(a, b)).slice(0, shown);
    keyed(this.body, this.made, rows, (r) => r.name, (r) => this.create(r), (node, r) => this.update(node, r));
    for (const head of document.querySelectorAll("#cached-table [data-column]")) {
      if (head.dataset.column !== this.column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
    }
    const filtered = found !== this.list;
    byId("filter-clear").hidden = !filtered;
    setText(byId("cached-count"), filtered ? `${count(found.length)} of ${counted(this.total, "repository", "repositories")}` : counted(this.total, "repository", "repositories"));
    byId("cached-table").hidden = rows.length === 0;
    const left = (filtered ? found.length : this.total) - rows.length;
    byId("cached-more").hidden = left <= 0 || rows.length === 0;
    setText(byId("cached-more"), `${counted(left, "more repository", "more repositories")}: the filter finds them, and sluice-mirror cache ls lists all.`);
    byId("cached-empty").hidden = rows.length !== 0 || !this.known;
    setText(byId("cached-empty"), this.list.length === 0 ? "Nothing is cached yet: the first pull brings it." : "Nothing matches this filter.");
  }

  create(r) {
    const name = plain(r.name);
    const button = element("button", { type: "button", className: "link", textContent: name, title: `Show the tags of ${name}` });
    const tags = element("ul", { className: "tags", hidden: true });
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => {
      if (!this.open.delete(r.name)) this.open.add(r.name);
      this.draw();
    });
    return element("tr", {},
      element("th", { scope: "row" }, button, tags),
      element("td"), element("td"), element("td"), element("td", {}, element("time")));
  }

  update(node, r) {
    const [head, tags, contents, bytes, used] = node.children;
    setText(tags, count(r.tag_count));
    setText(contents, count(r.contents));
    setText(bytes, size(r.size));
    setTitle(bytes, `${count(r.size)} bytes${r.shared ? `, of which other repositories hold ${count(r.shared)}, too` : ""}`);
    setTime(used.firstChild, r.used, this.now);
    const open = this.open.has(r.name);
    const list = head.querySelector(".tags");
    head.querySelector("button").setAttribute("aria-expanded", String(open));
    list.hidden = !open;
    if (open) list.replaceChildren(...this.tags(r));
  }

  tags(r) {
    const rows = r.tags.map((t) => {
      const time = element("time");
      setTime(time, Date.parse(t.last_used), this.now);
      const parts = [element("bdi", { className: "tag", textContent: plain(t.name) })];
      if (t.size) parts.push(element("span", { className: "by", textContent: size(t.size), title: `${count(t.size)} bytes of it are cached` }));
      parts.push(element("span", { className: "code", textContent: plain(t.digest).slice(0, 19), title: plain(t.digest) }), time);
      return element("li", {}, ...parts);
    });
    if (r.tag_count > r.tags.length) rows.push(element("li", { textContent: `and ${count(r.tag_count - r.tags.length)} more` }));
    if (rows.length === 0) rows.push(element("li", { textContent: "Pulled by digest: no tag of it is known." }));
    return rows;
  }
}
