package page_test

import (
	"errors"
	"fmt"
	"net"
	"sluice/internal/lab/browser"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
)

func TestFiguresAgreeWithTheMetricsOnceItIsQuiet(t *testing.T) {
	p := serve(t, echo(t), "127.0.0.1:0")
	b := browser.New(t)
	early, _ := p.connect("127.0.0.1", p.origin) // before the page is opened
	trip(t, early, 123_457)
	b.Open(p.admin)

	var wg sync.WaitGroup
	for i := range 60 {
		c, line := p.connect(fmt.Sprintf("127.0.0.%d", 1+i%3), p.origin)
		if !strings.HasPrefix(line, "HTTP/1.1 200 ") {
			t.Fatal(line)
		}
		wg.Go(func() {
			for n := range 20 + i {
				trip(t, c, 1000*(n+1)+i)
				time.Sleep(30 * time.Millisecond)
			}
			if i%4 == 0 {
				c.Close()
			}
		})
	}
	for range 5 {
		if _, line := p.connect("127.0.0.9", "127.0.0.1:1"); !strings.HasPrefix(line, "HTTP/1.1 403 ") {
			t.Errorf("a denied request is answered %s", line)
		}
	}
	b.Until(`Number(document.getElementById("rate-down").value) > 1e6`)
	wg.Wait()
	b.Until(`document.getElementById("live").value === "46" && document.getElementById("rate-down").value === "0"`)

	for id, want := range map[string]int64{
		"total-up":      p.metric("sluice_bytes_total", `direction="up"`),
		"total-down":    p.metric("sluice_bytes_total", `direction="down"`),
		"live":          p.metric("sluice_requests_in_progress"),
		"refused-total": p.metric("sluice_requests_total") - p.metric("sluice_requests_total", `outcome="ok"`),
	} {
		if got := b.Value(id); got != fmt.Sprint(want) || want == 0 {
			t.Errorf("%s is %s on the page and %d in the metrics", id, got, want)
		}
	}
	if got := b.Text("#outcome-rows"); !strings.Contains(got, "rule_denied") || !strings.HasSuffix(strings.TrimSpace(got), "5\t5") {
		t.Errorf("refusals are %q", got)
	}
	var live struct{ Tunnels []map[string]any }
	p.get("/tunnels", &live)
	if got := b.Text("#tunnel-count"); got != fmt.Sprintf("%d tunnels", len(live.Tunnels)) {
		t.Errorf("the page has %s, /tunnels %d", got, len(live.Tunnels))
	}
	shown := browser.Evaluate[map[string]string](b, allRows)
	for _, tunnel := range live.Tunnels {
		id := tunnel["id"].(string)
		want := fmt.Sprintf("%s bytes %s bytes", thousandsOf(tunnel["bytes_up"]), thousandsOf(tunnel["bytes_down"]))
		if got := shown[id]; got != want || len(shown) != len(live.Tunnels) {
			t.Errorf("tunnel %s has relayed %q on the page and %q in /tunnels", id, got, want)
		}
	}
	var clients struct{ Clients []map[string]any }
	p.get("/clients", &clients)
	top := b.Text("#client-rows")
	for _, c := range clients.Clients {
		if n := c["tunnels"].(float64); n > 0 && !strings.Contains(top, fmt.Sprintf("%s\t%.0f\t", c["client"], n)) {
			t.Errorf("the page lacks client %v with %v tunnels: %q", c["client"], n, top)
		}
	}
}

// allRows scrolls through the table and notes what each row has relayed, exactly.
const allRows = `(async () => {
	const seen = {};
	const rows = document.getElementById("tunnel-rows");
	for (let top = 0; top <= rows.scrollHeight; top += 200) {
		rows.scrollTop = top;
		await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
		for (const row of rows.querySelectorAll(".row")) seen[row.dataset.id] = row.querySelector(".up").title + " " + row.querySelector(".down").title;
	}
	return seen;
})()`

// thousandsOf writes a number as the page does.
func thousandsOf(v any) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func TestATunnelIsFoundAndKilledByKeyboardAlone(t *testing.T) {
	p := serve(t, echo(t), "127.0.0.1:0")
	b := browser.New(t)
	var all []net.Conn
	for i := range 30 {
		c, _ := p.connect(fmt.Sprintf("127.0.0.%d", 1+i), p.origin)
		trip(t, c, 1000)
		all = append(all, c)
	}
	victim := all[16]
	b.Open(p.admin)
	b.Until(`document.getElementById("tunnel-count").textContent === "30 tunnels"`)

	b.TabTo("#filter")
	b.Keys("c", "l", "i", "e", "n", "t", ":", "1", "2", "7", ".", "0", ".", "0", ".", "1", "7")
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 1`)
	b.TabTo("[data-column=client] button")
	b.Keys(kb.Enter)
	if sorted := b.Eval(`document.querySelector("[data-column=client]").getAttribute("aria-sort")`); sorted != "ascending" {
		t.Errorf("Enter on a header sorts %s", sorted)
	}
	b.TabTo("#tunnel-canvas button")
	b.Keys(kb.Enter)
	b.Until(`document.getElementById("kill").open`)
	if at := b.Eval(`document.activeElement.id`); at != "kill-cancel" {
		t.Errorf("the dialog begins at %s", at)
	}
	if facts := b.Text("#kill-facts"); !strings.Contains(facts, "127.0.0.17") || !strings.Contains(facts, p.origin) || !strings.Contains(facts, "lab") {
		t.Errorf("the dialog tells %q", facts)
	}
	b.Photograph("kill")
	b.Keys(kb.Escape)
	b.Until(`!document.getElementById("kill").open`)
	trip(t, victim, 10) // it lives
	if label := b.Eval(`document.activeElement.getAttribute("aria-label")`); !strings.Contains(label, "127.0.0.17") {
		t.Errorf("after Escape the focus is on %q", label)
	}
	b.Keys(kb.Enter)
	b.TabTo("#kill-one")
	b.Keys(kb.Enter)
	if _, err := victim.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client of a killed tunnel sees %v", err)
	}
	b.Until(`document.querySelectorAll("#tunnel-canvas .row").length === 0 && !document.getElementById("kill").open`)
	b.Until(`document.getElementById("live").value === "29"`)
	if said := b.Text("#said"); said != "1 tunnel killed." {
		t.Errorf("it says %q", said)
	}
	if at := b.Eval(`document.activeElement.id`); at != "filter" {
		t.Errorf("with no row left the focus is on %q", at)
	}
	trip(t, all[15], 10) // the others live

	// All of a client, from its row among the top clients.
	b.Eval(`(document.activeElement.blur(), document.getElementById("client-title").scrollIntoView(), getSelection().collapse(document.getElementById("client-title"), 0), true)`)
	b.TabTo(`[aria-label="Kill all tunnels of 127.0.0.1"]`)
	b.Keys(kb.Enter)
	b.Until(`document.getElementById("kill").open`)
	b.TabTo("#kill-all")
	b.Keys(kb.Enter)
	if _, err := all[0].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	b.Until(`document.getElementById("live").value === "28"`)
}

func TestARefusalAppearsAndIsExplained(t *testing.T) {
	p := serve(t, echo(t), "127.0.0.1:0")
	b := browser.New(t)
	b.Open(p.admin)
	if empty := b.Eval(`document.getElementById("refusal-empty").hidden || document.getElementById("tunnel-empty").hidden`); empty != "false" {
		t.Error("without tunnels and refusals it does not say so")
	}
	p.connect("127.0.0.7", "denied.example:443")
	b.Until(`document.querySelector("#refusal-rows li")`)
	b.TabTo(".explain")
	b.Keys(kb.Enter)
	b.Until(`document.querySelectorAll(".explanation li").length === 3`)
	var answer struct {
		Sentence string
		Steps    []struct{ Rule, Why string }
	}
	p.get("/explain?client=127.0.0.7&to=denied.example:443", &answer)
	shown := b.Text(".explanation")
	if !strings.Contains(shown, answer.Sentence) || len(answer.Steps) != 3 {
		t.Errorf("it shows %q and not %q", shown, answer.Sentence)
	}
	for _, step := range answer.Steps {
		if !strings.Contains(shown, step.Rule) || !strings.Contains(shown, step.Why) {
			t.Errorf("it shows %q and not %v", shown, step)
		}
	}
	if reason := b.Text("#refusal-rows .why"); !strings.Contains(reason, "no rule lets 127.0.0.7 reach denied.example:443") {
		t.Errorf("the reason is %q", reason)
	}
	// While it is read, newer ones wait.
	p.connect("127.0.0.8", "later.example:443")
	b.Until(`document.getElementById("refusal-more").textContent === "Show 1 newer one"`)
	if n := b.Eval(`document.querySelectorAll("#refusal-rows > li").length`); n != "1" {
		t.Errorf("%s refusals are shown", n)
	}
	b.Eval(`document.getElementById("refusal-more").click()`)
	b.Until(`document.querySelector("#refusal-rows li").textContent.includes("later.example")`)
}

func TestWhatObserveModeLetsPassIsToldApart(t *testing.T) {
	p := serve(t, echo(t), "127.0.0.1:0")
	b := browser.New(t)
	p.connect("127.0.0.98", p.origin)
	p.connect("127.0.0.99", p.origin)
	b.Open(p.admin)
	b.Eval(`document.querySelector("[data-column=client] button").click()`)
	b.Until(`[...document.querySelectorAll("#tunnel-canvas .rule")].map((cell) => cell.textContent).join() === "lab,watched observed"`)
}

func TestThePageComesBackAfterARestartOfTheServer(t *testing.T) {
	origin := echo(t)
	p := serve(t, origin, "127.0.0.1:0")
	b := browser.New(t)
	b.Provokes("ERR_")
	p.connect("127.0.0.1", p.origin)
	b.Open(p.admin)
	b.Until(`document.getElementById("tunnel-count").textContent === "1 tunnel"`)
	address := p.AdminAddr().String()
	p.stop()
	b.Until(`document.body.dataset.feed === "lost"`)
	p = serve(t, origin, address)
	p.connect("127.0.0.2", p.origin)
	p.connect("127.0.0.3", p.origin)
	b.Until(`document.body.dataset.feed === "live" && document.getElementById("tunnel-count").textContent === "2 tunnels"`)
}
