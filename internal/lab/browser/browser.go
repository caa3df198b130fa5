//go:build linux

// Package browser is a tab of a Chromium of its own, for tests of the pages of admin
// addresses: it clicks and types, looks at what is shown, and fails the test when the
// page asks for anything from elsewhere or has an error. What can be seen of a page's
// files without a browser is looked at without one.
package browser

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

// Tab is a tab that looks at a page.
type Tab struct {
	context.Context
	t *testing.T

	mu       sync.Mutex
	asked    []string // URLs
	troubles []string // errors on the console: exceptions and what the policy forbids
	expected []string // parts of errors that the test provokes
}

// New starts Chromium. It ends with the test, which fails if the page has
// asked for anything from elsewhere, or had an error on its console.
func New(t *testing.T) *Tab {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{"chromium"}, Part: "the page in a browser"})
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-proxy-server", true), chromedp.UserDataDir(t.TempDir()))
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	b := &Tab{t: t}
	ctx, end := chromedp.NewContext(allocator, chromedp.WithListener(b.listen))
	b.Context = ctx
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		end()
		endAllocator()
	})
	b.Do()
	Call(b, network.Enable, network.EnableParams{})
	Call(b, log.Enable, cdp.Empty{})
	return b
}

// Call runs a command of Chromium's protocol.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.Context, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

func (b *Tab) listen(event any) {
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

// Provokes says that errors with this text are the test's own doing.
func (b *Tab) Provokes(text string) { b.expected = append(b.expected, text) }

// Check fails the test for requests to elsewhere and for errors.
func (b *Tab) Check(origin string) {
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

func (b *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// Open looks at the page of an admin address and waits until it is live.
func (b *Tab) Open(origin string) {
	b.t.Helper()
	b.t.Cleanup(func() { b.Check(origin) })
	b.Do(chromedp.Navigate(origin + "/"))
	b.Until(`document.body.dataset.feed === "live"`)
}

func Evaluate[T any](b *Tab, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Eval evaluates an expression of JavaScript, waits if it is a promise, and returns
// its value as text; of other types than text, as JSON.
func (b *Tab) Eval(expression string) string {
	b.t.Helper()
	raw := Evaluate[[]byte](b, expression)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	return string(raw)
}

// Until waits until an expression is true.
func (b *Tab) Until(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); b.Eval("Boolean("+expression+")") != "true"; time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("it does not become true: %s\nthe page says: %.2000s", expression, b.Eval("document.body.innerText"))
		}
	}
}

// Text returns the text of the first element that a selector finds.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	return b.Eval("document.querySelector(" + string(quoted) + ").innerText")
}

// Value returns the exact value of a figure.
func (b *Tab) Value(id string) string {
	b.t.Helper()
	return b.Eval("document.getElementById('" + id + "').value")
}

// Keys presses keys one after the other, as a keyboard does.
func (b *Tab) Keys(keys ...string) {
	b.t.Helper()
	for _, key := range keys {
		b.Do(chromedp.KeyEvent(key))
	}
}

// TabTo presses Tab until an element that the selector matches has the focus.
func (b *Tab) TabTo(selector string) {
	b.t.Helper()
	quoted, _ := json.Marshal(selector)
	for range 80 {
		b.Keys(kb.Tab)
		if b.Eval("document.activeElement.matches("+string(quoted)+")") == "true" {
			return
		}
	}
	b.t.Fatalf("Tab does not come to %s", selector)
}

// View sets the size of the window, and light or dark.
func (b *Tab) View(width, height int64, scheme string) {
	b.t.Helper()
	Call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	Call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// Photograph writes what is in the window among the test's artifacts, which "go
// test -artifacts" keeps.
func (b *Tab) Photograph(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.Context, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
