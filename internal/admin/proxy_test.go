package admin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/lab"
	"sluice/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// object is JSON as it was read.
type object = map[string]any

// proxy is a running server with its admin address.
type proxy struct {
	t      testing.TB
	addrs  []string // of the listeners
	admin  string   // address
	log    lab.Transcript
	client *http.Client
	stop   func() // at once, and wait
	drain  func() // let what is live end, and wait

	mu   sync.Mutex
	file string // as a reload finds it
	// loading, if not nil, is called at the beginning and at the end of a reload.
	loading func(begins bool)
}

const base = `
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "lab"
action = "allow"
clients = ["127.0.0.0/8", "::1"]
ports = ["1-65535"]
[egress]
allow_private = ["127.0.0.0/8", "::1"]
[server]
drain = "0s"
[limits]
new_tunnels = "100000/s"
`

// serve runs a server until the test ends.
func serve(t testing.TB, file string) *proxy {
	t.Helper()
	p := &proxy{t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: patience}, file: file}
	cfg, err := p.load()
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(cfg, server.Options{Stdout: &p.log, Stderr: io.Discard, Version: "v1.2.3", Load: p.load})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Addrs() {
		p.addrs = append(p.addrs, a.String())
	}
	p.admin = s.AdminAddr().String()
	ctx, stop := context.WithCancel(context.Background())
	cut, cutNow := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(ctx, cut); err != nil {
			t.Error(err)
		}
	}()
	p.drain = func() {
		stop()
		select {
		case <-done:
		case <-time.After(patience):
			t.Error("the server does not end")
		}
	}
	p.stop = func() { cutNow(); p.drain() }
	t.Cleanup(func() { p.stop(); p.client.CloseIdleConnections() })
	return p
}

// load reads the configuration.
func (p *proxy) load() (*config.Config, error) {
	if p.loading != nil {
		p.loading(true)
		defer p.loading(false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	address := "127.0.0.1:0"
	return config.Parse("test.toml", []byte(p.file), config.Flags{Admin: &address}, config.Presets{})
}

// change writes the configuration anew.
func (p *proxy) change(file string) {
	p.mu.Lock()
	p.file = file
	p.mu.Unlock()
}

func (p *proxy) url(path string) string { return "http://" + p.admin + path }

// ask sends a request with header fields "Name: value" and returns the answer and its
// body.
func (p *proxy) ask(method, path string, header ...string) (*http.Response, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, p.url(path), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	resp, err := p.client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp, string(body)
}

// get asks for JSON.
func (p *proxy) get(path string) object {
	p.t.Helper()
	resp, body := p.ask("GET", path)
	if resp.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s, %s", path, resp.Status, body)
	}
	return parse(p.t, body)
}

func parse(t testing.TB, text string) (o object) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatalf("%v: %q", err, text)
	}
	return o
}

// list returns the objects of a list.
func list(o object, name string) (list []object) {
	items, _ := o[name].([]any)
	for _, item := range items {
		list = append(list, item.(object))
	}
	return list
}

// tunnels asks for those that fit a query.
func (p *proxy) tunnels(query string) []object {
	p.t.Helper()
	return list(p.get("/tunnels"+query), "tunnels")
}

// dial connects to a listener of the proxy.
func (p *proxy) dial(listener int) net.Conn {
	p.t.Helper()
	c, err := net.Dial("tcp", p.addrs[listener])
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// connect opens a tunnel through the first listener.
func (p *proxy) connect(to string) net.Conn {
	p.t.Helper()
	c, line := p.attempt(to)
	if line != "HTTP/1.1 200 OK" && !strings.HasPrefix(line, "HTTP/1.1 200") {
		p.t.Fatalf("CONNECT %s: %s", to, line)
	}
	return c
}

// attempt asks for a tunnel and returns the status line.
func (p *proxy) attempt(to string) (net.Conn, string) {
	p.t.Helper()
	c := p.dial(0)
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	line, err := readHead(c)
	if err != nil {
		p.t.Fatalf("CONNECT %s: %v", to, err)
	}
	return c, line
}

// readHead reads up to an empty line, not a byte more, and returns the first line.
func readHead(c io.Reader) (string, error) {
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			return "", err
		}
	}
	line, _, _ := strings.Cut(string(head), "\r\n")
	return line, nil
}

// echo is an origin that sends back what it gets.
func echo(t testing.TB) string {
	return lab.Loopback(t, func(c net.Conn) {
		io.Copy(struct{ io.Writer }{c}, c) // not spliced: the pipes are for the proxy
	})
}

// exchange sends a text through a tunnel to an echoing origin, and reads it back.
func exchange(t testing.TB, c net.Conn, text string) {
	t.Helper()
	io.WriteString(c, text)
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v", got, err)
	}
}

// eventually waits for what comes by itself.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// records returns those with a field of this value.
func (p *proxy) records(name string, value any) (list []object) {
	for line := range strings.Lines(p.log.String()) {
		if o := parse(p.t, line); o[name] == value {
			list = append(list, o)
		}
	}
	return list
}

// watcher is a subscriber of events.
type watcher struct {
	t    testing.TB
	conn net.Conn
	read *bufio.Reader
}

// watch subscribes.
func (p *proxy) watch() *watcher {
	p.t.Helper()
	c, err := net.Dial("tcp", p.admin)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(3 * patience))
	io.WriteString(c, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		p.t.Fatalf("%s, %q: %s", resp.Status, got, body)
	}
	return &watcher{p.t, c, bufio.NewReader(resp.Body)}
}

// next returns the next event.
func (w *watcher) next() (string, object, error) {
	event, err := w.read.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	data, err := w.read.ReadString('\n')
	if err != nil {
		return "", nil, err
	}
	if blank, err := w.read.ReadString('\n'); err != nil {
		return "", nil, err
	} else if blank != "\n" {
		return "", nil, fmt.Errorf("behind an event: %q", blank)
	}
	return strings.TrimSpace(strings.TrimPrefix(event, "event: ")), parse(w.t, strings.TrimPrefix(data, "data: ")), nil
}

// event reads the next event, which must be of this name.
func (w *watcher) event(name string) object {
	w.t.Helper()
	got, o, err := w.next()
	if err != nil || got != name {
		w.t.Fatalf("event %q, %v instead of %q", got, err, name)
	}
	return o
}

// until reads ticks up to the first that fits, and returns it.
func (w *watcher) until(what string, fits func(object) bool) object {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if o := w.event("tick"); fits(o) {
			return o
		}
	}
	w.t.Fatal(what)
	return nil
}

func escaped(s string) string { return url.QueryEscape(s) }
