// The plot of what share of pulls needed no download, over the whole time since the
// start. It is a slider: a reading of each stretch of time is to be had under the
// pointer and by arrow keys, and its value is spoken.

import { byId, setText, shape } from "./dom.js";
import { clock, count, percent, size } from "./text.js";

const margin = { left: 46, right: 12, top: 10, bottom: 24 };

export class History {
  constructor() {
    this.list = []; // {begin, end, requests, hits, sent, fetched}, those with requests alone
    this.at = null; // the begin of the stretch that is read; null: all of the time
    this.totals = null;
    this.root = byId("plot");
    this.svg = byId("plot-drawing");
    this.parts = { grid: shape("g", "grid"), area: shape("path", "area down"), line: shape("path", "line down"), cursor: shape("line", "cursor") };
    this.svg.append(...Object.values(this.parts));
    this.root.addEventListener("pointermove", (event) => this.point(event));
    this.root.addEventListener("pointerleave", () => this.read(null));
    this.root.addEventListener("blur", () => this.read(null));
    this.root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  show({ seconds, begin, stretches }, totals) {
    const first = Date.parse(begin);
    const length = seconds * 1000;
    this.begin = first;
    this.end = first + (stretches ?? []).length * length;
    this.totals = totals;
    this.list = (stretches ?? []).map(([requests, hits, sent, fetched], i) => ({ begin: first + i * length, end: first + (i + 1) * length, requests, hits, sent, fetched })).filter((s) => s.requests > 0);
    this.draw();
  }

  get current() {
    if (this.at === null || this.list.length === 0) return null;
    return this.list.reduce((best, s) => (Math.abs(s.begin - this.at) < Math.abs(best.begin - this.at) ? s : best));
  }

  point(event) {
    if (this.list.length === 0 || !this.scale) return;
    this.read(this.scale(event.clientX - this.root.getBoundingClientRect().left));
  }

  key(event) {
    if (this.list.length === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.at === null ? this.list.length : this.list.indexOf(this.current);
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - 12, PageUp: at + 12, Home: 0, End: this.list.length - 1 }[event.key];
    if (event.key === "Escape") this.read(null);
    if (to === undefined) return;
    event.preventDefault();
    this.read(this.list[Math.max(0, Math.min(to, this.list.length - 1))].begin);
  }

  read(at) {
    this.at = at;
    this.draw();
  }

  draw() {
    const { width, height } = this.root.getBoundingClientRect();
    byId("plot-empty").hidden = this.list.length > 0;
    if (width === 0 || !this.totals) return;
    const right = width - margin.right;
    const bottom = height - margin.bottom;
    const x = (time) => margin.left + ((time - this.begin) / Math.max(1, this.end - this.begin)) * (right - margin.left);
    const y = (share) => bottom - share * (bottom - margin.top);
    this.scale = (px) => this.begin + ((px - margin.left) / (right - margin.left)) * (this.end - this.begin);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.axes({ x, y, right, bottom });
    this.series(x, y, bottom);
    this.mark(x, bottom);
  }

  axes({ x, y, right, bottom }) {
    const nodes = [];
    for (const share of [0, 0.5, 1]) {
      nodes.push(shape("line", share === 0 ? "base" : "", { x1: margin.left, x2: right, y1: y(share), y2: y(share) }));
      const label = shape("text", "", { x: margin.left - 8, y: y(share) + 4, "text-anchor": "end" });
      label.textContent = percent(share);
      nodes.push(label);
    }
    for (const [time, anchor] of [[this.begin, "start"], [this.end, "end"]]) {
      const label = shape("text", "", { x: x(time), y: bottom + 17, "text-anchor": anchor });
      label.textContent = anchor === "end" ? "now" : clock(time, this.end);
      nodes.push(label);
    }
    this.parts.grid.replaceChildren(...nodes);
  }

  // Stretches in which nothing was pulled have no share: each piece stands alone.
  series(x, y, bottom) {
    let line = "";
    let area = "";
    let before = null;
    for (const s of this.list) {
      const share = y(s.hits / s.requests).toFixed(1);
      const [from, to] = [x(s.begin).toFixed(1), x(s.end).toFixed(1)];
      line += `${before === s.begin ? "L" : "M"}${from} ${share}H${to}`;
      area += `M${from} ${bottom}V${share}H${to}V${bottom}Z`;
      before = s.end;
    }
    this.parts.line.setAttribute("d", line);
    this.parts.area.setAttribute("d", area);
  }

  mark(x, bottom) {
    const s = this.current;
    const of = s ?? { ...this.totals, sent: this.totals.bytes_sent, fetched: this.totals.bytes_fetched };
    const time = s ? `${clock(s.begin, this.end)} to ${clock(s.end, this.end)}` : "all the time";
    const share = of.requests ? percent(of.hits / of.requests) : "–";
    setText(byId("plot-time"), time);
    setText(byId("plot-value"), share);
    this.parts.cursor.classList.toggle("off", !s);
    if (s) {
      const at = x((s.begin + s.end) / 2);
      for (const [name, value] of Object.entries({ x1: at, x2: at, y1: margin.top, y2: bottom })) this.parts.cursor.setAttribute(name, value);
    } else if (document.activeElement === this.root) return; // what changes by itself is not spoken
    this.root.setAttribute("aria-valuemax", String(Math.max(0, this.list.length - 1)));
    this.root.setAttribute("aria-valuenow", String(s ? this.list.indexOf(s) : Math.max(0, this.list.length - 1)));
    this.root.setAttribute("aria-valuetext", `${time}: ${share} of ${count(of.requests)}, ${size(of.sent)} sent, ${size(Math.max(0, of.fetched))} fetched`);
  }
}
