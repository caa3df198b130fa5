package adminclient

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// answering serves a handler on a listener and returns a client of that address.
func answering(t *testing.T, ln net.Listener, address string, h http.HandlerFunc) *Client {
	t.Helper()
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: h}}
	s.Start()
	c := New(address)
	t.Cleanup(func() {
		c.Close()
		s.CloseClientConnections()
		s.Close()
	})
	return c
}

func onLoopback(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return answering(t, ln, ln.Addr().String(), h)
}

func TestTheAddressIsAskedAndNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:3128")
	hosts := make(chan string, 3)
	tell := func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host }
	tcp := onLoopback(t, tell)
	path := filepath.Join(t.TempDir(), "admin.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(tcp.Address())
	wild := New(":" + port)
	defer wild.Close()
	for _, c := range []*Client{tcp, answering(t, ln, "unix:"+path, tell), wild} {
		if err := c.Healthy(within(t)); err != nil {
			t.Fatal(err)
		}
		if got := <-hosts; got != "localhost" {
			t.Errorf("%s: Host is %q, which is not always answered to", c.Address(), got)
		}
	}
}

func TestARefusalIsTheProxysOwnSentence(t *testing.T) {
	c := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/tunnels/1":
			http.Error(w, `{"error":"no tunnel 1 is live"}`, http.StatusNotFound)
		case "/tunnels/2":
			http.Error(w, `{"error":"\u001b[2Jno \u202e\"tunnel\""}`, http.StatusNotFound)
		case "/healthz":
			http.Error(w, "", http.StatusTeapot)
		case "/clients":
			http.Redirect(w, r, "/tunnels", http.StatusFound)
		case "/tunnels":
			io.WriteString(w, r.Method+r.URL.RawQuery)
		default:
			http.Error(w, "404 page not found", http.StatusNotFound)
		}
	})
	var e *Error
	var answer struct{}
	if err := c.Delete(within(t), "/tunnels/1", nil, &answer); !errors.As(err, &e) || *e != (Error{404, "no tunnel 1 is live"}) {
		t.Errorf("%#v", err)
	}
	if err := c.Delete(within(t), "/tunnels/2", nil, &answer); !errors.As(err, &e) || *e != (Error{404, "\uFFFD[2Jno \uFFFD\"tunnel\""}) {
		t.Errorf("what a terminal obeys: %#v", err)
	}
	if err := c.Get(within(t), "/events", nil, &answer); err == nil || err.Error() != "it answers 404 not found to /events" {
		t.Errorf("%v", err)
	}
	if err := c.Get(within(t), "/clients", nil, &answer); !errors.As(err, &e) || e.Status != http.StatusFound {
		t.Errorf("it went elsewhere: %v", err)
	}
	if err := c.Healthy(within(t)); err == nil || err.Error() != c.Address()+" answers 418 I'm a teapot" {
		t.Errorf("%v", err)
	}
	var syntax *json.SyntaxError
	if err := c.Delete(within(t), "/tunnels", url.Values{"client": {"::1"}}, &answer); !errors.As(err, &syntax) {
		t.Errorf("%v", err)
	}
}

func TestEventsAreReadHoweverTheyAreCut(t *testing.T) {
	for _, tt := range []struct{ name, stream, want string }{
		{"one", "event: tick\ndata: {}\n\n", "tick={} "},
		{"lines end with CRLF", "event: tick\r\ndata: {}\r\n\r\n", "tick={} "},
		{"without a space", "event:tick\ndata:{}\n\n", "tick={} "},
		{"data of several lines", "event: tick\ndata: {\ndata: }\n\n", "tick={\n} "},
		{"comments", ": hello\n\nevent: tick\n: again\ndata: 1\n\n:\n\n", "tick=1 "},
		{"other fields", "id: 7\nretry: 3\nnonsense\nevent: tick\ndata: 1\n\n", "tick=1 "},
		{"without data it is no event", "event: start\n\ndata: 1\n\n", "=1 "},
		{"a name holds for one event", "event: tick\ndata: 1\n\ndata: 2\n\n", "tick=1 =2 "},
		{"cut off before its end", "event: tick\ndata: 1\n\nevent: tick\ndata: 2\n", "tick=1 "},
		{"longer than any buffer", "data: " + strings.Repeat("x", 200_000) + "\n\n", "=" + strings.Repeat("x", 200_000) + " "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReader(strings.NewReader(tt.stream))
			var got strings.Builder
			for {
				name, data, err := r.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString(name + "=" + string(data) + " ")
			}
			if got.String() != tt.want {
				t.Errorf("%q, not %q", got.String(), tt.want)
			}
		})
	}
}

func FuzzEventStream(f *testing.F) {
	f.Add("event: start\ndata: {\"tunnels\":[{\"id\":\"1\"}]}\n\nevent: tick\ndata: {\"moved\":[[\"1\",2,3]]}\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		r := newReader(strings.NewReader(stream))
		for {
			name, data, err := r.next()
			if err != nil {
				return
			}
			decode(name, data)
		}
	})
}

func TestTheFeedTellsWhatItKnows(t *testing.T) {
	c := onLoopback(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "event: start\ndata: {\"tunnels\":[{\"id\":\"a\",\"client\":\"192.0.2.7\",\"bytes_up\":3,\"later\":true}]}\n\n"+
			"event: unheard-of\ndata: {}\n\n"+
			"event: tick\ndata: {\"moved\":[[\"a\",5,6]],\"closed\":[\"b\"]}\n\n"+
			"event: reload\ndata: {\"ok\":false,\"error\":\"no\"}\n\n")
	})
	feed, err := c.Feed(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	next := func() Event {
		t.Helper()
		ev, err := feed.Next()
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	tunnel := next().(*Start).Tunnels[0]
	if tunnel.Client != "192.0.2.7" || tunnel.Up != 3 || !strings.Contains(string(tunnel.Object), `"later":true`) {
		t.Errorf("%+v, %s", tunnel, tunnel.Object)
	}
	tick := next().(*Tick)
	if len(tick.Moved) != 1 || tick.Moved[0] != (Moved{"a", 5, 6}) || len(tick.Closed) != 1 {
		t.Errorf("%+v", tick)
	}
	if r := next().(*Reload); r.OK || r.Error != "no" {
		t.Errorf("%+v", r)
	}
	if _, err := feed.Next(); err != io.EOF {
		t.Errorf("%v", err)
	}
}

func TestAFeedThatIsNoFeedIsAnError(t *testing.T) {
	const start = "event: start\ndata: {}\n\n"
	for _, body := range []string{
		start + "event: tick\ndata: {\"moved\":[[\"a\",5]]}\n\n",
		start + "event: tick\ndata: {\"moved\":[[\"a\",5,6,7]]}\n\n",
		start + "event: tick\ndata: {\"moved\":[null]}\n\n",
		start + "event: tick\ndata: {\"opened\":[null]}\n\n",
		start + "event: tick\ndata: {\"refused\":[{},null]}\n\n",
		"event: start\ndata: {\"tunnels\":[null]}\n\n",
		"event: start\ndata: {\"refusals\":[null]}\n\n",
		"event: start\ndata: <html>\n\n",
		"event: tick\ndata: {}\n\n" + start, // of what?
	} {
		c := onLoopback(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
		feed, err := c.Feed(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(body, start) {
			if _, err := feed.Next(); err != nil {
				t.Error(err)
			}
		}
		if ev, err := feed.Next(); err == nil || err == io.EOF {
			t.Errorf("%q gives %+v, %v", body, ev, err)
		}
		feed.Close()
	}
}

// silent is a feed on which nothing comes.
func silent(t *testing.T) *Feed {
	t.Helper()
	c := onLoopback(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	feed, err := c.Feed(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

func TestClosingTheFeedEndsAWaitForIt(t *testing.T) {
	feed := silent(t)
	done := make(chan error)
	go func() {
		_, err := feed.Next()
		done <- err
	}()
	feed.Close()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAFeedThatFallsSilentIsGivenUp(t *testing.T) {
	feed := silent(t)
	defer feed.Close()
	feed.mute.Reset(0)
	if _, err := feed.Next(); !errors.Is(err, errSilent) {
		t.Errorf("%v", err)
	}
}

func TestTheSilenceBeginsAnewWithEachEvent(t *testing.T) {
	c := onLoopback(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "event: start\ndata: {}\n\n") })
	feed, err := c.Feed(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	feed.mute.Stop()
	if _, err := feed.Next(); err != nil {
		t.Fatal(err)
	}
	if !feed.mute.Stop() {
		t.Error("it is not timed")
	}
}
