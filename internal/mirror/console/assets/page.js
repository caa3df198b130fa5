// The page: asks the endpoints beside it, each at its own pace, and takes the answers
// to the parts that show them.

import { Cached } from "./cached.js";
import { byId, setFigure, setText, setTime } from "./dom.js";
import { History } from "./history.js";
import { poll } from "./poll.js";
import { drawRefusals } from "./refusals.js";
import { count, duration, percent, plain, size } from "./text.js";
import { drawUpstreams } from "./upstreams.js";

let version = null; // of the mirror that this page came from
let now = 0; // the mirror's time, in milliseconds

const history = new History();
const cached = new Cached();

function notice(id, text) {
  const node = byId(id);
  node.hidden = !text;
  setText(node.querySelector("[data-text]"), text);
}

function show(status) {
  now = Date.parse(status.time);
  if (version !== null && version !== status.version) notice("changed", `The mirror now runs version ${plain(status.version)}. Reload this page to have the one that belongs to it.`);
  version ??= status.version;
  setText(byId("version"), plain(status.version));
  const started = Date.parse(status.started);
  setTime(byId("started"), started, now);
  setText(byId("uptime"), duration(now - started));
  notice("draining", status.draining ? "Draining: the mirror takes no more requests, and stops when those under way have ended." : "");
  notice("trouble", status.cache.trouble ? `The cache cannot be written, so nothing more is kept: ${plain(status.cache.trouble)}` : "");
  figures(status);
  history.show(status.history, status.totals);
  drawUpstreams(status.upstreams ?? [], now);
}

function figures({ cache, totals }) {
  const { bytes_saved: saved, bytes_sent: sent, bytes_fetched: fetched, hits, requests } = totals;
  setFigure(byId("saved"), saved, saved < 0 ? `−${size(-saved)}` : size(saved), "bytes");
  setFigure(byId("sent"), sent, size(sent), "bytes");
  setFigure(byId("fetched"), fetched, size(fetched), "bytes");
  setText(byId("ratio"), requests ? percent(hits / requests) : "–");
  byId("ratio").value = requests ? String(hits / requests) : "";
  setFigure(byId("hits"), hits, count(hits), "pulls of manifests and blobs");
  setFigure(byId("requests"), requests, count(requests), "pulls of manifests and blobs");
  setFigure(byId("kept"), cache.bytes, size(cache.bytes), "bytes");
  setText(byId("max"), `of ${size(cache.max_bytes)}`);
  byId("meter").max = cache.max_bytes || 1;
  byId("meter").value = cache.bytes;
  setFigure(byId("downloads"), cache.downloads, count(cache.downloads), "downloads under way");
  setText(byId("downloads-word"), cache.downloads === 1 ? "download" : "downloads");
  setFigure(byId("reads"), cache.reads, count(cache.reads), "reads under way");
  setFigure(byId("contents"), cache.contents, count(cache.contents), "manifests and blobs");
  setFigure(byId("evictions"), cache.evictions, count(cache.evictions), "contents made room for others");
}

poll({
  tasks: [
    { url: "status", every: 2_000, show },
    { url: "requests?refused=true&limit=50", every: 5_000, show: ({ requests }) => drawRefusals(requests ?? [], now) },
    { url: "cache/repositories", every: 15_000, show: (answer) => cached.show(answer, now) },
  ],
  state(name, why) {
    document.body.dataset.feed = name;
    const words = { connecting: "Connecting", live: "Live", lost: "No connection", paused: "Paused" };
    setText(byId("state"), words[name]);
    notice("lost", name === "lost" ? `${now ? "What is shown here is old: " : ""}${plain(why)}. Trying again.` : "");
  },
});

byId("reload-page").addEventListener("click", () => location.reload());
document.title = `Sluice mirror at ${location.host}`;
