package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/adminclient"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// proxy answers as an admin interface does, over a connection.
func proxy(t *testing.T, answer http.HandlerFunc) *adminclient.Client {
	t.Helper()
	s := httptest.NewServer(answer)
	c := adminclient.New(s.Listener.Addr().String())
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c
}

func TestTheFeedIsOpenedAnewWheneverItEnds(t *testing.T) {
	var opened atomic.Int32
	c := proxy(t, func(w http.ResponseWriter, r *http.Request) {
		switch opened.Add(1) {
		case 1:
			io.WriteString(w, "event: start\ndata: {\"version\":\"one\"}\n\n")
		case 2:
			http.Error(w, `{"error":"there are 16 subscribers already"}`, http.StatusServiceUnavailable)
		default:
			io.WriteString(w, "event: start\ndata: {\"version\":\"two\"}\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	})
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	heard := make(chan news)
	var wg sync.WaitGroup
	wg.Go(func() { follow(ctx, c, heard) })
	for _, want := range []string{"one", "the proxy has ended the feed", "there are 16 subscribers already", "two"} {
		select {
		case n := <-heard:
			got := ""
			if n.err != nil {
				got = n.err.Error()
			} else if start, ok := n.event.(*adminclient.Start); ok {
				got = start.Version
			}
			if got != want {
				t.Errorf("%q, not %q", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%q never came", want)
		}
	}
	stop()
	wg.Wait()
}

func TestWhatIsAskedOfTheProxy(t *testing.T) {
	var asked string
	c := proxy(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.RequestURI()
		switch {
		case strings.HasPrefix(r.URL.Path, "/explain"):
			io.WriteString(w, `{"allowed":true,"sentence":"yes","steps":[{"rule":"r","matched":true}]}`)
		case r.Method == "DELETE":
			io.WriteString(w, `{"killed":3}`)
		default:
			io.WriteString(w, `{"id":"a","age_seconds":1}`)
		}
	})
	for _, tt := range []struct {
		request request
		want    string
		check   func(answer) bool
	}{
		{request{kind: lookUp, id: "00000000000000ab"}, "GET /tunnels/00000000000000ab",
			func(a answer) bool { return string(a.object) == `{"id":"a","age_seconds":1}` }},
		{request{kind: explain, client: "2001:db8::1", to: "[2001:db8::2]:443"}, "GET /explain?client=2001%3Adb8%3A%3A1&to=%5B2001%3Adb8%3A%3A2%5D%3A443",
			func(a answer) bool { return a.explanation.Allowed && a.explanation.Steps[0].Matched }},
		{request{kind: explain, client: "192.0.2.1", to: "a:1", user: "x&y=\x1b"}, "GET /explain?client=192.0.2.1&to=a%3A1&user=x%26y%3D%1B",
			func(a answer) bool { return a.explanation.Sentence == "yes" }},
		{request{kind: killTunnel, id: "00000000000000ab"}, "DELETE /tunnels/00000000000000ab",
			func(a answer) bool { return a.killed == 3 }},
		{request{kind: killClient, client: "2001:db8::/64", what: "all"}, "DELETE /tunnels?client=2001%3Adb8%3A%3A%2F64",
			func(a answer) bool { return a.note() == "killed 3: all" }},
	} {
		a := tt.request.do(t.Context(), c)
		if a.err != nil || asked != tt.want || !tt.check(a) {
			t.Errorf("%s: asked %s, answer %+v", tt.want, asked, a)
		}
	}
}

func TestATunnelIsLookedUpOnceAtATime(t *testing.T) {
	asked, goOn := make(chan string, 10), make(chan struct{})
	c := proxy(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Method
		if r.Method == "GET" {
			<-goOn
		}
		io.WriteString(w, "{}")
	})
	ctx, stop := context.WithTimeout(t.Context(), patience)
	var wg sync.WaitGroup
	a := asker{ctx: ctx, client: c, answers: make(chan answer), wg: &wg}
	for range 3 {
		a.ask(&request{kind: lookUp, id: "a"})
	}
	a.ask(&request{kind: killTunnel, id: "a"}) // is not held up
	if got := <-a.answers; got.kind != killTunnel {
		t.Errorf("%+v", got)
	}
	close(goOn)
	if got := <-a.answers; got.kind != lookUp || got.err != nil {
		t.Errorf("%+v", got)
	}
	stop()
	wg.Wait()
	if len(asked) != 2 {
		t.Errorf("asked %d times", len(asked))
	}
}

func TestTheSnapshotHasRates(t *testing.T) {
	c := proxy(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "event: start\ndata: {\"time\":\"2026-11-22T12:00:00Z\",\"tunnels\":[{\"id\":\"a\",\"client\":\"192.0.2.1\"}]}\n\n",
			"event: reload\ndata: {\"ok\":true}\n\n",
			"event: tick\ndata: {\"time\":\"2026-11-22T12:00:02Z\",\"count\":1,\"moved\":[[\"a\",0,4000]]}\n\n")
	})
	var text strings.Builder
	if err := Once(t.Context(), c, &text); err != nil || !strings.Contains(text.String(), " 2.00kB ") {
		t.Errorf("%v:\n%s", err, &text)
	}
	full := errors.New("no space left")
	if err := Once(t.Context(), c, writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
		t.Errorf("what cannot be written: %v", err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestNothingIsPrintedOfAProxyThatTellsNothing(t *testing.T) {
	c := proxy(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "event: start\ndata: {}\n\n")
	})
	var text strings.Builder
	if err := Once(t.Context(), c, &text); err == nil || err.Error() != "the proxy has ended the feed" || text.Len() > 0 {
		t.Errorf("%v: %q", err, &text)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := Once(ctx, c, &text); !errors.Is(err, context.Canceled) || text.Len() > 0 {
		t.Errorf("%v: %q", err, &text)
	}
}

func TestTheHostIsTheProxysOwn(t *testing.T) {
	here := hostOf("")
	for address, want := range map[string]string{
		"unix:/run/sluice/admin.sock": here, ":9128": here, "localhost:9128": here, "127.0.0.2:9128": here, "[::]:9128": here,
		"192.0.2.1:9128": "192.0.2.1", "relay.example:9128": "relay.example", "[2001:db8::1]:9128": "2001:db8::1",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("%s is on %q, not %q", address, got, want)
		}
	}
}
