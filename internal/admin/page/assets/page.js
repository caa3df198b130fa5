// The page: takes the feed's events to the parts that show them.

import { within } from "./address.js";
import { byId, setFigure, setText, setTime } from "./dom.js";
import { openFeed } from "./feed.js";
import { KillDialog } from "./kill.js";
import { Outcomes, Top } from "./panels.js";
import { Plot } from "./plot.js";
import { Refusals } from "./refusals.js";
import { Table } from "./table.js";
import { count, counted, duration, plain, rate, size } from "./text.js";
import { Tunnels } from "./tunnels.js";

let begun = null; // the start event of this connection
let last = 0; // the time of the latest event, in milliseconds
let version = null; // of the proxy that this page came from
let listening = ""; // where clients connect

const tunnels = new Tunnels();
const plot = new Plot();
const outcomes = new Outcomes();
const refusals = new Refusals();

const dialog = new KillDialog({
  countOf: (client) => tunnels.countOf(client),
  done: ({ id, client }, sentence) => {
    const test = client && within(client);
    table.drop((row) => (test ? test(row.clientKey) : row.id === id));
    say(sentence);
  },
});

const table = new Table(tunnels, {
  empty: () => `No tunnel is open.${listening ? ` Clients connect to ${listening}.` : ""}`,
  kill: (row) => dialog.ofTunnel(row, last),
});

const showOnly = (field) => (value) => {
  table.show(`${field}:${value}`);
  byId("tunnels").scrollIntoView({ block: "start" });
  byId("filter").focus({ preventScroll: true });
};
const clients = new Top("client", "client", { choose: showOnly("client"), kill: (client) => dialog.ofClient(client) });
const destinations = new Top("destination", "host", { choose: showOnly("host") });

// Says what an operator did, once.
function say(text) {
  byId("said").textContent = text;
}

function notice(id, text) {
  const node = byId(id);
  node.hidden = !text;
  setText(node.querySelector("[data-text]"), text);
}

// Of a start there are no rates yet: those of before stand until the first tick.
function figures({ rateDown, rateUp, down, up, live, draining }) {
  if (rateDown !== undefined) {
    setFigure(byId("rate-down"), rateDown, rate(rateDown), "bytes per second");
    setFigure(byId("rate-up"), rateUp, rate(rateUp), "bytes per second");
  }
  setFigure(byId("total-down"), down, size(down), "bytes");
  setFigure(byId("total-up"), up, size(up), "bytes");
  setFigure(byId("live"), live, count(live), "tunnels and requests");
  byId("meter").value = live;
  setFigure(byId("refused-recent"), outcomes.recent, count(outcomes.recent), "refused or failed");
  setText(byId("refused-window"), outcomes.seconds >= 59 ? "in the last minute" : `in ${counted(outcomes.seconds, "second")}`);
  setFigure(byId("refused-total"), outcomes.total, count(outcomes.total), "refused or failed");
  setText(byId("uptime"), duration(last - Date.parse(begun.started)));
  notice("draining", draining ? "Draining: Sluice takes no new tunnels, and stops when the live ones have ended or their time is up." : "");
}

// Tells that what is in force is younger than the process.
function reloadedAt(time) {
  byId("reloaded").hidden = !time;
  if (time) setTime(byId("reload-time"), time, last);
}

// Asks what the feed does not tell: where clients connect, and of which time the
// configuration is.
async function askConfiguration() {
  try {
    const answer = await fetch("config");
    const { listener, loaded } = await answer.json();
    listening = (listener ?? []).map(({ address }) => plain(address)).join(" or ");
    const time = Date.parse(loaded);
    reloadedAt(time - Date.parse(begun.started) > 1000 ? time : 0); // the first reading takes a moment
    table.schedule();
  } catch {
    listening = ""; // the page does without
  }
}

openFeed("events", {
  start(data) {
    if (begun?.started !== data.started) notice("reload-failed", ""); // it was another process's
    begun = data;
    last = Date.parse(data.time);
    if (version !== null && version !== data.version) notice("changed", `The proxy now runs version ${plain(data.version)}. Reload this page to have the one that belongs to it.`);
    version ??= data.version;
    setText(byId("version"), plain(data.version));
    setTime(byId("started"), Date.parse(data.started), last);
    setText(byId("max"), data.max_tunnels ? `of ${count(data.max_tunnels)}` : "without a bound");
    byId("meter").hidden = !data.max_tunnels;
    byId("meter").max = data.max_tunnels || 1;
    tunnels.replace(data.tunnels ?? []);
    outcomes.replace(last, data.requests ?? {});
    refusals.replace(last, data.refusals ?? []);
    table.replace(last);
    figures({ down: data.bytes_down, up: data.bytes_up, live: tunnels.rows.size, draining: data.draining });
    document.body.classList.add("known");
    askConfiguration();
  },

  tick(data) {
    const time = Date.parse(data.time);
    const seconds = Math.max(0.1, (time - last) / 1000);
    last = time;
    const changes = tunnels.apply(data, seconds);
    dialog.ended(changes.ended);
    outcomes.tick(time, data.requests ?? {});
    plot.add(time, data.rate_down, data.rate_up);
    table.tick(time, changes);
    refusals.tick(time, data.refused ?? []);
    clients.draw(data.clients);
    destinations.draw(data.destinations);
    figures({ rateDown: data.rate_down, rateUp: data.rate_up, down: data.bytes_down, up: data.bytes_up, live: data.count, draining: data.draining });
    if (!document.hidden) plot.draw();
  },

  reload(data) {
    if (data.ok) reloadedAt(Date.parse(data.time));
    notice("reload-failed", data.ok ? "" : `A reload was refused, and what was in force stays in force: ${plain(data.error)}`);
    askConfiguration();
  },

  state(name, why) {
    document.body.dataset.feed = name;
    const words = { connecting: "Connecting", live: "Live", lost: "No connection", paused: "Paused" };
    setText(byId("state"), words[name]);
    if (name === "live") notice("lost", "");
    if (name === "lost") notice("lost", `${begun ? "What is shown here is old: " : ""}${plain(why)}. Trying again.`);
  },
});

byId("reload-page").addEventListener("click", () => location.reload());
document.title = `Sluice at ${location.host}`;
