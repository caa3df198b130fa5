// The plot of throughput over the last minutes, in SVG: the style sheet gives its
// colours. A reading is to be had under the pointer, and by arrow keys: the plot is
// a slider over time, whose value screen readers speak.

import { byId, setText, shape } from "./dom.js";
import { clock, rate } from "./text.js";

const keep = 10 * 60_000;
const spans = [60_000, 2 * 60_000, 5 * 60_000, keep]; // the plot grows to its full span
const gap = 4_000; // without a sample as long as this, the line breaks
const margin = { left: 76, right: 12, top: 10, bottom: 24 };

// The least round number that is not less than value, and whose quarters are round.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 6, 8, 10].map((n) => n * power).find((n) => n >= value * 0.999999);
}

// Steps of the time axis, for labels that are at least some 90 pixels apart.
const steps = [10_000, 15_000, 30_000, 60_000, 120_000, 300_000];

export class Plot {
  constructor() {
    this.samples = []; // {time, down, up}, oldest first
    this.cursor = null; // the time that is read, null: now
    this.root = byId("plot");
    this.svg = byId("plot-drawing");
    this.parts = {
      grid: shape("g", "grid"),
      area: shape("path", "area down"),
      down: shape("path", "line down"),
      up: shape("path", "line up"),
      line: shape("line", "cursor"),
      dotDown: shape("circle", "dot down", { r: 3.5 }),
      dotUp: shape("circle", "dot up", { r: 3.5 }),
    };
    this.svg.append(...Object.values(this.parts));
    this.root.addEventListener("pointermove", (event) => this.point(event));
    this.root.addEventListener("pointerleave", () => this.read(null));
    this.root.addEventListener("blur", () => this.read(null));
    this.root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  add(time, down, up) {
    const last = this.samples.at(-1);
    if (last && time <= last.time) return; // a clock that was set back
    if (last && time - last.time > gap) this.samples.push({ time: last.time + 1, down: null, up: null });
    this.samples.push({ time, down, up });
    const old = this.samples.findIndex((s) => s.time >= time - keep);
    if (old > 0) this.samples.splice(0, old);
    if (this.cursor !== null && this.cursor < this.samples[0].time) this.cursor = this.samples[0].time;
  }

  get known() {
    return this.samples.filter((s) => s.down !== null);
  }

  point(event) {
    if (!this.scale) return;
    const x = event.clientX - this.root.getBoundingClientRect().left;
    this.read(this.scale.time(x));
  }

  key(event) {
    const known = this.known;
    if (known.length === 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.cursor === null ? known.length - 1 : known.indexOf(this.nearest(this.cursor));
    const to = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, PageDown: at - 15, PageUp: at + 15, Home: 0, End: known.length - 1 }[event.key];
    if (event.key === "Escape") this.read(null);
    if (to === undefined) return;
    event.preventDefault();
    this.read(known[Math.max(0, Math.min(to, known.length - 1))].time);
  }

  nearest(time) {
    return this.known.reduce((best, s) => (Math.abs(s.time - time) < Math.abs(best.time - time) ? s : best));
  }

  read(time) {
    this.cursor = time;
    this.draw();
  }

  draw() {
    const { width, height } = this.root.getBoundingClientRect();
    const known = this.known;
    byId("plot-empty").hidden = known.length > 1;
    if (known.length === 0 || width === 0) return;
    const newest = known.at(-1).time;
    const span = spans.find((s) => newest - known[0].time <= s) ?? keep;
    const from = newest - span;
    const top = roundUp(Math.max(10_000, ...known.map((s) => Math.max(s.down, s.up))));
    const right = width - margin.right;
    const bottom = height - margin.bottom;
    const x = (time) => margin.left + ((time - from) / span) * (right - margin.left);
    const y = (value) => bottom - (value / top) * (bottom - margin.top);
    this.scale = { time: (px) => from + ((px - margin.left) / (right - margin.left)) * span };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.axes({ x, y, from, newest, top, right, bottom, span });
    this.series(x, y, bottom);
    this.mark(x, y, bottom, newest);
  }

  axes({ x, y, from, newest, top, right, bottom, span }) {
    const nodes = [];
    const parts = bottom - margin.top > 110 ? 4 : 2;
    for (let i = 0; i <= parts; i++) {
      const value = (top * i) / parts;
      nodes.push(shape("line", i === 0 ? "base" : "", { x1: margin.left, x2: right, y1: y(value), y2: y(value) }));
      const label = shape("text", "", { x: margin.left - 8, y: y(value) + 4, "text-anchor": "end" });
      label.textContent = i === 0 ? "0" : rate(value).replace(/\.0+(?= )|(\.\d*[1-9])0+(?= )/, "$1");
      nodes.push(label);
    }
    const step = steps.find((s) => ((right - margin.left) * s) / span >= 90) ?? 300_000;
    for (let time = Math.ceil(from / step) * step; time <= newest; time += step) {
      const text = clock(time, time);
      if (x(time) > right - 24) continue;
      nodes.push(shape("line", "", { x1: x(time), x2: x(time), y1: margin.top, y2: bottom + 4 }));
      const label = shape("text", "", { x: x(time), y: bottom + 17, "text-anchor": "middle" });
      label.textContent = step % 60_000 === 0 ? text.slice(0, 5) : text;
      nodes.push(label);
    }
    this.parts.grid.replaceChildren(...nodes);
  }

  series(x, y, bottom) {
    let down = "";
    let up = "";
    let area = "";
    let begin = null; // of the piece without a gap
    const close = (end) => {
      if (begin !== null) area += `L${x(end).toFixed(1)} ${bottom}L${x(begin).toFixed(1)} ${bottom}Z`;
      begin = null;
    };
    let before = null;
    for (const s of this.samples) {
      if (s.down === null) {
        close(before.time);
        continue;
      }
      const move = begin === null ? "M" : "L";
      if (begin === null) begin = s.time;
      const px = x(s.time).toFixed(1);
      down += `${move}${px} ${y(s.down).toFixed(1)}`;
      area += `${move}${px} ${y(s.down).toFixed(1)}`;
      up += `${move}${px} ${y(s.up).toFixed(1)}`;
      before = s;
    }
    close(before.time);
    this.parts.down.setAttribute("d", down);
    this.parts.area.setAttribute("d", area);
    this.parts.up.setAttribute("d", up);
  }

  // The reading: under the cursor, or now.
  mark(x, y, bottom, newest) {
    const sample = this.cursor === null ? this.known.at(-1) : this.nearest(this.cursor);
    const reading = `${rate(sample.down)} down, ${rate(sample.up)} up`;
    const time = clock(sample.time, newest);
    setText(byId("plot-time"), this.cursor === null ? "now" : time);
    setText(byId("plot-down"), rate(sample.down));
    setText(byId("plot-up"), rate(sample.up));
    const { line, dotDown, dotUp } = this.parts;
    for (const node of [line, dotDown, dotUp]) node.classList.toggle("off", this.cursor === null);
    const at = x(sample.time);
    for (const [node, attributes] of [
      [line, { x1: at, x2: at, y1: margin.top, y2: bottom }],
      [dotDown, { cx: at, cy: y(sample.down) }],
      [dotUp, { cx: at, cy: y(sample.up) }],
    ]) for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    // A slider's text is spoken when it changes and has the focus: not each second.
    const seconds = Math.round((sample.time - newest) / 1000);
    if (this.cursor === null && document.activeElement === this.root) return;
    this.root.setAttribute("aria-valuemin", String(Math.round((this.samples[0].time - newest) / 1000)));
    this.root.setAttribute("aria-valuenow", String(seconds));
    this.root.setAttribute("aria-valuetext", `${time}: ${reading}`);
  }
}
