// Asks for several things again and again, each at its own pace, and not while nobody
// sees the page: a forgotten tab costs the mirror nothing.

const hiddenFor = 10_000; // a tab that is hidden as long as this is not looked at
const patience = 15_000; // for one answer
const retry = 3_000;

// A task is asked for at its url, every so many milliseconds, and shows the answer's
// JSON. state gets "connecting", "live", "lost" or "paused", and why it is lost.
export function poll({ tasks, state }) {
  const timers = new Map();
  let running = false;
  let lost = "";

  async function ask(task) {
    const stop = AbortSignal.timeout(patience);
    let trouble = "";
    try {
      const answer = await fetch(task.url, { signal: stop });
      const body = await answer.json();
      if (!running) return;
      if (answer.ok) task.show(body);
      else trouble = body.error ?? `it answers ${answer.status}`;
    } catch (e) {
      trouble = stop.aborted ? "the mirror does not answer" : "the mirror cannot be reached at this address";
      if (e instanceof SyntaxError || e instanceof ReferenceError) console.error(e);
    }
    if (!running) return;
    settle(task, trouble);
    timers.set(task, setTimeout(() => ask(task), trouble ? retry : task.every));
  }

  // The page is lost while any of its parts is.
  function settle(task, trouble) {
    task.trouble = trouble;
    const first = tasks.find((t) => t.trouble);
    const all = tasks.every((t) => t.trouble !== undefined);
    if (first) {
      if (first.trouble !== lost) state("lost", (lost = first.trouble));
    } else if (all || lost) {
      lost = "";
      state("live", "");
    }
  }

  function start() {
    if (running) return;
    running = true;
    state("connecting", "");
    for (const task of tasks) {
      task.trouble = undefined;
      ask(task);
    }
  }

  function pause() {
    running = false;
    lost = "";
    for (const timer of timers.values()) clearTimeout(timer);
    state("paused", "");
  }

  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(pause, hiddenFor);
    else start();
  });
  start();
}
