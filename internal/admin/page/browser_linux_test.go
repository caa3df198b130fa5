package page_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"sluice/internal/lab"
)

// browser is a tab of a Chromium of its own that looks at the page.
type browser struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	asked    []string // URLs
	troubles []string // errors on the console: exceptions and what the policy forbids
	expected []string // parts of errors that the test provokes
}

// newBrowser starts Chromium. It ends with the test, which fails if the page has
// asked for anything from elsewhere, or had an error on its console.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{"chromium"}, Part: "the page in a browser"})
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.UserDataDir(t.TempDir()))
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	b := &browser{t: t}
	ctx, end := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	b.Context = ctx
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		end()
		endAllocator()
	})
	b.do()
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, cdp.Empty{})
	return b
}

// call runs a command of Chromium's protocol.
func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.Context, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *browser) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.troubles = append(b.troubles, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if x := e.ExceptionDetails.Exception; x != nil {
			text += " " + x.Description
		}
		b.troubles = append(b.troubles, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" {
			b.troubles = append(b.troubles, "console.error")
		}
	}
}

// provokes says that errors with this text are the test's own doing.
func (b *browser) provokes(text string) { b.expected = append(b.expected, text) }

// check fails the test for requests to elsewhere and for errors.
func (b *browser) check(origin string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, asked := range b.asked {
		if u, err := url.Parse(asked); err != nil || u.Scheme+"://"+u.Host != origin {
			b.t.Errorf("the page asked for %s", asked)
		}
	}
	for _, trouble := range b.troubles {
		own := false
		for _, text := range b.expected {
			own = own || strings.Contains(trouble, text)
		}
		if !own {
			b.t.Errorf("on the console: %s", trouble)
		}
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open looks at the page of an admin address and waits until it is live.
func (b *browser) open(origin string) {
	b.t.Helper()
	b.t.Cleanup(func() { b.check(origin) })
	b.do(chromedp.Navigate(origin + "/"))
	b.until(`document.body.dataset.feed === "live"`)
}

func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// eval evaluates an expression of JavaScript, waits if it is a promise, and returns
// its value as text; of other types than text, as JSON.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	raw := evaluate[[]byte](b, expression)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// until waits until an expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); b.eval("Boolean("+expression+")") != "true"; time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("it does not become true: %s\nthe page says: %.2000s", expression, b.eval("document.body.innerText"))
		}
	}
}

// text returns the text of the first element that a selector finds.
func (b *browser) text(selector string) string {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	return b.eval("document.querySelector(" + string(quoted) + ").innerText")
}

// value returns the exact value of a figure.
func (b *browser) value(id string) string {
	b.t.Helper()
	return b.eval("document.getElementById('" + id + "').value")
}

// rows returns the text of a column of the tunnels' table, from the top.
func (b *browser) rows(column string) []string {
	b.t.Helper()
	return evaluate[[]string](b, `[...document.querySelectorAll("#tunnel-canvas .`+column+`")].map((cell) => cell.textContent)`)
}

// keys presses keys one after the other, as a keyboard does.
func (b *browser) keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.do(chromedp.KeyEvent(key))
	}
}

// tabTo presses Tab until an element that the selector matches has the focus.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	for range 80 {
		b.keys(kb.Tab)
		if b.eval("document.activeElement.matches("+string(quoted)+")") == "true" {
			return
		}
	}
	b.t.Fatalf("Tab does not come to %s", selector)
}

// view sets the size of the window, and light or dark.
func (b *browser) view(width, height int64, scheme string) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// photograph writes what is in the window among the test's artifacts, which "go
// test -artifacts" keeps.
func (b *browser) photograph(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.Context, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
