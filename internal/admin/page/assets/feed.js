// The event feed of the proxy, from one connection to the next. It is closed while
// nobody sees the page, so that a forgotten tab costs the proxy nothing.

const hiddenFor = 10_000; // a tab that is hidden as long as this is not looked at
const silentFor = 12_000; // there is a tick each second: a connection this silent is dead
const retryFirst = 1_000;
const retryAtMost = 10_000;

// on.start, on.tick and on.reload get the event's data; on.state gets "connecting",
// "live", "lost" or "paused", and a sentence on why it is lost.
export function openFeed(url, on) {
  let source = null;
  let timer = 0; // the next attempt, or the end of patience with this connection
  let delay = retryFirst;

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function connect() {
    close();
    on.state("connecting", "");
    const mine = (source = new EventSource(url));
    const listen = (name, handle) =>
      mine.addEventListener(name, (event) => {
        if (source !== mine) return;
        patience();
        try {
          handle(JSON.parse(event.data));
        } catch (e) {
          console.error(e);
          lost("the proxy sent what this page does not understand; reload the page");
        }
      });
    let opened = false;
    listen("start", (data) => {
      opened = true;
      delay = retryFirst;
      on.start(data);
      on.state("live", "");
    });
    listen("tick", on.tick);
    listen("reload", on.reload);
    mine.onerror = async () => {
      if (source !== mine) return;
      mine.close();
      const why = opened ? "the connection to the proxy broke" : await reason(url);
      if (source === mine) lost(why);
    };
    patience();
  }

  function patience() {
    clearTimeout(timer);
    timer = setTimeout(() => lost("nothing comes from the proxy"), silentFor);
  }

  function lost(why) {
    close();
    on.state("lost", why);
    timer = setTimeout(connect, delay);
    delay = Math.min(delay * 2, retryAtMost);
  }

  let hiding = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) {
      hiding = setTimeout(() => {
        close();
        on.state("paused", "");
      }, hiddenFor);
    } else if (!source) {
      delay = retryFirst;
      connect();
    }
  });
  connect();
}

// An EventSource does not tell with what words it was refused: ask once more.
async function reason(url) {
  const stop = new AbortController();
  try {
    const answer = await fetch(url, { signal: stop.signal });
    if (answer.ok) return "the connection to the proxy broke";
    return (await answer.json()).error;
  } catch {
    return "the proxy does not answer at this address";
  } finally {
    stop.abort();
  }
}
