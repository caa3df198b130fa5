package page_test

import (
	"fmt"
	"sluice/internal/lab/browser"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
)

// hurried shortens all waits of the page to a fortieth.
const hurried = `
const later = window.setTimeout.bind(window);
window.setTimeout = (f, milliseconds) => later(f, milliseconds / 40);`

func TestARestartOfTheProxyReplacesWhatIsShown(t *testing.T) {
	starts := 0
	f := newFeed(t, func() object {
		starts++
		if starts == 1 {
			start := starting(four()...)
			start["requests"], start["started"] = object{"ok": 7, "rule_denied": 5}, stamp(began.Add(-time.Hour))
			return start
		}
		start := starting(tunnelObject(77, "192.0.2.77", "after.example.com"))
		start["version"], start["bytes_down"] = "v1.5.0", 12345
		return start
	})
	b := browser.New(t)
	b.Provokes("ERR_INCOMPLETE_CHUNKED_ENCODING")
	b.Provokes("503")
	b.Open(f.URL)
	f.send("tick", ticking(1, 4, object{"rate_down": 3_000_000, "requests": object{"ok": 7, "rule_denied": 6}}))
	b.Until(`document.getElementById("rate-down").value === "3000000"`)
	f.send("reload", object{"time": stamp(began), "ok": false, "error": "it is not valid"})
	b.Until(`!document.getElementById("reload-failed").hidden`)
	f.mu.Lock()
	f.refuse = "16 others watch already"
	f.mu.Unlock()
	f.drop()
	b.Until(`document.body.dataset.feed === "lost" && document.getElementById("lost").textContent.includes("16 others watch already")`)
	b.Photograph("lost")
	if old := b.Text("#lost"); !strings.Contains(old, "old") {
		t.Errorf("it does not say that what it shows is old: %s", old)
	}
	f.mu.Lock()
	f.refuse = ""
	f.mu.Unlock()
	b.Until(`document.body.dataset.feed === "live" && document.querySelectorAll("#tunnel-canvas .row").length === 1`)
	if got := rows(b, "destination"); len(got) != 1 || got[0] != "after.example.com:443" {
		t.Errorf("after the restart it shows %v", got)
	}
	if got := b.Value("total-down"); got != "12345" {
		t.Errorf("it has %s bytes", got)
	}
	if hidden := b.Eval(`document.getElementById("outcome-table").hidden && document.getElementById("lost").hidden && document.getElementById("reload-failed").hidden`); hidden != "true" {
		t.Error("refusals of before, or the notice, are still shown")
	}
	if got := b.Text("#changed"); !strings.Contains(got, "v1.5.0") {
		t.Errorf("it does not tell of the new version: %q", got)
	}
}

func TestAConnectionThatFallsSilentIsMadeAnew(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	browser.Call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: hurried + `
		window.states = [];
		document.addEventListener("DOMContentLoaded", () => new MutationObserver(() => window.states.push(document.body.dataset.feed)).observe(document.body, { attributeFilter: ["data-feed"] }));`})
	b.Open(f.URL)
	b.Until(`window.states.join(" ").includes("live lost connecting live")`)
}

func TestATabThatNobodySeesCostsTheProxyNothing(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	browser.Call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: hurried + `
		window.away = false;
		Object.defineProperty(document, "hidden", { get: () => window.away });
		window.turn = (away) => { window.away = away; document.dispatchEvent(new Event("visibilitychange")); return true; };`})
	b.Open(f.URL)
	b.Eval(`window.turn(true)`)
	b.Until(`document.body.dataset.feed === "paused"`)
	for deadline := time.Now().Add(20 * time.Second); f.reading() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it reads on")
		}
	}
	time.Sleep(700 * time.Millisecond) // 28 seconds of the page's
	if n := f.reading(); n != 0 {
		t.Errorf("a hidden tab has %d connections", n)
	}
	b.Eval(`window.turn(false)`)
	b.Until(`document.body.dataset.feed === "live"`)
}

func TestReloadsAndDrainsAreToldAtTheTop(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	b.Until(`!document.getElementById("reloaded").hidden`) // before the page was opened
	f.send("reload", object{"time": stamp(began), "ok": false, "error": "sluice.toml:3:1: there is no key \"rules\""})
	b.Until(`document.getElementById("reload-failed").textContent.includes("sluice.toml:3:1")`)
	f.send("reload", object{"time": stamp(began), "ok": true})
	b.Until(`document.getElementById("reload-failed").hidden && !document.getElementById("reloaded").hidden`)
	if iso := b.Eval(`document.getElementById("reload-time").title`); iso != stamp(began) {
		t.Errorf("the reload was at %s", iso)
	}
	f.send("tick", ticking(1, 4, object{"draining": true}))
	b.Until(`!document.getElementById("draining").hidden`)
	f.send("tick", ticking(2, 0, object{"draining": true, "closed": []string{"0000000000000001", "0000000000000002", "0000000000000003", "0000000000000004"}}))
	b.Until(`!document.getElementById("tunnel-empty").hidden`)
	b.Photograph("draining")
	if got := b.Text("#tunnel-empty"); got != "No tunnel is open. Clients connect to :3128 or :1080." {
		t.Errorf("without tunnels it says %q", got)
	}
}

// A scan drives its own refusals out of the list, and nobody else's.
func TestAScanHidesNoRefusalOfOthers(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	b.Open(f.URL)
	refusals := func(first, n int, client func(i int) string) (list []object) {
		for i := range n {
			o := tunnelObject(first-i, client(i), "denied.example.com")
			o["time"], o["outcome"], o["reason"] = o["start"], "rule_denied", "no rule"
			list = append(list, o)
		}
		return list
	}
	f.send("tick", ticking(1, 0, object{"refused": refusals(1, 1, func(int) string { return "192.0.2.7" })}))
	b.Until(`document.getElementById("refusal-rows").textContent.includes("192.0.2.7")`)
	for n := 2; n < 6; n++ {
		f.send("tick", ticking(n, 0, object{"refused": refusals(1000*n, 100, func(i int) string {
			if i%2 == 0 {
				return "203.0.113.66"
			}
			return fmt.Sprintf("2001:db8::%d:%d", n, i) // a /64 is one client
		})}))
	}
	b.Until(`document.getElementById("refusal-rows").textContent.includes("2001:db8::5:")`)
	if shown := b.Text("#refusal-rows"); !strings.Contains(shown, "192.0.2.7") {
		t.Error("the refusal of another client is gone")
	}
	if n := b.Eval(`document.querySelectorAll("#refusal-rows > li").length`); n != "100" {
		t.Errorf("%s refusals are shown", n)
	}
}
