package forward

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// proxy is a Handler behind a listener on loopback, with a real gate.
type proxy struct {
	t       testing.TB
	gate    *gate.Gate
	handler *Handler
	addr    netip.AddrPort
	records chan track.Record
}

// setup is what a test changes about a proxy.
type setup struct {
	rules  []acl.Rule
	limits limit.Limits
	users  map[string][]byte
	policy func(*gate.Policy)
	gate   func(*gate.Gate)
	self   func(SelfRequest) SelfAnswer // nil: requests to the proxy itself are malformed
	end    End                          // of tunnels to here.example:443
	// program is what refusals name.
	program string
}

var everyPort = []acl.PortRange{{First: 1, Last: 65535}}

func newProxy(t testing.TB, s setup) *proxy {
	t.Helper()
	if s.rules == nil {
		s.rules = []acl.Rule{{Name: "all", Action: acl.Allow, Ports: everyPort}}
	}
	rules, err := acl.New(s.rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := &gate.Policy{
		ACL:       rules,
		Users:     gate.NewUsers(s.users),
		Dialer:    &egress.Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}},
		Handshake: 10 * time.Second,
		Idle:      time.Minute,
	}
	for range s.rules {
		policy.Limits = append(policy.Limits, s.limits)
	}
	if s.policy != nil {
		s.policy(policy)
	}
	p := &proxy{t: t, records: make(chan track.Record, 10000)}
	p.gate = gate.New(policy, func(r *track.Record) { p.records <- *r })
	if s.gate != nil {
		s.gate(p.gate)
	}
	p.handler = &Handler{Gate: p.gate, Self: s.self, Program: s.program}
	if s.end != nil {
		p.handler.End = endingAt(s.end)
	}
	p.handler.once.Do(p.handler.prepare) // for its name
	p.serve()
	return p
}

// serve accepts until the test ends, then closes every connection that the
// handler has and waits for it.
func (p *proxy) serve() {
	ln := listen(p.t)
	p.addr = addrOf(ln.Addr())
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[*net.TCPConn]bool{}
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			wg.Add(1)
			go func() {
				defer wg.Done()
				p.handler.Serve(c, nil, gate.Source{Listener: ":3128", Client: addrOf(c.RemoteAddr())}, time.Now())
				mu.Lock()
				delete(conns, c)
				mu.Unlock()
			}()
		}
	}()
	p.t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		p.gate.Live().KillAll("test over")
		wg.Wait()
		for deadline := time.Now().Add(patience); p.gate.Live().Len() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				p.t.Errorf("%d transactions have not ended", p.gate.Live().Len())
				return
			}
		}
	})
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func addrOf(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// record waits for the next record.
func (p *proxy) record() track.Record {
	p.t.Helper()
	select {
	case r := <-p.records:
		return r
	case <-time.After(patience):
		p.t.Fatal("no record was left")
		return track.Record{}
	}
}

// noRecord asserts that nothing more was recorded.
func (p *proxy) noRecord() {
	p.t.Helper()
	select {
	case r := <-p.records:
		p.t.Errorf("a record too many: %+v", r)
	default:
	}
}

// client is a raw connection to the proxy, or any other.
type client struct {
	t testing.TB
	*net.TCPConn
	r *bufio.Reader
}

func (p *proxy) dial() *client { return dialTo(p.t, p.addr) }

func dialTo(t testing.TB, a netip.AddrPort) *client {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return newClient(t, c)
}

func newClient(t testing.TB, c *net.TCPConn) *client {
	c.SetDeadline(time.Now().Add(patience))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// head reads up to an empty line.
func (c *client) head() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			c.t.Fatalf("head ended after %q: %v", b.String(), err)
		}
		if line == "\r\n" {
			return b.String()
		}
	}
}

// read reads n bytes.
func (c *client) read(n int) string {
	c.t.Helper()
	b := make([]byte, n)
	if k, err := io.ReadFull(c.r, b); err != nil {
		c.t.Fatalf("read %q of %d bytes: %v", b[:k], n, err)
	}
	return string(b)
}

// expect reads exactly this.
func (c *client) expect(want string) {
	c.t.Helper()
	if got := c.read(len(want)); got != want {
		c.t.Fatalf("got %q\nwant %q", got, want)
	}
}

// rest reads until the end, which must be a clean one.
func (c *client) rest() string {
	c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// answer reads one answer and its body.
func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read answer: %v", err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatalf("read body after %q: %v", body, err)
	}
	return r, string(body)
}

// origin is a server that a test plays by hand.
type origin struct {
	t    testing.TB
	ln   *net.TCPListener
	addr string
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	ln := listen(t)
	return &origin{t, ln, ln.Addr().String()}
}

// accept waits for the next connection of the proxy.
func (o *origin) accept() *client {
	o.t.Helper()
	o.ln.SetDeadline(time.Now().Add(patience))
	c, err := o.ln.AcceptTCP()
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	return newClient(o.t, c)
}

// exchange has a client ask for / of an origin, which reads the request's head.
func (p *proxy) exchange(o *origin) (c, s *client) {
	p.t.Helper()
	c = p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	s = o.accept()
	s.head()
	return c, s
}

// untouched asserts that nobody has connected.
func (o *origin) untouched() {
	o.t.Helper()
	o.ln.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if c, err := o.ln.AcceptTCP(); err == nil {
		c.Close()
		o.t.Error("the origin was connected to")
	}
}

// recorder is an origin that answers every complete request with 200 and an empty
// body, and keeps what it saw.
type recorder struct {
	addr string
	mu   sync.Mutex
	raw  bytes.Buffer
	seen []string // complete requests: method and URI
	wg   sync.WaitGroup
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	ln := listen(t)
	o := &recorder{addr: ln.Addr().String()}
	o.wg.Add(1)
	go func() {
		defer o.wg.Done()
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			o.wg.Add(1)
			go o.serve(c)
		}
	}()
	t.Cleanup(func() { ln.Close(); o.wg.Wait() })
	return o
}

func (o *recorder) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.raw.Write(p)
}

func (o *recorder) serve(c *net.TCPConn) {
	defer o.wg.Done()
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	r := bufio.NewReader(io.TeeReader(c, o))
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		o.mu.Lock()
		o.seen = append(o.seen, req.Method+" "+req.RequestURI)
		o.mu.Unlock()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// take returns what was seen since the last call.
func (o *recorder) take() (raw string, requests []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	raw, requests = o.raw.String(), o.seen
	o.raw.Reset()
	o.seen = nil
	return raw, requests
}

// eventually waits for what happens on its own time.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
