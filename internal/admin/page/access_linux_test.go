package page_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sluice/internal/lab/browser"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

func TestEveryControlHasARoleAndAName(t *testing.T) {
	e := newExample()
	f := newFeed(t, e.start)
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", e.tick(1))
	f.send("tick", e.tick(2))
	b.Until(`document.querySelectorAll("#client-rows tr").length > 3`)
	b.Eval(`document.querySelector(".explain").click()`)
	b.Until(`document.querySelector(".explanation p")`)
	b.CheckNames(
		"heading Sluice v1.4.0", "slider Throughput, seconds before now", "searchbox Filter",
		"table Live tunnels", "table Top clients", "table Top destinations", "table Refused or failed, by outcome",
		"columnheader Down rate", "button Down rate", "meter Tunnels of those that may be open",
		"button Kill all tunnels of 192.0.2.10", "button Explain the refusal of 192.0.2.10 to telemetry.example.com:443",
		"region Live tunnels", "rowheader 192.0.2.10", "main", "banner", "search",
	)
	if n := b.Eval(`document.querySelectorAll("h1").length`); n != "1" {
		t.Errorf("%s main headings", n)
	}
	// What speaks by itself does so on events alone, never each second.
	b.Eval(`(() => {
		window.spoken = [];
		const watch = new MutationObserver((list) => window.spoken.push(...list.map((m) => m.target.textContent)));
		for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) watch.observe(region, { childList: true, characterData: true, subtree: true });
		return true;
	})()`)
	for n := 3; n < 8; n++ {
		f.send("tick", e.tick(n))
	}
	b.Until(fmt.Sprintf(`document.getElementById("total-down").value === "%d"`, e.tick(7)["bytes_down"]))
	if spoken := b.Eval(`window.spoken`); spoken != "[]" {
		t.Errorf("ticks make it speak: %s", spoken)
	}
	b.Eval(`document.querySelector("#tunnel-canvas button").click()`)
	b.Until(`document.getElementById("kill").open`)
	b.CheckNames("dialog Kill this tunnel?", "button Cancel", "button Kill this tunnel")
}

func TestTabGoesThroughThePageInReadingOrderAndCanBeSeen(t *testing.T) {
	e := newExample()
	f := newFeed(t, e.start)
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", e.tick(1))
	b.Until(`document.querySelectorAll("#client-rows tr").length > 3`)
	for _, width := range []int64{1400, 360} {
		b.View(width, 1000, "light")
		b.Eval(`(document.activeElement.blur(), scrollTo(0, 0), true)`)
		b.Eval(`(getSelection().collapse(document.body, 0), true)`)
		var order []string
		var stop struct {
			Name    string
			Top     float64
			Visible bool
		}
		last := -1000.0
		for range 60 {
			b.Keys(kb.Tab)
			text := b.Eval(`(() => {
				const e = document.activeElement;
				const style = getComputedStyle(e);
				const box = (e.closest("#tunnel-rows") ?? e.closest("#refusal-rows") ?? e.closest("[role=row], tr, .bar") ?? e).getBoundingClientRect();
				return JSON.stringify({ Name: e.id || e.getAttribute("aria-label") || e.textContent.trim(), Top: box.top + scrollY, Visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 });
			})()`)
			if err := json.Unmarshal([]byte(text), &stop); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(order, stop.Name) || b.Eval("document.activeElement === document.body") == "true" {
				break
			}
			order = append(order, stop.Name)
			if !stop.Visible {
				t.Errorf("at %d pixels the focus on %s cannot be seen", width, stop.Name)
			}
			if stop.Top < last-1 && len(order) > 2 && !strings.Contains(stop.Name, "example") {
				t.Errorf("at %d pixels the focus jumps up to %s", width, stop.Name)
			}
			last = stop.Top
		}
		all := strings.Join(order, ", ")
		for _, name := range []string{"To the live tunnels", "plot", "192.0.2.10", "registry.example.com", "filter", "Destination", "Kill the tunnel of", "refusal-rows", "Explain the refusal of"} {
			if !strings.Contains(all, name) {
				t.Errorf("at %d pixels Tab does not come to %q, but to %s", width, name, all)
			}
		}
		if n := strings.Count(all, "Kill the tunnel of"); n != 1 {
			t.Errorf("the rows take %d stops of Tab", n)
		}
	}
}

func TestThePlotIsReadByArrowKeys(t *testing.T) {
	f := newFeed(t, func() object { return starting() })
	b := browser.New(t)
	b.Open(f.URL)
	for n := range 30 {
		f.send("tick", ticking(n+1, 0, object{"rate_down": (n + 1) * 1_000_000, "rate_up": (n + 1) * 10_000}))
	}
	b.Until(`document.getElementById("plot-down").textContent === "30.0 MB/s"`)
	b.TabTo("#plot")
	value := func() string { return b.Eval(`document.activeElement.getAttribute("aria-valuetext").slice(10)`) }
	b.Keys(kb.ArrowLeft)
	if got := value(); got != "29.0 MB/s down, 290 kB/s up" {
		t.Errorf("one to the left is %q", got)
	}
	b.Keys(kb.PageDown)
	if got := value(); got != "14.0 MB/s down, 140 kB/s up" {
		t.Errorf("a page to the left is %q", got)
	}
	if got := b.Text("#plot-down"); got != "14.0 MB/s" {
		t.Errorf("eyes read %q", got)
	}
	f.send("tick", ticking(31, 0, object{"rate_down": 5, "rate_up": 5}))
	b.Until(`document.getElementById("rate-down").value === "5"`)
	if got := value(); got != "14.0 MB/s down, 140 kB/s up" {
		t.Errorf("the reading moved with time to %q", got)
	}
	b.Keys(kb.Home)
	if got := value(); got != "1.00 MB/s down, 10.0 kB/s up" {
		t.Errorf("the first is %q", got)
	}
	if got := b.Eval(`document.activeElement.getAttribute("aria-valuenow")`); got != "-30" {
		t.Errorf("the first is at %s seconds", got)
	}
	b.Keys(kb.Escape)
	if got := b.Text("#plot-time"); got != "now" {
		t.Errorf("after Escape it reads %q", got)
	}
}
