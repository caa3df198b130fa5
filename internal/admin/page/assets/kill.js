// The dialog that shows a tunnel whole, and kills it or all of its client once that
// is confirmed.

import { byId, element } from "./dom.js";
import { clock, count, counted, duration, plain, size } from "./text.js";

export class KillDialog {
  // countOf says how many tunnels a client has; done is called with what was
  // killed: {id} or {client}, and a sentence for the operator.
  constructor({ countOf, done }) {
    this.countOf = countOf;
    this.done = done;
    this.dialog = byId("kill");
    byId("kill-cancel").addEventListener("click", () => this.dialog.close());
    byId("kill-one").addEventListener("click", () => this.run({ id: this.row.id }));
    byId("kill-all").addEventListener("click", () => this.run({ client: this.client }));
  }

  ofTunnel(row, now) {
    this.row = row;
    const n = this.countOf(row.client);
    this.show(row.client, "Kill this tunnel?", n > 1 ? n : 0);
    byId("kill-facts").replaceChildren(...facts(row, now));
  }

  ofClient(client) {
    this.row = null;
    const n = this.countOf(client);
    this.show(client, `Kill ${n === 1 ? "the one tunnel" : `all ${counted(n, "tunnel")}`} of ${plain(client)}?`, n);
    byId("kill-facts").replaceChildren();
  }

  show(client, title, all) {
    this.client = client;
    byId("kill-title").textContent = title;
    byId("kill-all").hidden = all === 0;
    byId("kill-all").textContent = `Kill all ${count(all)} of ${plain(client)}`;
    byId("kill-one").hidden = this.row === null;
    this.say("");
    this.busy(false);
    this.dialog.showModal();
    byId("kill-cancel").focus();
  }

  say(text) {
    byId("kill-trouble").textContent = text;
  }

  busy(is) {
    for (const id of ["kill-one", "kill-all"]) byId(id).disabled = is;
  }

  // Tells that the tunnel in the dialog has ended by itself.
  ended(rows) {
    if (!this.dialog.open || !this.row || !rows.includes(this.row)) return;
    byId("kill-one").disabled = true;
    this.say("This tunnel has ended meanwhile.");
  }

  async run(what) {
    this.busy(true);
    this.say("");
    const path = what.id ? `tunnels/${encodeURIComponent(what.id)}` : `tunnels?${new URLSearchParams({ client: what.client })}`;
    try {
      const answer = await fetch(path, { method: "DELETE" });
      const body = await answer.json();
      if (!answer.ok && answer.status !== 404) throw new Error(body.error);
      this.dialog.close();
      this.done(what, answer.ok ? `${counted(body.killed, "tunnel")} killed.` : "It had ended already.");
    } catch (e) {
      this.busy(false);
      this.say(`It was not killed: ${plain(e.message)}`);
      byId("kill-cancel").focus();
    }
  }
}

function facts(row, now) {
  const list = [
    ["Client", row.clientPort ? `${row.client}, port ${row.clientPort}` : row.client],
    ["User", row.user],
    ["Destination", row.destination],
    ["Request", row.what],
    ["Dialled", row.address],
    ["Rule", row.rule],
    ["Protocol", row.protocol && row.listener ? `${row.protocol}, at ${row.listener}` : row.protocol],
    ["Open since", `${clock(row.start, now)}, ${duration(now - row.start)}`],
    ["Relayed", `${size(row.up)} up, ${size(row.down)} down`],
    ["Identifier", plain(row.id)],
  ];
  return list.filter(([, value]) => value).flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", {}, element("bdi", { textContent: value }))]);
}
