package page_test

import (
	"net/http"
	"sluice/internal/lab/browser"
	"strings"
	"testing"
)

// Hosts, users, paths and reasons are what clients wrote. Whatever it is, an
// operator reads it as text.
func TestWhatClientsWroteStaysText(t *testing.T) {
	const (
		markup = `<img src=x onerror="window.hit=1"><script>window.hit=1</script>`
		turned = "admin\u202emoc.elpmaxe\u0007"
	)
	bad := tunnelObject(1, "192.0.2.66", markup+"example.com")
	bad["user"], bad["rule"], bad["protocol"] = markup+turned, markup, "http"
	bad["method"], bad["path"], bad["address"], bad["listener"] = markup, "/"+markup, markup, markup
	refusal := object{
		"id": "\"><b>", "time": stamp(began), "protocol": "http", "client": "192.0.2.66", "user": markup + turned,
		"method": markup, "host": markup, "port": 80, "path": markup, "outcome": markup, "reason": markup + turned,
	}
	f := newFeed(t, func() object {
		start := starting(bad)
		start["refusals"], start["version"], start["requests"] = []object{refusal}, markup, object{markup: 5, "__proto__": 3, "constructor": 2}
		return start
	})
	f.explain = func(*http.Request) (int, object) {
		return http.StatusOK, object{"allowed": true, "sentence": markup, "steps": []object{{"rule": markup, "action": "allow", "matched": true, "why": markup}}}
	}
	b := browser.New(t)
	b.Open(f.URL)
	f.send("reload", object{"time": stamp(began), "ok": false, "error": markup})
	f.send("tick", ticking(1, 1, object{
		"requests":     object{markup: 6, "__proto__": 3, "constructor": 2},
		"clients":      []object{{"client": markup, "tunnels": 1, "rate_up": 1, "rate_down": 1}},
		"destinations": []object{{"host": markup, "tunnels": 1, "rate_up": 1, "rate_down": 1}},
	}))
	b.Until(`document.querySelector("#destination-rows tr")`)
	b.Eval(`document.querySelector(".explain").click()`)
	b.Until(`document.querySelector(".explanation ol")`)
	b.Eval(`document.querySelector("#tunnel-canvas button").click()`)
	b.Until(`document.getElementById("kill").open`)

	for _, selector := range []string{
		"#version", "#reload-failed", "#outcome-rows", "#client-rows", "#destination-rows", ".cell.user", "#tunnel-canvas .rule",
		"#tunnel-canvas .destination", "#refusal-rows .who", "#refusal-rows .where", "#refusal-rows .why", ".explanation", "#kill-facts",
	} {
		shown := b.Eval(`[...document.querySelectorAll("` + selector + `")].map((e) => e.textContent).join(" ")`)
		if selector != ".cell.user" && selector != "#kill-facts" && !strings.Contains(shown, markup) {
			t.Errorf("%s shows %q", selector, shown)
		}
	}
	if shown := rows(b, "user"); len(shown) != 1 || !strings.HasSuffix(shown[0], `admin\u202emoc.elpmaxe\u0007`) {
		t.Errorf("a name that turns the direction of text is shown as %q", shown)
	}
	if n := b.Eval(`document.querySelectorAll("img, script:not([src^='page/']), b").length`); n != "0" {
		t.Errorf("%s elements were made of what clients wrote", n)
	}
	if hit := b.Eval(`String(window.hit)`); hit != "undefined" {
		t.Error("what a client wrote was run")
	}
	// Even if it were tried: the browser itself refuses to make markup of text.
	b.Provokes("This document requires 'TrustedHTML'")
	if refused := b.Eval(`(() => { try { document.body.innerHTML = "<i>"; return false } catch { return true } })()`); refused != "true" {
		t.Error("text may become markup")
	}
}
