package console

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp/kb"

	"sluice/internal/lab/browser"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/upstream"
)

// example is a mirror that has been at work for a while.
func example(t *testing.T) *mirror {
	t.Helper()
	m := newMirror(t)
	for i, image := range []string{"docker.io/library/alpine:3.22", "docker.io/library/alpine:latest", "docker.io/library/postgres:17", "ghcr.io/acme/tool:v1.4", "registry.example.com/team/app:2026-05"} {
		repository, tag, _ := strings.Cut(image, ":")
		m.image(repository, tag, 100_000*(1+i*i), image)
	}
	paused := limits(100, 0)
	paused.PausedUntil = time.Now().Add(20 * time.Minute)
	m.upstreams = []metrics.UpstreamState{
		{Name: "docker.io", URL: "https://registry-1.docker.io", Limits: limits(100, 7)},
		{Name: "ghcr.io", URL: "https://ghcr.io"}, {Name: "quay.io", URL: "https://quay.io"},
		{Name: "registry.example.com", URL: "https://registry.example.com", Limits: paused},
	}
	m.metrics.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200, Bytes: 1_000_000})
	m.metrics.Upstream(upstream.Event{Upstream: "ghcr.io", Kind: "manifest", Failure: upstream.Unreachable})
	for i := range 10 {
		how := record.Hit
		if i == 0 {
			how = record.Miss
		}
		m.pulled(record.Record{How: how, Status: 200, Bytes: 1_000_000})
	}
	m.pulled(record.Record{ID: 1, Status: 403, Code: "DENIED", Client: netip.MustParseAddrPort("203.0.113.77:4000"), Registry: "docker.io",
		Repository: "library/alpine", Reference: "3.22", Error: "no rule lets 203.0.113.77 pull from docker.io"})
	m.pulled(record.Record{ID: 2, Status: 502, Code: "UNKNOWN", Client: netip.MustParseAddrPort("192.0.2.7:4000"), User: "build", Registry: "ghcr.io",
		Repository: "acme/tool", Reference: "v2", Error: "upstream ghcr.io: dial 203.0.113.4:443: connection timed out"})
	return m
}

// pulled does with a record what the mirror does.
func (m *mirror) pulled(r record.Record) {
	r.Start, r.Kind, r.Method = time.Now(), record.Manifest, "GET"
	m.metrics.Count(&r)
	m.recent.Add(&r)
}

// look opens the page and waits until all parts have been shown.
func look(t *testing.T, m *mirror) *browser.Tab {
	t.Helper()
	b := browser.New(t)
	b.Open(m.URL)
	return b
}

func TestThePageShowsWhatIsCachedAndWhatItSaved(t *testing.T) {
	m := example(t)
	b := look(t, m)
	totals := m.metrics.Totals()
	for id, want := range map[string]string{
		"saved": fmt.Sprint(totals.Saved()), "sent": "10000000", "fetched": "1000000", "hits": "9", "requests": "10",
		"kept": fmt.Sprint(m.store.Stats().Bytes), "downloads": "0", "ratio": "0.9",
	} {
		if got := b.Value(id); got != want {
			t.Errorf("%s is %s, not %s", id, got, want)
		}
	}
	rows := browser.Evaluate[[]string](b, `[...document.querySelectorAll("#cached-rows tr")].map((row) => [...row.children].slice(0, 4).map((cell) => cell.innerText).join(" | "))`)
	want := []string{"registry.example.com/team/app | 1 | 3 | 1.70 MB", "ghcr.io/acme/tool | 1 | 3 | 1.00 MB", "docker.io/library/postgres | 1 | 3 | 500 kB", "docker.io/library/alpine | 2 | 6 | 301 kB"}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("it shows\n%s", strings.Join(rows, "\n"))
	}
	states := b.Eval(`[...document.querySelectorAll("#upstream-rows tr")].map((row) => [row.dataset.state, row.querySelector("bdi").textContent, row.querySelector(".left").textContent].join(" ")).join("\n")`)
	if states != "up docker.io 7 of 100\naway ghcr.io –\nunasked quay.io –\npaused registry.example.com 0 of 100" {
		t.Errorf("upstreams are\n%s", states)
	}
	if why := b.Text("#upstream-rows tr:nth-child(2) .meaning"); !strings.Contains(why, "it cannot be reached") {
		t.Errorf("why it is away: %q", why)
	}
	refusals := b.Text("#refusal-rows")
	for _, text := range []string{"203.0.113.77", "docker.io/library/alpine:3.22", "403 DENIED", "no rule lets 203.0.113.77 pull", "as build", "connection timed out"} {
		if !strings.Contains(refusals, text) {
			t.Errorf("refusals lack %q: %s", text, refusals)
		}
	}
	// What happens meanwhile shows.
	m.pulled(record.Record{How: record.Hit, Status: 200, Bytes: 5_000_000})
	b.Until(`document.getElementById("sent").value === "15000000" && document.getElementById("ratio").textContent === "91%"`)
}

func TestTagsAreFoundAndShownByKeyboardAlone(t *testing.T) {
	m := example(t)
	b := look(t, m)
	b.TabTo("#filter")
	b.Keys("a", "l", "p", "i", "n", "e", " ", ":", "3")
	b.Until(`document.querySelectorAll("#cached-rows tr").length === 1`)
	if n := b.Text("#cached-count"); n != "1 of 4 repositories" {
		t.Errorf("it counts %q", n)
	}
	b.TabTo("#cached-rows button")
	b.Keys(kb.Enter)
	b.Until(`document.querySelector(".tags:not([hidden])")`)
	if tags := b.Text(".tags"); !strings.Contains(tags, "3.22") || !strings.Contains(tags, "latest") || !strings.Contains(tags, "100 kB") || !strings.Contains(tags, "sha256:") {
		t.Errorf("its tags are %q", tags)
	}
	if expanded := b.Eval(`document.activeElement.getAttribute("aria-expanded")`); expanded != "true" {
		t.Errorf("expanded: %s", expanded)
	}
	b.Keys(kb.Enter)
	b.Until(`document.querySelector(".tags").hidden`)
	b.Eval(`document.getElementById("filter-clear").click()`)
	b.Until(`document.querySelectorAll("#cached-rows tr").length === 4`)
	b.Eval(`document.querySelector('[data-column="size"] button').click()`)
	first := func() string { return b.Text("#cached-rows th button") }
	if got := first(); got != "registry.example.com/team/app" {
		t.Errorf("the largest is %s", got)
	}
	b.Eval(`document.querySelector('[data-column="size"] button').click()`)
	if got := first(); got != "docker.io/library/alpine" {
		t.Errorf("the smallest is %s", got)
	}
}

func TestThePlotIsReadByArrowKeys(t *testing.T) {
	m := example(t)
	b := look(t, m)
	b.TabTo("#plot")
	b.Keys(kb.ArrowLeft)
	b.Until(`document.getElementById("plot").getAttribute("aria-valuetext").includes("90% of 10, 10.0 MB sent, 1.00 MB fetched")`)
	if at := b.Text("#plot-time"); !strings.Contains(at, " to ") {
		t.Errorf("it reads %q", at)
	}
	b.Keys(kb.Escape)
	if at := b.Text("#plot-time"); at != "all the time" {
		t.Errorf("after Escape it reads %q", at)
	}
}

func TestEveryPartHasARoleAndANameAndTabCanBeSeen(t *testing.T) {
	m := example(t)
	b := look(t, m)
	b.CheckNames("heading Sluice mirror v1.2.3", "slider Pulls without a download, by time", "searchbox Filter", "table Upstreams", "table Cached",
		"button Size", "button docker.io/library/alpine", "meter Cache in use", "region Cached", "rowheader docker.io", "main", "banner", "search")
	for range 14 {
		b.Keys(kb.Tab)
		if seen := b.Eval(`document.activeElement === document.body || (getComputedStyle(document.activeElement).outlineStyle !== "none" && parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2)`); seen != "true" {
			t.Errorf("the focus on %s cannot be seen", b.Eval(`document.activeElement.outerHTML`))
		}
	}
}

// Names, users and errors are what clients and upstreams wrote: an operator reads them
// as text.
func TestWhatOthersWroteStaysText(t *testing.T) {
	const markup = `<img src=x onerror="window.hit=1">`
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 10, "a")
	m.upstreams = []metrics.UpstreamState{{Name: markup, URL: markup}}
	m.pulled(record.Record{ID: 1, Status: 400, Code: markup, User: markup + "\u202e", Registry: markup, Repository: markup, Reference: markup, Error: markup + "\x07"})
	m.pulled(record.Record{ID: 2, Status: 404, Path: markup})
	b := look(t, m)
	b.Until(`document.querySelectorAll("#refusal-rows li").length === 2`)
	if shown := b.Text("#refusal-rows"); strings.Count(shown, markup) < 5 || !strings.Contains(shown, `\u202e`) {
		t.Errorf("it shows %q", shown)
	}
	if n := b.Eval(`document.querySelectorAll("img, script:not([src^='page/'])").length`); n != "0" {
		t.Errorf("%s elements were made of what others wrote", n)
	}
}

func TestThePageSaysWhenTheMirrorIsGoneAndWhenItIsBack(t *testing.T) {
	m := example(t)
	b := look(t, m)
	b.Provokes("503")
	m.stopped.Store(true)
	b.Until(`document.body.dataset.feed === "lost" && document.getElementById("lost").textContent.includes("this program has stopped")`)
	if text := b.Text("#lost"); !strings.Contains(text, "old") {
		t.Errorf("it does not say that what it shows is old: %s", text)
	}
	m.stopped.Store(false)
	b.Until(`document.body.dataset.feed === "live" && document.getElementById("lost").hidden`)
}

// A page that waits a fortieth as long, and that a test hides and shows.
const hurried = `
const later = window.setTimeout.bind(window);
window.setTimeout = (f, milliseconds) => later(f, milliseconds / 40);
window.away = false;
Object.defineProperty(document, "hidden", { get: () => window.away });
window.turn = (away) => { window.away = away; document.dispatchEvent(new Event("visibilitychange")); return true; };`

func TestATabThatNobodySeesAsksForNothing(t *testing.T) {
	m := newMirror(t)
	b := browser.New(t)
	browser.Call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: hurried})
	b.Open(m.URL)
	b.Eval(`turn(true)`)
	b.Until(`document.body.dataset.feed === "paused"`)
	time.Sleep(200 * time.Millisecond) // what was under way
	asked := m.asked.Load()
	time.Sleep(500 * time.Millisecond) // ten times as long as there is between two looks
	if n := m.asked.Load(); n != asked {
		t.Errorf("it has asked %d times", n-asked)
	}
	b.Eval(`turn(false)`)
	b.Until(`document.body.dataset.feed === "live"`)
}

func TestAnEmptyMirrorSaysWhatIsToCome(t *testing.T) {
	m := newMirror(t)
	b := look(t, m)
	for id, text := range map[string]string{"cached-empty": "the first pull brings it", "upstream-empty": "No upstream", "refusal-empty": "Nothing was refused", "plot-empty": "Nothing was pulled"} {
		if shown := b.Text("#" + id); !strings.Contains(shown, text) {
			t.Errorf("%s says %q", id, shown)
		}
	}
}

func TestThePageFitsInLightAndDarkWideAndNarrow(t *testing.T) {
	m := example(t)
	b := look(t, m)
	b.Eval(`document.querySelector("#cached-rows tr:last-child button").click()`)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 400, 360} {
			b.View(width, 1010, scheme)
			time.Sleep(200 * time.Millisecond)
			b.Photograph(fmt.Sprintf("%s-%d", scheme, width))
			if wide := b.Eval("document.documentElement.scrollWidth > innerWidth"); wide != "false" {
				t.Errorf("at %d pixels it is wider than the window", width)
			}
		}
	}
}
