package page_test

import (
	"fmt"
	"slices"
	"sluice/internal/lab/browser"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp/kb"
)

// four tunnels, each the first or last in some column.
func four() []object {
	list := []object{
		tunnelObject(1, "192.0.2.9", "delta.example.com"),
		tunnelObject(2, "192.0.2.10", "alpha.example.com"),
		tunnelObject(3, "2001:db8::1", "charlie.example.com"),
		tunnelObject(4, "10.0.0.1", "bravo.example.com"),
	}
	for i, user := range []string{"", "zoe", "alice", "mallory"} {
		if user != "" {
			list[i]["user"] = user
		}
	}
	for i, rule := range []string{"one", "two", "three", "four"} {
		list[i]["rule"] = rule
	}
	for i, protocol := range []string{"connect", "socks5", "http", "connect"} {
		list[i]["protocol"] = protocol
	}
	return list
}

func moved(list ...any) []any {
	var all []any
	for i := 0; i < len(list); i += 3 {
		all = append(all, []any{fmt.Sprintf("%016x", list[i]), list[i+1], list[i+2]})
	}
	return all
}

// firstLetters tells rows by the first letters of their destinations.
func firstLetters(b *browser.Tab) string {
	var letters strings.Builder
	for _, destination := range rows(b, "destination") {
		letters.WriteByte(destination[0])
	}
	return letters.String()
}

func TestATunnelThatStopsMovingHasNoRate(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", ticking(1, 4, object{"moved": moved(2, 3e6, 2e6)}))
	b.Until(`document.querySelector("#tunnel-canvas .rateDown").textContent === "2.00 MB/s"`)
	f.send("tick", ticking(2, 4, object{"rate_down": 7}))
	b.Until(`document.getElementById("rate-down").value === "7"`)
	b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	if rates := rows(b, "rateDown"); !slices.Equal(rates, []string{"0", "0", "0", "0"}) {
		t.Errorf("the rates are %q", rates)
	}
}

func TestEveryColumnSortsBothWays(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", ticking(1, 4, object{"moved": moved(1, 4e6, 1e6, 2, 3e6, 2e6, 3, 2e6, 4e6, 4, 1e6, 3e6)}))
	f.send("tick", ticking(2, 4, object{"moved": moved(1, 5e6, 9e6, 2, 9e6, 4e6, 3, 4e6, 5e6, 4, 1e6, 6e6)}))
	b.Until(`document.querySelector("#tunnel-canvas .rateDown").textContent === "8.00 MB/s"`)
	for _, c := range []struct{ column, first, then string }{
		{"client", "bdac", "cadb"}, // as numbers: 10.0.0.1, 192.0.2.9, 192.0.2.10, 2001:db8::1
		{"user", "dcba", "abcd"},
		{"destination", "abcd", "dcba"},
		{"rule", "bdca", "acdb"},
		{"protocol", "bdca", "acbd"}, // equals by age, the oldest first
		{"age", "bcad", "dacb"},
		{"up", "adcb", "bcda"},
		{"down", "dbca", "acbd"},
		{"rateUp", "acdb", "bdca"},
		{"rateDown", "dbac", "cabd"},
	} {
		for i, want := range []string{c.first, c.then} {
			b.Eval(`document.querySelector("[data-column=` + c.column + `] button").click()`)
			b.Until(`document.querySelector("[data-column=` + c.column + `]").hasAttribute("aria-sort")`)
			b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
			if got := firstLetters(b); got != want {
				t.Errorf("by %s, time %d: %s, not %s", c.column, i+1, got, want)
			}
			if n := b.Eval(`document.querySelectorAll("[aria-sort]").length`); n != "1" {
				t.Errorf("%s columns say that they sort", n)
			}
		}
	}
}

func TestTheFilterLooksInAllColumnsOrInOne(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	b.Eval(`document.querySelector("[data-column=destination] button").click()`)
	for filter, want := range map[string]string{
		"":                           "abcd",
		"EXAMPLE":                    "abcd",
		"alpha":                      "a",
		"192.0.2":                    "ad",
		"192.0.2 zoe":                "a",
		"client:192.0.2.0/24":        "ad",
		"client:192.0.2.9":           "d",
		"client:192.0.2.1":           "", // an address is no beginning of one
		"client:192.":                "ad",
		"client:2001:db8::/64":       "c",
		"host:bravo":                 "b",
		"host:alice":                 "",
		"user:ali":                   "c",
		"rule:t":                     "ac",
		"protocol:socks5":            "a",
		"rule:four host:bravo":       "b",
		"rule:four host:charlie":     "",
		"nothing such as this":       "",
		"charlie.example.com:443":    "c",
		"2001:db8::1":                "c",
		"protocol:connect 192.0.2.9": "d",
	} {
		b.Eval(`(() => { const box = document.getElementById("filter"); box.value = ` + strconv.Quote(filter) + `; box.dispatchEvent(new Event("input")); return true })()`)
		b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
		if got := firstLetters(b); got != want {
			t.Errorf("%q finds %q, not %q", filter, got, want)
		}
		empty := b.Eval(`document.getElementById("tunnel-empty").hidden`)
		if (want == "") == (empty == "true") {
			t.Errorf("%q: whether it says that nothing matches: %s", filter, empty)
		}
	}
}

// A hand that is about to kill must find the row where it was.
func TestRowsKeepTheirPlacesWhileSomebodyIsInThem(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	f.send("tick", ticking(1, 4, object{"moved": moved(1, 0, 4e6, 2, 0, 3e6, 3, 0, 2e6, 4, 0, 1e6)}))
	b.Until(`document.querySelector("#tunnel-canvas .destination").textContent.startsWith("delta")`)
	if got := firstLetters(b); got != "dacb" {
		t.Fatalf("order %s", got)
	}
	b.TabTo("#tunnel-canvas button")
	b.Keys(kb.ArrowDown)
	newer := tunnelObject(5, "192.0.2.50", "echo.example.com")
	f.send("tick", ticking(2, 4, object{
		"moved": moved(1, 0, 4e6, 2, 0, 3e6, 4, 0, 9e6), "closed": []string{fmt.Sprintf("%016x", 3)}, "opened": []object{newer},
	}))
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 5`)
	if got := firstLetters(b); got != "dacbe" {
		t.Errorf("order %s while somebody is in it", got)
	}
	if age := rows(b, "age"); age[2] != "ended" {
		t.Errorf("the tunnel that ended says %v", age)
	}
	if label := b.Eval(`document.activeElement.getAttribute("aria-label")`); label != "Kill the tunnel of 192.0.2.10 to alpha.example.com:443" {
		t.Errorf("the focus is on %s", label)
	}
	// On the row that has ended nothing is killed.
	b.Keys(kb.ArrowDown, kb.Enter)
	if open := b.Eval(`document.getElementById("kill").open`); open != "false" {
		t.Error("a tunnel that has ended is asked to be killed")
	}
	b.Eval(`document.activeElement.blur()`)
	f.send("tick", ticking(3, 4, object{}))
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 4`)
	f.send("tick", ticking(4, 4, object{"moved": moved(4, 0, 18e6, 5, 0, 1e6)}))
	b.Until(`document.querySelector("#tunnel-canvas .destination").textContent.startsWith("bravo")`)
	if got := firstLetters(b); got != "beda" && got != "bead" {
		t.Errorf("order %s after", got)
	}
}

func TestTheFocusStaysOnItsTunnelWhereverThatGoes(t *testing.T) {
	var many []object
	for i := range 500 {
		many = append(many, tunnelObject(i+1, "192.0.2.7", fmt.Sprintf("host-%03d.example.com", i+1)))
	}
	f := newFeed(t, func() object { return starting(many...) })
	b := browser.New(t)
	b.Open(f.URL)
	b.Eval(`document.querySelector("[data-column=destination] button").click()`)
	b.Until(`document.querySelector("#tunnel-canvas .destination").textContent.startsWith("host-001")`)
	b.TabTo("#tunnel-canvas button")
	focused := func() string {
		return b.Eval(`document.activeElement.closest(".row")?.querySelector(".destination").textContent ?? document.activeElement.id`)
	}
	b.Keys(kb.End)
	if got := focused(); got != "host-500.example.com:443" {
		t.Errorf("End leads to %s", got)
	}
	b.Keys(kb.PageUp, kb.ArrowUp, kb.Home, kb.ArrowDown)
	if got := focused(); got != "host-002.example.com:443" {
		t.Errorf("the keys lead to %s", got)
	}
	b.Eval(`document.querySelector("[data-column=destination] button").click()`) // the other way round
	b.Eval(`(() => { document.getElementById("tunnel-rows").scrollTop = 3000; return true })()`)
	b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	if got := focused(); got != "host-002.example.com:443" {
		t.Errorf("after sorting and scrolling the focus is on %s", got)
	}
	// Its own tunnel goes: no other takes the focus by itself.
	b.Eval(`(() => { document.getElementById("filter").value = "host-3"; document.getElementById("filter").dispatchEvent(new Event("input")); return true })()`)
	b.Until(`document.activeElement.id === "tunnel-rows"`)
	if n := b.Eval(`document.querySelectorAll("#tunnel-canvas [tabindex='0']").length`); n != "1" {
		t.Errorf("Tab comes to %s rows", n)
	}
}

// What reads the document, or tabs through it, must find rows in the order in which
// they are seen, and moving a row in the document must not take the focus from it.
func TestRowsAreInOrderAroundTheFocus(t *testing.T) {
	f := newFeed(t, func() object { return starting(four()...) })
	b := browser.New(t)
	b.Open(f.URL)
	for i, column := range []string{"destination", "client", "rule", "user", "protocol", "age", "destination"} {
		b.Eval(`document.querySelectorAll("#tunnel-canvas button")[` + strconv.Itoa(i%4) + `].focus()`)
		focused := b.Eval(`document.activeElement.getAttribute("aria-label")`)
		for range 2 {
			b.Eval(`document.querySelector("[data-column=` + column + `] button").click()`)
			b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
			if now := b.Eval(`document.activeElement.getAttribute("aria-label")`); now != focused {
				t.Errorf("sorting by %s takes the focus from %q to %q", column, focused, now)
			}
			if order := b.Eval(`[...document.querySelectorAll("#tunnel-canvas .row")].map((row) => row.getAttribute("aria-rowindex")).join("")`); order != "2345" {
				t.Errorf("by %s the document has rows %s", column, order)
			}
		}
	}
}

// measured notes what ticks and frames cost the page.
const measured = `
window.costs = { start: [], tick: [], frame: [] };
const listen = EventSource.prototype.addEventListener;
EventSource.prototype.addEventListener = function (name, handle) {
	listen.call(this, name, (event) => {
		const before = performance.now();
		handle(event);
		window.costs[name]?.push(performance.now() - before);
	});
};
const frame = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => frame((now) => {
	const before = performance.now();
	draw(now);
	document.body.offsetHeight; // the layout belongs to it
	window.costs.frame.push(performance.now() - before);
});`

// costs sums up in milliseconds what of a kind was measured.
func costs(b *browser.Tab, kind string) string {
	list := browser.Evaluate[[]float64](b, "window.costs."+kind)
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	return fmt.Sprintf("%d: half under %.1f ms, 95 of 100 under %.1f ms, at most %.1f ms", len(list), list[len(list)/2], list[len(list)*95/100], list[len(list)-1])
}

// thousands of tunnels, all of which move.
func thousands(n int) []object {
	list := make([]object, n)
	for i := range list {
		list[i] = tunnelObject(i+1, fmt.Sprintf("198.51.%d.%d", 100+i/250%100, 1+i%250), fmt.Sprintf("host-%04d.example.com", i*7919%n))
	}
	return list
}

func TestFiveThousandTunnelsLeaveAFewRowsInTheDocument(t *testing.T) {
	const n = 5000
	tunnels := thousands(n)
	f := newFeed(t, func() object { return starting(tunnels...) })
	b := browser.New(t)
	browser.Call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: measured})
	b.View(1400, 1000, "light")
	b.Open(f.URL)
	total := make([]int64, n)
	next := n
	for tick := 1; tick <= 40; tick++ {
		var all []any
		var opened []object
		var closed []string
		for i := range total {
			total[i] += int64((i*31+tick*i*17)%9973) * 100
			all = append(all, []any{tunnels[i]["id"], 1, total[i]})
		}
		for i := range 20 { // some come, some go
			at := (tick*131 + i*37) % n
			closed = append(closed, tunnels[at]["id"].(string))
			next++
			tunnels[at] = tunnelObject(next, "198.51.100.9", fmt.Sprintf("new-%d.example.com", next))
			total[at] = 0
			opened = append(opened, tunnels[at])
		}
		f.send("tick", ticking(tick, n, object{"moved": all, "opened": opened, "closed": closed, "rate_down": 2_400_000_000 + tick*1e7, "rate_up": 4e8}))
		b.Until(fmt.Sprintf("window.costs.tick.length === %d", tick))
	}
	if got := b.Text("#tunnel-count"); got != "5,000 tunnels" {
		t.Errorf("it counts %s", got)
	}
	b.Photograph("thousands-light-1400")
	b.View(400, 900, "dark")
	b.Eval(`new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
	b.Photograph("thousands-dark-400")
	b.View(1400, 1000, "dark")
	t.Logf("start %s", costs(b, "start"))
	t.Logf("ticks %s", costs(b, "tick"))
	t.Logf("frames %s", costs(b, "frame"))
	b.Eval(`(window.costs.frame = [], true)`)
	b.Eval(`new Promise((done) => {
		const rows = document.getElementById("tunnel-rows");
		let left = 200;
		const step = () => { rows.scrollTop += 370; --left > 0 ? requestAnimationFrame(step) : done(true); };
		step();
	})`)
	t.Logf("frames while it scrolls %s", costs(b, "frame"))
	b.Photograph("thousands-dark-1400")
	if in := browser.Evaluate[int](b, `document.querySelectorAll("#tunnel-canvas .row").length`); in < 10 || in > 60 {
		t.Errorf("%d rows are in the document", in)
	}
	b.Eval(`(() => { document.getElementById("filter").value = "new-5004."; document.getElementById("filter").dispatchEvent(new Event("input")); return true })()`)
	b.Until(`document.getElementById("tunnel-count").textContent === "1 of 5,000 tunnels"`)
}

// rows returns the text of a column of the tunnels' table, from the top.
func rows(b *browser.Tab, column string) []string {
	return browser.Evaluate[[]string](b, `[...document.querySelectorAll("#tunnel-canvas .`+column+`")].map((cell) => cell.textContent)`)
}
