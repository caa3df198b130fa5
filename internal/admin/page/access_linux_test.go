package page_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp/kb"
)

// node is what assistive technology is told of a part of the page.
type node struct{ role, name string }

// tree returns the parts of the page that are not hidden from assistive technology.
func (b *browser) tree() []node {
	b.t.Helper()
	var list []node
	for _, n := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		list = append(list, node{axText(n.Role), axText(n.Name)})
	}
	return list
}

func axText(v *accessibility.Value) string {
	var text string
	if v != nil {
		_ = json.Unmarshal(v.Value, &text) // what is no text is no name
	}
	return text
}

// mustHaveName are the roles of what is used or steered by.
var mustHaveName = []string{"button", "link", "textbox", "searchbox", "slider", "columnheader", "table", "dialog", "heading", "region", "meter"}

func TestEveryControlHasARoleAndAName(t *testing.T) {
	e := newExample()
	f := newFeed(t, e.start)
	b := newBrowser(t)
	b.open(f.URL)
	f.send("tick", e.tick(1))
	f.send("tick", e.tick(2))
	b.until(`document.querySelectorAll("#client-rows tr").length > 3`)
	b.eval(`document.querySelector(".explain").click()`)
	b.until(`document.querySelector(".explanation p")`)
	check := func(want ...node) {
		t.Helper()
		tree := b.tree()
		for _, n := range tree {
			if slices.Contains(mustHaveName, n.role) && n.name == "" {
				t.Errorf("a %s has no name", n.role)
			}
		}
		for _, n := range want {
			if !slices.Contains(tree, n) {
				t.Errorf("there is no %s %q among %v", n.role, n.name, tree)
			}
		}
	}
	check(
		node{"heading", "Sluice v1.4.0"}, node{"slider", "Throughput, seconds before now"}, node{"searchbox", "Filter"},
		node{"table", "Live tunnels"}, node{"table", "Top clients"}, node{"table", "Top destinations"}, node{"table", "Refused or failed, by outcome"},
		node{"columnheader", "Down rate"}, node{"button", "Down rate"}, node{"meter", "Tunnels of those that may be open"},
		node{"button", "Kill all tunnels of 192.0.2.10"}, node{"button", "Explain the refusal of 192.0.2.10 to telemetry.example.com:443"},
		node{"region", "Live tunnels"}, node{"rowheader", "192.0.2.10"}, node{"main", ""}, node{"banner", ""}, node{"search", ""},
	)
	if n := b.eval(`document.querySelectorAll("h1").length`); n != "1" {
		t.Errorf("%s main headings", n)
	}
	// What speaks by itself does so on events alone, never each second.
	b.eval(`(() => {
		window.spoken = [];
		const watch = new MutationObserver((list) => window.spoken.push(...list.map((m) => m.target.textContent)));
		for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) watch.observe(region, { childList: true, characterData: true, subtree: true });
		return true;
	})()`)
	for n := 3; n < 8; n++ {
		f.send("tick", e.tick(n))
	}
	b.until(fmt.Sprintf(`document.getElementById("total-down").value === "%d"`, e.tick(7)["bytes_down"]))
	if spoken := b.eval(`window.spoken`); spoken != "[]" {
		t.Errorf("ticks make it speak: %s", spoken)
	}
	b.eval(`document.querySelector("#tunnel-canvas button").click()`)
	b.until(`document.getElementById("kill").open`)
	check(node{"dialog", "Kill this tunnel?"}, node{"button", "Cancel"}, node{"button", "Kill this tunnel"})
}

func TestTabGoesThroughThePageInReadingOrderAndCanBeSeen(t *testing.T) {
	e := newExample()
	f := newFeed(t, e.start)
	b := newBrowser(t)
	b.open(f.URL)
	f.send("tick", e.tick(1))
	b.until(`document.querySelectorAll("#client-rows tr").length > 3`)
	for _, width := range []int64{1400, 360} {
		b.view(width, 1000, "light")
		b.eval(`(document.activeElement.blur(), scrollTo(0, 0), true)`)
		b.eval(`(getSelection().collapse(document.body, 0), true)`)
		var order []string
		var stop struct {
			Name    string
			Top     float64
			Visible bool
		}
		last := -1000.0
		for range 60 {
			b.keys(kb.Tab)
			text := b.eval(`(() => {
				const e = document.activeElement;
				const style = getComputedStyle(e);
				const box = (e.closest("#tunnel-rows") ?? e.closest("#refusal-rows") ?? e.closest("[role=row], tr, .bar") ?? e).getBoundingClientRect();
				return JSON.stringify({ Name: e.id || e.getAttribute("aria-label") || e.textContent.trim(), Top: box.top + scrollY, Visible: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 });
			})()`)
			if err := json.Unmarshal([]byte(text), &stop); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(order, stop.Name) || b.eval("document.activeElement === document.body") == "true" {
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
	b := newBrowser(t)
	b.open(f.URL)
	for n := range 30 {
		f.send("tick", ticking(n+1, 0, object{"rate_down": (n + 1) * 1_000_000, "rate_up": (n + 1) * 10_000}))
	}
	b.until(`document.getElementById("plot-down").textContent === "30.0 MB/s"`)
	b.tabTo("#plot")
	value := func() string { return b.eval(`document.activeElement.getAttribute("aria-valuetext").slice(10)`) }
	b.keys(kb.ArrowLeft)
	if got := value(); got != "29.0 MB/s down, 290 kB/s up" {
		t.Errorf("one to the left is %q", got)
	}
	b.keys(kb.PageDown)
	if got := value(); got != "14.0 MB/s down, 140 kB/s up" {
		t.Errorf("a page to the left is %q", got)
	}
	if got := b.text("#plot-down"); got != "14.0 MB/s" {
		t.Errorf("eyes read %q", got)
	}
	f.send("tick", ticking(31, 0, object{"rate_down": 5, "rate_up": 5}))
	b.until(`document.getElementById("rate-down").value === "5"`)
	if got := value(); got != "14.0 MB/s down, 140 kB/s up" {
		t.Errorf("the reading moved with time to %q", got)
	}
	b.keys(kb.Home)
	if got := value(); got != "1.00 MB/s down, 10.0 kB/s up" {
		t.Errorf("the first is %q", got)
	}
	if got := b.eval(`document.activeElement.getAttribute("aria-valuenow")`); got != "-30" {
		t.Errorf("the first is at %s seconds", got)
	}
	b.keys(kb.Escape)
	if got := b.text("#plot-time"); got != "now" {
		t.Errorf("after Escape it reads %q", got)
	}
}
