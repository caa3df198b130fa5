// The upstreams: whether they answer, and what their rate limits leave.

import { byId, element, keyed, setText, setTitle } from "./dom.js";
import { clock, count, duration, plain } from "./text.js";

const made = new Map();
const words = { up: "up", away: "away", paused: "paused", unasked: "not asked yet" };

export function drawUpstreams(list, now) {
  keyed(byId("upstream-rows"), made, list, (u) => u.name, create, (node, u) => update(node, u, now));
  byId("upstream-table").hidden = list.length === 0;
  byId("upstream-empty").hidden = list.length !== 0;
}

function create(u) {
  return element("tr", {},
    element("th", { scope: "row" }, element("bdi", { textContent: plain(u.name), title: plain(u.url) }), element("span", { className: "meaning" })),
    element("td", {}, element("span", { className: "sign", ariaHidden: "true" }), element("span", { className: "word" })),
    element("td", { className: "left" }));
}

function update(node, u, now) {
  node.dataset.state = u.state;
  setText(node.querySelector(".word"), words[u.state] ?? plain(u.state));
  setText(node.querySelector(".meaning"), why(u, now));
  const left = node.querySelector(".left");
  setText(left, u.limit ? `${count(u.remaining)} of ${count(u.limit)}` : "–");
  left.classList.toggle("low", Boolean(u.limit) && u.remaining <= u.limit / 10);
  setTitle(left, u.limit ? `in ${duration(u.window_seconds * 1000)}, as it said at ${clock(Date.parse(u.limit_seen), now)}` : "it has said nothing of a rate limit");
}

function why(u, now) {
  if (u.state === "paused") return `not asked until ${clock(Date.parse(u.paused_until), now)}, for its rate limit is used up: what is cached is served`;
  if (u.state === "away") return `since ${clock(Date.parse(u.since), now)}: ${plain(u.why)}; what is cached is served`;
  return "";
}
