package forward

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// echo answers with what it was asked, but for the path /missing.
func echo(r SelfRequest) SelfAnswer {
	return SelfAnswer{
		Missing: r.Path == "/missing", ContentType: "text/plain; charset=utf-8",
		Body: fmt.Appendf(nil, "%s at %s asks for %s, %s", r.Client, r.Host.Join(r.Port), r.Path, r.Accept),
	}
}

func newSelf(t testing.TB, s setup) *proxy {
	if s.self == nil {
		s.self = echo
	}
	return newProxy(t, s)
}

// forClient are rules that name an address and admit it to one destination.
func forClient(address string) []acl.Rule {
	return []acl.Rule{{Name: "mine", Action: acl.Allow, Clients: []string{address}, To: []string{"example.com"}}}
}

func TestAnAdmittedClientIsAnsweredByTheProxyItself(t *testing.T) {
	p := newSelf(t, setup{rules: forClient("127.0.0.1")})
	local := p.addr.String()
	for _, x := range []struct{ name, sent, status, body string }{
		{"the page", "GET / HTTP/1.1\r\nHost: relay.example:3128\r\nAccept: text/html\r\n\r\n", "200 OK", "127.0.0.1 at relay.example:3128 asks for /, text/html"},
		{"another", "GET /setup/docker?x=y HTTP/1.1\r\nHost: relay.example:3128\r\n\r\n", "200 OK", "127.0.0.1 at relay.example:3128 asks for /setup/docker, "},
		{"none", "GET /missing HTTP/1.1\r\nHost: relay.example:3128\r\n\r\n", "404 Not Found", "127.0.0.1 at relay.example:3128 asks for /missing, "},
		{"a host without a port", "GET / HTTP/1.1\r\nHost: relay\r\n\r\n", "200 OK", "127.0.0.1 at relay:80 asks for /, "},
		{"a host in capitals", "GET / HTTP/1.1\r\nHost: RELAY.:1\r\n\r\n", "200 OK", "127.0.0.1 at relay:1 asks for /, "},
		{"IPv6", "GET / HTTP/1.1\r\nHost: [2001:DB8::1]:3128\r\n\r\n", "200 OK", "127.0.0.1 at [2001:db8::1]:3128 asks for /, "},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", "200 OK", "127.0.0.1 at " + local + " asks for /, "},
		{"an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "200 OK", "127.0.0.1 at " + local + " asks for /, "},
		{"a Host that cannot be dialled", "GET / HTTP/1.1\r\nHost: 0.0.0.0:3128\r\n\r\n", "200 OK", "127.0.0.1 at " + local + " asks for /, "},
		{"a Host that is no name", "GET / HTTP/1.1\r\nHost: a..b:3128\r\n\r\n", "200 OK", "127.0.0.1 at " + local + " asks for /, "},
	} {
		t.Run(x.name, func(t *testing.T) {
			p.t = t
			c := p.dial()
			c.send("%s", x.sent)
			got := c.rest()
			head, body, _ := strings.Cut(got, "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 "+x.status+"\r\n") || body != x.body {
				t.Errorf("answered %q", got)
			}
			for _, want := range []string{"\r\nConnection: close", fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body)), "\r\nX-Content-Type-Options: nosniff\r\n", "\r\nCache-Control: no-store\r\n"} {
				if !strings.Contains(head, want) {
					t.Errorf("no %q in %q", want, head)
				}
			}
			r := p.record()
			if r.Outcome != "ok" || fmt.Sprint(r.Status) != x.status[:3] || r.Decision != "allow" || r.Rule != "mine" || r.Host != "" || r.Port != 0 || r.Protocol != track.HTTP || r.Method != "GET" || r.Tries != 0 || r.Path == "" || strings.Contains(r.Path, "?") {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestHEADOfTheProxyItselfHasNoBody(t *testing.T) {
	p := newSelf(t, setup{})
	c := p.dial()
	c.send("HEAD / HTTP/1.1\r\nHost: relay:3128\r\n\r\n")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.HasSuffix(got, "\r\n\r\n") || !strings.Contains(got, "\r\nContent-Length: 36\r\n") {
		t.Errorf("answered %q", got)
	}
}

func TestAStrangerLearnsNothingFromTheProxyItself(t *testing.T) {
	for name, rules := range map[string][]acl.Rule{
		"a rule for another address":      forClient("192.0.2.7"),
		"a rule for users from anywhere":  {{Name: "users", Action: acl.Allow, Users: []string{"ann"}}},
		"a rule that denies it all":       append([]acl.Rule{{Name: "no", Clients: []string{"127.0.0.1"}}}, forClient("127.0.0.1")...),
		"a rule that denies it, for sure": {{Name: "no", Ports: everyPort}, {Name: "all", Action: acl.Allow, Ports: everyPort}},
	} {
		p := newSelf(t, setup{rules: rules, self: func(SelfRequest) SelfAnswer { t.Error("a stranger is answered"); return SelfAnswer{} }})
		seen := map[string]bool{}
		for _, sent := range []string{
			"GET / HTTP/1.1\r\nHost: relay:3128\r\n\r\n",
			"GET /setup/docker HTTP/1.1\r\nHost: relay:3128\r\n\r\n",
			"GET /missing HTTP/1.1\r\nHost: relay:3128\r\n\r\n",
			"GET / HTTP/1.1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1\r\n\r\nx",
		} {
			c := p.dial()
			c.send("%s", sent)
			got := c.rest()
			head, body, _ := strings.Cut(got, "\r\n\r\n")
			if !strings.HasPrefix(head, "HTTP/1.1 403 sluice: no rule admits 127.0.0.1\r\n") || strings.Contains(got, "mine") {
				t.Errorf("%s, %q: answered %q", name, sent, got)
			}
			seen[head+strings.SplitAfter(body, "\n")[0]] = true
			if r := p.record(); r.Outcome != "rule_denied" || r.Status != 403 || r.Decision != "deny" || r.Host != "" {
				t.Errorf("%s, %q: record %+v", name, sent, r)
			}
		}
		if len(seen) != 1 {
			t.Errorf("%s: the answers can be told apart: %v", name, seen)
		}
	}
}

func TestNothingIsServedBehindARequestToTheProxyItself(t *testing.T) {
	p, o := newSelf(t, setup{}), newRecorder(t)
	absolute := "GET http://" + o.addr + "/smuggled HTTP/1.1\r\nHost: " + o.addr + "\r\n\r\n"
	for name, x := range map[string]struct{ sent, status string }{
		"another one":            {"GET / HTTP/1.1\r\nHost: relay\r\n\r\nGET / HTTP/1.1\r\nHost: relay\r\n\r\n", "200"},
		"one that is kept alive": {"GET / HTTP/1.1\r\nHost: relay\r\nConnection: keep-alive\r\n\r\n" + absolute, "200"},
		"one for an origin":      {"GET / HTTP/1.1\r\nHost: relay\r\n\r\n" + absolute, "200"},
		"one behind HEAD":        {"HEAD / HTTP/1.1\r\nHost: relay\r\n\r\n" + absolute, "200"},
		"a tunnel":               {"GET / HTTP/1.1\r\nHost: relay\r\n\r\nCONNECT " + o.addr + " HTTP/1.1\r\n\r\n" + absolute, "200"},
		"in a sized body":        {fmt.Sprintf("GET / HTTP/1.1\r\nHost: relay\r\nContent-Length: %d\r\n\r\n%s", len(absolute), absolute), "400"},
		"in a chunk":             {fmt.Sprintf("GET / HTTP/1.1\r\nHost: relay\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(absolute), absolute), "400"},
		"two Hosts":              {"GET / HTTP/1.1\r\nHost: relay\r\nHost: other\r\n\r\n" + absolute, "400"},
		"no Host":                {"GET / HTTP/1.1\r\n\r\n" + absolute, "400"},
		"a Host of two lines":    {"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n" + absolute, "400"},
		"a Host with a user":     {"GET / HTTP/1.1\r\nHost: relay@other\r\n\r\n" + absolute, "400"},
		"a Host with a shell's":  {"GET / HTTP/1.1\r\nHost: $(reboot)\r\n\r\n" + absolute, "400"},
		"a Host with quotes":     {"GET / HTTP/1.1\r\nHost: \"';reboot;'\"\r\n\r\n" + absolute, "400"},
		"a Host with HTML":       {"GET / HTTP/1.1\r\nHost: <script>\r\n\r\n" + absolute, "400"},
		"POST":                   {"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 0\r\n\r\n" + absolute, "400"},
		"OPTIONS":                {"OPTIONS / HTTP/1.1\r\nHost: relay\r\nMax-Forwards: 0\r\n\r\n" + absolute, "400"},
		"two slashes":            {"GET //" + o.addr + "/ HTTP/1.1\r\nHost: relay\r\n\r\n" + absolute, "400"},
		"another path of HTTP":   {"GET / HTTP/2.0\r\nHost: relay\r\n\r\n" + absolute, "400"},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			c := p.dial()
			c.send("%s", x.sent)
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 "+x.status+" ") || strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("answered %q", got)
			}
			if r := p.record(); fmt.Sprint(r.Status) != x.status {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
			if _, seen := o.take(); seen != nil {
				t.Errorf("the origin saw %q", seen)
			}
		})
	}
}

func TestAskingTheProxyItselfIsBoundedLikeTunnels(t *testing.T) {
	ask := func(p *proxy) string {
		c := p.dial()
		c.send("GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
		return c.rest()
	}
	t.Run("by their rate", func(t *testing.T) {
		p := newSelf(t, setup{limits: limit.Limits{New: 1.0 / 3600}})
		if got := ask(p); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("the first is answered %q", got)
		}
		if got := ask(p); !strings.HasPrefix(got, "HTTP/1.1 429 ") || !strings.Contains(got, "\r\nRetry-After: ") {
			t.Errorf("the second is answered %q", got)
		}
	})
	t.Run("by their number, and it takes no place", func(t *testing.T) {
		p := newSelf(t, setup{limits: limit.Limits{Tunnels: 1}})
		for range 3 {
			if got := ask(p); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("answered %q", got)
			}
		}
		if n := p.gate.Tunnels(); n != 0 {
			t.Errorf("%d tunnels are counted", n)
		}
	})
	t.Run("by a drain", func(t *testing.T) {
		p := newSelf(t, setup{})
		p.gate.Drain()
		if got := ask(p); !strings.HasPrefix(got, "HTTP/1.1 503 sluice: this proxy is shutting down\r\n") {
			t.Errorf("answered %q", got)
		}
	})
}

func TestARequestToTheProxyItselfThatCameThroughItIsALoop(t *testing.T) {
	p := newSelf(t, setup{})
	c := p.dial()
	c.send("GET / HTTP/1.1\r\nHost: relay\r\nVia: 1.1 %s\r\n\r\n", p.handler.name)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.Contains(got, "error=proxy_loop_detected") {
		t.Errorf("answered %q", got)
	}
}

// A fault in an answer ends its own connection, with a record.
func TestAPanicInAnAnswerOfTheProxyItselfEndsOneConnection(t *testing.T) {
	p := newSelf(t, setup{self: func(SelfRequest) SelfAnswer { panic("a fault") }})
	c := p.dial()
	c.send("GET / HTTP/1.1\r\nHost: relay\r\n\r\n")
	if got, err := c.r.ReadByte(); err == nil {
		t.Errorf("answered %q", got)
	}
	if r := p.record(); r.Outcome != "internal" {
		t.Errorf("record %+v", r)
	}
}

func TestTheProxyItselfIsAskedByIPv6(t *testing.T) {
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("left out: IPv6, which this machine has not: %v", err)
	}
	defer ln.Close()
	p := newSelf(t, setup{rules: forClient("::1")})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if conn, err := ln.AcceptTCP(); err == nil {
			p.handler.Serve(conn, nil, gate.Source{Client: addrOf(conn.RemoteAddr())}, time.Now())
		}
	}()
	c := dialTo(t, ln.Addr().(*net.TCPAddr).AddrPort())
	c.send("GET / HTTP/1.0\r\n\r\n")
	want := "::1 at " + netip.AddrPortFrom(netip.IPv6Loopback(), addrOf(ln.Addr()).Port()).String() + " asks for /, "
	if got := c.rest(); !strings.HasSuffix(got, "\r\n\r\n"+want) {
		t.Errorf("answered %q", got)
	}
	c.Close()
	<-done
}
