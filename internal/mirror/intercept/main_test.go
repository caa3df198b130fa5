package intercept

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
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

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/mirror/authority"
	"sluice/internal/mirror/record"
	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

const (
	hub   = "registry-1.docker.io"
	ghcr  = "ghcr.io"
	blobs = "production.cloudflare.docker.com"
)

// fixture is a proxy on loopback with two registries and a host of blobs.
type fixture struct {
	t         testing.TB
	proxy     *Proxy
	addr      string
	authority *authority.Authority
	store     *httptest.Server // the host of blobs
	stored    http.HandlerFunc // what it answers

	tunnels chan track.Record
	passed  chan record.Record

	mu    sync.Mutex
	asked []string // what registries were asked: "docker.io GET /v2/ HTTP/2.0 from 127.0.0.1:4711"
	reply http.HandlerFunc
}

// change is what a test changes about the policy before the proxy begins.
type change func(*Policy)

func newFixture(t testing.TB, changes ...change) *fixture {
	t.Helper()
	f := &fixture{t: t, tunnels: make(chan track.Record, 1000), passed: make(chan record.Record, 1000)}
	var err error
	if f.authority, err = authority.Open(t.TempDir(), []string{hub, ghcr, blobs, "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	f.store = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.stored(w, r) }))
	t.Cleanup(f.store.Close)
	policy := f.policy()
	for _, c := range changes {
		c(policy)
	}
	f.proxy, err = New(policy, Options{
		Registry: f.registry,
		Tunnel:   func(r *track.Record) { f.tunnels <- *r },
		Passed:   func(r *record.Record) { f.passed <- *r },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.serve()
	return f
}

func (f *fixture) serve() {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.proxy.Serve(ln, "transparent")
	}()
	f.t.Cleanup(func() {
		ln.Close()
		<-done
		f.proxy.Close()
	})
}

// policy admits everybody to the registries, and to nothing else.
func (f *fixture) policy() *Policy {
	transport := f.store.Client().Transport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, f.store.Listener.Addr().String())
	}
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.DisableCompression = true
	f.t.Cleanup(transport.CloseIdleConnections)
	return &Policy{
		Gate: &gate.Policy{
			Dialer:    &egress.Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
			Handshake: 10 * time.Second, Idle: time.Minute,
		},
		Registries: map[string]string{hub + ":443": "docker.io", ghcr + ":443": "ghcr.io", "127.0.0.1:5000": "127.0.0.1:5000"},
		Blobs:      map[string]Blobs{blobs + ":443": {Registry: "docker.io", Transport: transport}},
		Admits:     func(netip.Addr) bool { return true },
		Authority:  f.authority,
	}
}

// rules are what decides about all that is not decrypted.
func rules(list ...acl.Rule) change {
	return func(p *Policy) {
		var err error
		if p.Gate.ACL, err = acl.New(list, nil); err != nil {
			panic(err)
		}
		p.Gate.Limits = make([]limit.Limits, len(list))
	}
}

// registry answers with its name, and keeps what it was asked.
func (f *fixture) registry(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, fmt.Sprintf("%s %s %s %s from %s", name, r.Method, r.URL.Path, r.Proto, r.RemoteAddr))
		reply := f.reply
		f.mu.Unlock()
		if reply != nil {
			reply(w, r)
			return
		}
		io.WriteString(w, name)
	})
}

func (f *fixture) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

func (f *fixture) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(f.authority.Certificate())
	return p
}

// client is an HTTP client that has the proxy in HTTPS_PROXY, trusts the authority, and
// follows no redirect.
func (f *fixture) client(http2 bool) *http.Client {
	t := &http.Transport{
		Proxy:           http.ProxyURL(&url.URL{Scheme: "http", Host: f.addr}),
		TLSClientConfig: &tls.Config{RootCAs: f.roots()}, ForceAttemptHTTP2: http2, DisableCompression: true,
	}
	f.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (f *fixture) get(c *http.Client, url string) (int, string) {
	f.t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// connect asks for a tunnel by hand, and returns the answer's first line.
func (f *fixture) connect(to string) (net.Conn, string) {
	f.t.Helper()
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, &http.Request{Method: "CONNECT"})
	if err != nil {
		f.t.Fatal(err)
	}
	return c, resp.Status
}

// tunnel waits for the record of a tunnel.
func (f *fixture) tunnel() track.Record {
	f.t.Helper()
	select {
	case r := <-f.tunnels:
		return r
	case <-time.After(patience):
		f.t.Fatal("there is no record of the tunnel")
		panic("unreachable")
	}
}

func (f *fixture) pass() record.Record {
	f.t.Helper()
	select {
	case r := <-f.passed:
		return r
	case <-time.After(patience):
		f.t.Fatal("there is no record of the request")
		panic("unreachable")
	}
}

// ended reads until the other side closes the connection, and returns what came.
func ended(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}
