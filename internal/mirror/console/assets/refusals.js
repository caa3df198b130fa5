// The latest that was refused or failed, each with its reason.

import { byId, element, keyed, setTime } from "./dom.js";
import { plain } from "./text.js";

const made = new Map();

export function drawRefusals(list, now) {
  const rows = byId("refusal-rows");
  keyed(rows, made, list, (r) => r.id, (r) => create(r, now), () => {});
  rows.hidden = list.length === 0;
  byId("refusal-empty").hidden = list.length !== 0;
}

// What was asked for, as a person would name it.
function what(r) {
  if (!r.repository) return [r.method, r.path].filter(Boolean).join(" ") || r.kind || "";
  const name = r.registry ? `${r.registry}/${r.repository}` : r.repository;
  if (!r.reference) return name;
  return name + (r.reference.includes(":") ? "@" : ":") + r.reference;
}

function create(r, now) {
  const time = element("time");
  setTime(time, Date.parse(r.time ?? r.start), now);
  return element("li", {},
    time,
    element("span", { className: "who" },
      element("bdi", { textContent: plain(r.client) }), r.user ? element("span", { className: "by" }, "as ", element("bdi", { textContent: plain(r.user) })) : ""),
    element("span", { className: "where" }, element("bdi", { textContent: plain(what(r)) })),
    element("span", { className: "code", textContent: plain([r.status, r.code].filter(Boolean).join(" ")) }),
    element("span", { className: "why" }, element("bdi", { textContent: plain(r.error) })));
}
