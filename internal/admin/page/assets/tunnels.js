// The live tunnels, as the feed tells of them: what they are, how fast they go, and
// which of them are shown in which order.

import { addressKey, within } from "./address.js";
import { hostPort, plain } from "./text.js";

function fresh(object) {
  const row = { id: object.id, up: 0, down: 0, rateUp: 0, rateDown: 0, ended: false };
  describe(row, object);
  return row;
}

// All that is shown, searched and sorted by is made once.
function describe(row, object) {
  row.start = Date.parse(object.start);
  row.client = plain(object.client);
  row.clientPort = object.client_port ?? 0;
  row.clientKey = addressKey(row.client);
  row.user = plain(object.user);
  row.host = plain(object.host);
  row.destination = hostPort(row.host, object.port);
  row.what = plain([object.method, object.path].filter((part) => part && object.protocol === "http").join(" "));
  // What passes because of observe mode alone is to be told apart.
  row.rule = plain(object.decision === "observe" ? `${object.rule ?? ""} observed`.trim() : object.rule);
  row.protocol = plain(object.protocol);
  row.listener = plain(object.listener);
  row.address = plain(object.address);
  row.search = {
    client: row.client.toLowerCase(),
    user: row.user.toLowerCase(),
    host: row.destination.toLowerCase(),
    rule: row.rule.toLowerCase(),
    protocol: row.protocol.toLowerCase(),
  };
}

export class Tunnels {
  constructor() {
    this.rows = new Map(); // by id
    this.moving = new Set(); // those with a rate
  }

  replace(objects) {
    this.rows.clear();
    this.moving.clear();
    for (const object of objects) {
      const row = fresh(object);
      row.up = object.bytes_up;
      row.down = object.bytes_down;
      this.rows.set(row.id, row);
    }
  }

  // Takes in a tick that came seconds after the one before. Returns the rows that
  // are new, those that have ended, and whether others are described anew: what is
  // dialled or which rule decides is not known when a tunnel opens.
  apply(tick, seconds) {
    for (const row of this.moving) row.rateUp = row.rateDown = 0;
    this.moving.clear();
    const opened = [];
    let described = false;
    for (const object of tick.opened ?? []) {
      let row = this.rows.get(object.id);
      if (row) {
        describe(row, object);
        described = true;
      } else {
        row = fresh(object);
        this.rows.set(row.id, row);
        opened.push(row);
      }
      this.move(row, object.bytes_up, object.bytes_down, seconds);
    }
    for (const [id, up, down] of tick.moved ?? []) {
      const row = this.rows.get(id);
      if (row) this.move(row, up, down, seconds);
    }
    const ended = [];
    for (const id of tick.closed ?? []) {
      const row = this.rows.get(id);
      if (!row) continue;
      row.ended = true;
      row.rateUp = row.rateDown = 0;
      this.moving.delete(row);
      this.rows.delete(id);
      ended.push(row);
    }
    return { opened, ended, described };
  }

  move(row, up, down, seconds) {
    if (up === row.up && down === row.down) return;
    row.rateUp = Math.max(0, up - row.up) / seconds;
    row.rateDown = Math.max(0, down - row.down) / seconds;
    row.up = up;
    row.down = down;
    this.moving.add(row);
  }

  // How many tunnels a client has; a client is an address or a network.
  countOf(client) {
    const test = within(client);
    if (!test) return 0;
    let n = 0;
    for (const row of this.rows.values()) if (test(row.clientKey)) n++;
    return n;
  }
}

// The columns of the table: how they sort, and whether the largest comes first.
const byText = (field) => (a, b) => (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : 0);
const byNumber = (field) => (a, b) => a[field] - b[field];

export const orders = {
  client: { compare: byText("clientKey") },
  user: { compare: byText("user") },
  destination: { compare: byText("destination") },
  rule: { compare: byText("rule") },
  protocol: { compare: byText("protocol") },
  age: { compare: (a, b) => b.start - a.start, descending: true },
  up: { compare: byNumber("up"), descending: true, moves: true },
  down: { compare: byNumber("down"), descending: true, moves: true },
  rateUp: { compare: byNumber("rateUp"), descending: true, moves: true },
  rateDown: { compare: byNumber("rateDown"), descending: true, moves: true },
};

// The comparison of a column in a direction. Equals stay in the order of their age,
// so that idle tunnels do not change places.
export function comparison(column, descending) {
  const { compare } = orders[column];
  const sign = descending ? -1 : 1;
  return (a, b) => sign * compare(a, b) || a.start - b.start || (a.id < b.id ? -1 : 1);
}

// Reads a filter: words that must all be found in the client, user, destination or
// rule; "client:", "user:", "host:", "rule:" and "protocol:" look in one only, and a
// client may be a network. Returns a test of rows, null if there is nothing to test.
export function parseFilter(text) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map(wordTest);
  if (tests.length === 0) return null;
  return (row) => tests.every((test) => test(row));
}

function wordTest(word) {
  const [, field, value] = /^(client|user|host|rule|protocol):(.*)$/.exec(word) ?? [null, "", word];
  if (field === "client") {
    const test = within(value);
    if (test) return (row) => test(row.clientKey);
  }
  if (field) return (row) => row.search[field].includes(value);
  return ({ search }) => search.client.includes(value) || search.host.includes(value) || search.rule.includes(value) || search.user.includes(value);
}
