package page_test

import (
	"net/http"
	"slices"
	"sluice/internal/lab/browser"
	"strings"
	"testing"
)

// pressKill opens the dialog of the nth row.
func pressKill(b *browser.Tab, n string) {
	b.Eval(`document.querySelectorAll("#tunnel-canvas button")[` + n + `].click()`)
	b.Until(`document.getElementById("kill").open`)
}

func TestTheDialogKillsWhatItNames(t *testing.T) {
	list := four()
	list[3]["client"] = "192.0.2.9" // as the first
	f := newFeed(t, func() object { return starting(list...) })
	b := browser.New(t)
	b.Open(f.URL)
	b.Eval(`document.querySelector("[data-column=destination] button").click()`)
	b.Until(`document.querySelector("#tunnel-canvas .destination").textContent.startsWith("alpha")`)

	// Closed and opened anew before the browser has told that it was closed.
	pressKill(b, "0")
	b.Eval(`(document.getElementById("kill").close(), document.querySelectorAll("#tunnel-canvas button")[2].click(), new Promise((done) => setTimeout(done, 50, true)))`)
	if facts := b.Text("#kill-facts"); !strings.Contains(facts, "charlie.example.com:443") {
		t.Errorf("the dialog names %q", facts)
	}
	b.Eval(`document.getElementById("kill-one").click()`)
	b.Until(`!document.getElementById("kill").open`)
	pressKill(b, "1")
	if all := b.Text("#kill-all"); all != "Kill all 2 of 192.0.2.9" {
		t.Errorf("it offers %q", all)
	}
	b.Eval(`document.getElementById("kill-all").click()`)
	b.Until(`!document.getElementById("kill").open`)
	if want, got := []string{"DELETE /tunnels/0000000000000003", "DELETE /tunnels?client=192.0.2.9"}, f.kills(); !slices.Equal(got, want) {
		t.Errorf("it asked for %v, not %v", got, want)
	}
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 1`)
}

func TestTheDialogTellsWhenNothingWasKilled(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	status, body := http.StatusForbidden, object{"error": "a page of another origin must not do this"}
	f.kill = func() (int, object) { return status, body }
	b := browser.New(t)
	b.Provokes("403")
	b.Provokes("404")
	b.Open(f.URL)
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 4`)
	pressKill(b, "0")
	b.Eval(`document.getElementById("kill-one").click()`)
	b.Until(`document.getElementById("kill-trouble").textContent === "It was not killed: a page of another origin must not do this"`)
	status, body = http.StatusNotFound, object{"error": "no such tunnel is live"}
	b.Eval(`document.getElementById("kill-one").click()`)
	b.Until(`!document.getElementById("kill").open && document.getElementById("said").textContent === "It had ended already."`)

	pressKill(b, "0")
	id := b.Eval(`document.querySelector("#tunnel-canvas .row").dataset.id`)
	f.send("tick", ticking(1, 2, object{"closed": []string{id}}))
	b.Until(`document.getElementById("kill-trouble").textContent === "This tunnel has ended meanwhile."`)
	if disabled := b.Eval(`document.getElementById("kill-one").disabled`); disabled != "true" {
		t.Error("it offers to kill what has ended")
	}
}

// What a dialog was about before is not offered in the next one.
func TestTheDialogOfAClientOffersNoTunnel(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", ticking(1, 4, object{"clients": []object{{"client": "192.0.2.9", "tunnels": 1, "rate_up": 1, "rate_down": 1}}}))
	b.Until(`document.querySelector('[aria-label="Kill all tunnels of 192.0.2.9"]')`)
	pressKill(b, "0")
	b.Eval(`(document.getElementById("kill").close(), document.querySelector('[aria-label="Kill all tunnels of 192.0.2.9"]').click())`)
	b.Until(`document.getElementById("kill").open`)
	if hidden := b.Eval(`document.getElementById("kill-one").hidden`); hidden != "true" || b.Text("#kill-facts") != "" {
		t.Errorf("it offers a tunnel: %q", b.Text("#kill-facts"))
	}
}
