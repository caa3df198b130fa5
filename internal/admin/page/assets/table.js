// The table of live tunnels. Only the rows in sight are in the document, whatever
// their number. While somebody points at it or moves in it, no row changes its
// place: what is about to be killed must not slip away from under the hand.

import { byId, element, keyed, setText, setTitle } from "./dom.js";
import { count, counted, duration, rate, size } from "./text.js";
import { comparison, orders, parseFilter } from "./tunnels.js";

const holdFor = 10_000; // after the last move of pointer or keys
const around = 4; // rows beyond those in sight

const columns = [
  { name: "client", text: (row) => row.client },
  { name: "user", text: (row) => row.user },
  { name: "destination", text: (row) => (row.what ? `${row.destination} ${row.what}` : row.destination) },
  { name: "rule", text: (row) => row.rule },
  { name: "protocol", text: (row) => row.protocol },
  { name: "age", text: (row, now) => (row.ended ? "ended" : duration(now - row.start)), title: (row) => new Date(row.start).toISOString() },
  { name: "up", text: (row) => size(row.up), title: (row) => `${count(row.up)} bytes` },
  { name: "down", text: (row) => size(row.down), title: (row) => `${count(row.down)} bytes` },
  { name: "rateUp", text: (row) => (row.rateUp ? rate(row.rateUp) : "0") },
  { name: "rateDown", text: (row) => (row.rateDown ? rate(row.rateDown) : "0") },
];

export class Table {
  // empty returns what to say when there is no tunnel; kill is called with the row
  // whose button was used.
  constructor(tunnels, { empty, kill }) {
    this.tunnels = tunnels;
    this.empty = empty;
    this.kill = kill;
    this.list = []; // what the filter lets through, in order
    this.nodes = new Map();
    this.column = "rateDown";
    this.descending = true;
    this.filter = null;
    this.now = 0;
    this.heldUntil = 0;
    this.current = ""; // the id of the row that Tab comes to
    this.body = byId("tunnel-rows");
    this.canvas = byId("tunnel-canvas");
    this.scheduled = false;
    this.heads();
    this.controls();
  }

  heads() {
    this.headers = new Map();
    for (const head of document.querySelectorAll("#tunnel-table [data-column]")) {
      const name = head.dataset.column;
      this.headers.set(name, head);
      head.querySelector("button").addEventListener("click", () => {
        this.descending = this.column === name ? !this.descending : orders[name].descending === true;
        this.column = name;
        this.showOrder();
        this.arrange();
      });
    }
    this.showOrder();
  }

  showOrder() {
    for (const [name, head] of this.headers) {
      if (name !== this.column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
    }
  }

  controls() {
    this.input = byId("filter");
    this.input.addEventListener("input", () => this.setFilter(this.input.value));
    byId("filter-clear").addEventListener("click", () => {
      this.show("");
      this.input.focus();
    });
    this.body.addEventListener("scroll", () => this.schedule());
    new ResizeObserver(() => this.schedule()).observe(this.body);
    const hold = () => {
      this.heldUntil = performance.now() + holdFor;
    };
    for (const name of ["pointermove", "pointerdown", "wheel", "keydown", "focusin"]) this.body.addEventListener(name, hold, { passive: true });
    const release = () => {
      this.heldUntil = 0;
    };
    this.body.addEventListener("pointerleave", () => this.body.contains(document.activeElement) || release());
    this.body.addEventListener("focusout", (event) => this.body.contains(event.relatedTarget) || release());
    this.body.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => {
      const row = this.rowOf(event.target.closest("button"));
      if (row && !row.ended) this.kill(row);
    });
    this.body.addEventListener("focusin", (event) => {
      const row = this.rowOf(event.target);
      if (row) this.setCurrent(row.id);
    });
  }

  rowOf(node) {
    const id = node?.closest("[data-id]")?.dataset.id;
    return id && this.list.find((row) => row.id === id);
  }

  // Puts a filter into its box and into force.
  show(text) {
    this.input.value = text;
    this.setFilter(text);
  }

  setFilter(text) {
    this.filter = parseFilter(text);
    this.body.scrollTop = 0;
    this.arrange();
  }

  get held() {
    return performance.now() < this.heldUntil;
  }

  replace(now) {
    this.now = now;
    this.arrange();
  }

  // Takes in what a tick changed.
  tick(now, { opened, ended, described }) {
    this.now = now;
    if (described && !this.held) {
      this.arrange();
      return;
    }
    const news = this.filter ? opened.filter(this.filter) : opened;
    if (this.held) {
      this.list.push(...news);
      this.schedule();
      return;
    }
    const stale = ended.length > 0 || this.list.some((row) => row.ended);
    if (stale) this.list = this.list.filter((row) => !row.ended);
    this.list.push(...news);
    // An order of before is nearly that of now, which a sort makes cheap.
    if (news.length > 0 || orders[this.column].moves) this.list.sort(comparison(this.column, this.descending));
    this.schedule();
  }

  // Takes rows out at once, even while rows keep their places. A focus among them
  // goes to the row that comes next.
  drop(test) {
    const focused = this.rowOf(document.activeElement);
    const at = focused && test(focused) ? this.list.indexOf(focused) : -1;
    const before = this.list.slice(0, Math.max(at, 0)).filter((row) => !test(row)).length;
    this.list = this.list.filter((row) => !test(row));
    if (at >= 0) this.focusRow(Math.min(before, this.list.length - 1));
    this.render();
  }

  // Filters and sorts anew.
  arrange() {
    const all = [...this.tunnels.rows.values()];
    this.list = (this.filter ? all.filter(this.filter) : all).sort(comparison(this.column, this.descending));
    this.schedule();
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.render();
    });
  }

  render() {
    const height = byId("row-height").getBoundingClientRect().height;
    const length = this.list.length;
    const total = this.tunnels.rows.size;
    this.height = height;
    this.canvas.style.height = `${length * height}px`;
    const first = Math.max(0, Math.floor(this.body.scrollTop / height) - around);
    const last = Math.min(length, Math.ceil((this.body.scrollTop + this.body.clientHeight) / height) + around);
    const shown = [];
    for (let i = first; i < last; i++) shown.push({ row: this.list[i], at: i });
    this.keepFocused(shown, first, last);
    this.chooseCurrent(shown, height);
    keyed(this.canvas, this.nodes, shown, ({ row }) => row.id, (item) => this.create(item.row), (node, item) => this.update(node, item));
    this.focusKept();

    const words = this.filter ? `${count(length)} of ${counted(total, "tunnel")}` : counted(total, "tunnel");
    setText(byId("tunnel-count"), words);
    byId("tunnel-held").hidden = !this.held || length === 0;
    byId("tunnel-table").setAttribute("aria-rowcount", String(length + 1));
    byId("filter-clear").hidden = !this.filter;
    byId("tunnel-table").hidden = length === 0;
    byId("tunnel-empty").hidden = length !== 0;
    if (length === 0) setText(byId("tunnel-empty"), total === 0 ? this.empty() : "No tunnel matches this filter.");
  }

  // The row with the focus stays in the document when it is out of sight.
  keepFocused(shown, first, last) {
    const id = this.canvas.contains(document.activeElement) ? this.current : "";
    this.lost = "";
    if (!id) return;
    const at = this.list.findIndex((row) => row.id === id);
    if (at < 0) this.lost = id;
    else if (at < first) shown.unshift({ row: this.list[at], at });
    else if (at >= last) shown.push({ row: this.list[at], at });
  }

  // While nobody is in the rows, Tab comes to the first in sight.
  chooseCurrent(shown, height) {
    if (this.canvas.contains(document.activeElement) && shown.some(({ row }) => row.id === this.current)) return;
    const top = Math.ceil(this.body.scrollTop / height);
    const first = shown.find(({ row, at }) => at >= top && !row.ended) ?? shown.find(({ row }) => !row.ended);
    this.current = first?.row.id ?? "";
  }

  // When the row with the focus has gone, the focus goes to the rows as a whole, not
  // to another row's button.
  focusKept() {
    if (this.lost) this.body.focus({ preventScroll: true });
  }

  create(row) {
    const node = element("div", { role: "row", className: "row" });
    node.dataset.id = row.id;
    for (const column of columns) {
      node.append(element("div", { role: "cell", className: `cell ${column.name}` }));
    }
    const button = element("button", { type: "button", className: "kill", textContent: "Kill…", tabIndex: -1 });
    node.append(element("div", { role: "cell", className: "cell action" }, button));
    return node;
  }

  update(node, { row, at }) {
    columns.forEach((column, i) => {
      const text = column.text(row, this.now);
      const cell = node.children[i];
      setText(cell, text);
      setTitle(cell, column.title ? column.title(row) : text);
    });
    const position = `translateY(${at * this.height}px)`;
    if (node.style.transform !== position) {
      node.style.transform = position;
      node.setAttribute("aria-rowindex", String(at + 2));
      node.classList.toggle("odd", at % 2 === 1);
    }
    node.classList.toggle("ended", row.ended);
    node.classList.toggle("moving", row.rateUp + row.rateDown > 0);
    const button = node.lastChild.firstChild;
    // A disabled button would drop the focus.
    button.setAttribute("aria-disabled", String(row.ended));
    button.tabIndex = row.id === this.current ? 0 : -1;
    const label = `Kill the tunnel of ${row.client} to ${row.destination || "no destination yet"}`;
    if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
  }

  setCurrent(id) {
    if (id === this.current) return;
    const before = this.nodes.get(this.current);
    if (before) before.lastChild.firstChild.tabIndex = -1;
    this.current = id;
    const now = this.nodes.get(id);
    if (now) now.lastChild.firstChild.tabIndex = 0;
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.list.findIndex((row) => row.id === this.current);
    const page = Math.max(1, Math.floor(this.body.clientHeight / this.height) - 1);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.list.length - 1 }[event.key];
    if (to === undefined || this.list.length === 0) return;
    event.preventDefault();
    this.focusRow(Math.max(0, Math.min(to, this.list.length - 1)));
  }

  focusRow(at) {
    if (at < 0) {
      this.input.focus();
      return;
    }
    const top = at * this.height;
    if (top < this.body.scrollTop) this.body.scrollTop = top;
    else if (top + this.height > this.body.scrollTop + this.body.clientHeight) this.body.scrollTop = top + this.height - this.body.clientHeight;
    this.render();
    this.nodes.get(this.list[at].id).lastChild.firstChild.focus({ preventScroll: true });
  }
}
