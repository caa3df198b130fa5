//go:build linux

package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/egress"
	"sluice/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Names of the tests' hosts. The first two are of one registered domain.
const (
	registryName = "registry.one.example"
	authName     = "auth.one.example"
	otherName    = "blobs.two.example"
	insideName   = "inside.two.example" // on an address that may not be dialled
)

var (
	allowed   = netip.MustParseAddr("127.0.0.1")
	forbidden = netip.MustParseAddr("127.0.0.2")
)

// world is a name server and a CA for the sites of one test.
type world struct {
	ca    *lab.CA
	names *names
}

func newWorld(t *testing.T) *world {
	t.Helper()
	n := serveNames(t)
	for _, name := range []string{registryName, authName, otherName} {
		n.set(name, allowed)
	}
	n.set(insideName, forbidden)
	return &world{ca: lab.NewCA(t), names: n}
}

// seen is a request as a site received it.
type seen struct {
	method, host, uri, body string
	header                  http.Header
}

// site is a web server that keeps what it received.
type site struct {
	scheme string
	addr   netip.AddrPort
	server *httptest.Server

	mu   sync.Mutex
	list []seen
}

// serve runs a site with TLS on 127.0.0.1, under all the names of the world.
func (w *world) serve(t *testing.T, h http.HandlerFunc) *site {
	t.Helper()
	return w.serveOn(t, "https", allowed, h)
}

// serveOn runs a site on an address.
func (w *world) serveOn(t *testing.T, scheme string, addr netip.Addr, h http.HandlerFunc) *site {
	t.Helper()
	l, err := net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{scheme: scheme, addr: l.Addr().(*net.TCPAddr).AddrPort()}
	if h == nil {
		h = func(w http.ResponseWriter, _ *http.Request) {}
	}
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.list = append(s.list, seen{r.Method, r.Host, r.RequestURI, string(body), r.Header.Clone()})
		s.mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		h(rw, r)
	}))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	_ = s.server.Listener.Close()
	s.server.Listener = l
	if scheme == "https" {
		pair := w.ca.Leaf(t, registryName, authName, otherName, insideName, "localhost", allowed.String(), forbidden.String())
		s.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Certificate}}
		s.server.StartTLS()
	} else {
		s.server.Start()
	}
	t.Cleanup(s.server.Close)
	return s
}

// url is the site's address under a name.
func (s *site) url(name string) string {
	_, port, _ := net.SplitHostPort(s.addr.String())
	return s.scheme + "://" + net.JoinHostPort(name, port)
}

// requests returns what was received so far.
func (s *site) requests() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]seen(nil), s.list...)
}

// wantNothing fails the test if the site was asked for anything.
func (s *site) wantNothing(t *testing.T) {
	t.Helper()
	for _, r := range s.requests() {
		t.Errorf("%s received %s %s, Authorization %q", s.addr, r.method, r.uri, r.header.Get("Authorization"))
	}
}

// options are those of an upstream at base, with what the tests' hosts take.
func (w *world) options(t *testing.T, base string) Options {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Name: "one.example", URL: u, CA: w.ca.File(), Timeout: time.Minute,
		Dialer: &egress.Dialer{AllowPrivate: []netip.Prefix{netip.PrefixFrom(allowed, 32)}, Resolver: []netip.AddrPort{w.names.addr}},
	}
}

func open(t *testing.T, o Options) *Registry {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (w *world) open(t *testing.T, base string) *Registry {
	t.Helper()
	return open(t, w.options(t, base))
}

// manifest is a request that most tests make.
func manifest(as Identity) Request {
	return Request{Repository: "library/alpine", Path: "manifests/latest", Accept: []string{"application/vnd.oci.image.index.v1+json"}, As: as}
}

func blob(as Identity) Request {
	return Request{Repository: "library/alpine", Path: "blobs/sha256:" + strings.Repeat("ab", 32), As: as}
}

// get makes a request that shall be answered and returns the body.
func get(t *testing.T, r *Registry, q Request) string {
	t.Helper()
	resp, err := r.Do(t.Context(), q)
	if err != nil {
		t.Fatalf("%s: %v", q.Path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", q.Path, err)
	}
	return string(text)
}

// fails makes a request that shall fail in one way and returns the error.
func fails(t *testing.T, r *Registry, q Request, want Kind) *Error {
	t.Helper()
	resp, err := r.Do(t.Context(), q)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("%s: HTTP %d, want the error %q", q.Path, resp.StatusCode, want)
	}
	return isKind(t, err, want)
}

func isKind(t *testing.T, err error, want Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is a %T, want an *Error", err, err)
	}
	if e.Kind != want {
		t.Fatalf("%q (%v), want %q", e.Kind, err, want)
	}
	return e
}

// names is a name server on loopback that answers from a table.
type names struct {
	addr netip.AddrPort

	mu    sync.Mutex
	table map[string][]netip.Addr
	turn  map[string]int
}

func serveNames(t *testing.T) *names {
	t.Helper()
	n := &names{table: make(map[string][]netip.Addr), turn: make(map[string]int)}
	n.addr = lab.NameServer(t, n.answer)
	return n
}

// set lets a name have one address after the other, the last for good.
func (n *names) set(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table[name+"."], n.turn[name+"."] = addrs, 0
}

func (n *names) answer(m *dnsmessage.Message) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	addrs, ok := n.table[q.Name.String()]
	switch {
	case !ok:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		i := min(n.turn[q.Name.String()], len(addrs)-1)
		n.turn[q.Name.String()]++
		lab.Has(m, addrs[i])
	}
	return true
}

// within ends a test that would wait for ever.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		t.Fatalf("%s: not within 20 s", what)
	}
}
