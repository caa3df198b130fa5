package page_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// pressKill opens the dialog of the nth row.
func (b *browser) pressKill(n string) {
	b.t.Helper()
	b.eval(`document.querySelectorAll("#tunnel-canvas button")[` + n + `].click()`)
	b.until(`document.getElementById("kill").open`)
}

func TestTheDialogKillsWhatItNames(t *testing.T) {
	list := four()
	list[3]["client"] = "192.0.2.9" // as the first
	f := newFeed(t, func() object { return starting(list...) })
	b := newBrowser(t)
	b.open(f.URL)
	b.eval(`document.querySelector("[data-column=destination] button").click()`)
	b.until(`document.querySelector("#tunnel-canvas .destination").textContent.startsWith("alpha")`)

	// Closed and opened anew before the browser has told that it was closed.
	b.pressKill("0")
	b.eval(`(document.getElementById("kill").close(), document.querySelectorAll("#tunnel-canvas button")[2].click(), new Promise((done) => setTimeout(done, 50, true)))`)
	if facts := b.text("#kill-facts"); !strings.Contains(facts, "charlie.example.com:443") {
		t.Errorf("the dialog names %q", facts)
	}
	b.eval(`document.getElementById("kill-one").click()`)
	b.until(`!document.getElementById("kill").open`)
	b.pressKill("1")
	if all := b.text("#kill-all"); all != "Kill all 2 of 192.0.2.9" {
		t.Errorf("it offers %q", all)
	}
	b.eval(`document.getElementById("kill-all").click()`)
	b.until(`!document.getElementById("kill").open`)
	if want, got := []string{"DELETE /tunnels/0000000000000003", "DELETE /tunnels?client=192.0.2.9"}, f.kills(); !slices.Equal(got, want) {
		t.Errorf("it asked for %v, not %v", got, want)
	}
	b.until(`document.querySelectorAll("#tunnel-canvas .row").length === 1`)
}

func TestTheDialogTellsWhenNothingWasKilled(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	status, body := http.StatusForbidden, object{"error": "a page of another origin must not do this"}
	f.kill = func() (int, object) { return status, body }
	b := newBrowser(t)
	b.provokes("403")
	b.provokes("404")
	b.open(f.URL)
	b.until(`document.querySelectorAll("#tunnel-canvas .row").length === 4`)
	b.pressKill("0")
	b.eval(`document.getElementById("kill-one").click()`)
	b.until(`document.getElementById("kill-trouble").textContent === "It was not killed: a page of another origin must not do this"`)
	status, body = http.StatusNotFound, object{"error": "no such tunnel is live"}
	b.eval(`document.getElementById("kill-one").click()`)
	b.until(`!document.getElementById("kill").open && document.getElementById("said").textContent === "It had ended already."`)

	b.pressKill("0")
	id := b.eval(`document.querySelector("#tunnel-canvas .row").dataset.id`)
	f.send("tick", ticking(1, 2, object{"closed": []string{id}}))
	b.until(`document.getElementById("kill-trouble").textContent === "This tunnel has ended meanwhile."`)
	if disabled := b.eval(`document.getElementById("kill-one").disabled`); disabled != "true" {
		t.Error("it offers to kill what has ended")
	}
}

// What a dialog was about before is not offered in the next one.
func TestTheDialogOfAClientOffersNoTunnel(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := newBrowser(t)
	b.open(f.URL)
	f.send("tick", ticking(1, 4, object{"clients": []object{{"client": "192.0.2.9", "tunnels": 1, "rate_up": 1, "rate_down": 1}}}))
	b.until(`document.querySelector('[aria-label="Kill all tunnels of 192.0.2.9"]')`)
	b.pressKill("0")
	b.eval(`(document.getElementById("kill").close(), document.querySelector('[aria-label="Kill all tunnels of 192.0.2.9"]').click())`)
	b.until(`document.getElementById("kill").open`)
	if hidden := b.eval(`document.getElementById("kill-one").hidden`); hidden != "true" || b.text("#kill-facts") != "" {
		t.Errorf("it offers a tunnel: %q", b.text("#kill-facts"))
	}
}
