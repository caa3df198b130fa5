package forward

import (
	"encoding/base64"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/dns/dnsmessage"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// nameServer answers every query with a code and no records; with silent, it does
// not answer.
func nameServer(t *testing.T, code dnsmessage.RCode, silent bool) netip.AddrPort {
	return lab.NameServer(t, func(m *dnsmessage.Message) bool {
		m.RCode = code
		return !silent
	})
}

// Each row is provoked for real, by CONNECT and in absolute-form.
func TestWhatAClientIsTold(t *testing.T) {
	open := newOrigin(t)
	_, port, _ := strings.Cut(open.addr, ":")
	shut := listen(t)
	closed := shut.Addr().String()
	shut.Close()
	hole := blackHole(t).String()
	admitAll := []acl.Rule{{Name: "all", Action: acl.Allow, Ports: everyPort}}

	for _, row := range []struct {
		name   string
		setup  setup
		to     string
		before func(t *testing.T, p *proxy) // goes before the request
		status string
		proxy  string
		says   string
		kind   egress.Kind
		retry  bool
	}{
		{name: "no rule", setup: setup{rules: []acl.Rule{{Name: "web", Action: acl.Allow}}}, to: open.addr,
			status: "403", proxy: "http_request_denied", says: "no rule lets 127.0.0.1 reach " + open.addr + "; rule web admits only port 80, 443 there", kind: egress.RuleDenied},
		{name: "a rule", setup: setup{rules: []acl.Rule{{Name: "shut", Action: acl.Deny, Ports: everyPort}}}, to: open.addr,
			status: "403", proxy: "http_request_denied", says: "rule shut denies " + open.addr + " to 127.0.0.1", kind: egress.RuleDenied},
		{name: "not public", to: "192.168.3.4:80",
			status: "403", proxy: "destination_ip_prohibited", says: "192.168.3.4", kind: egress.NotPublic},
		{name: "loop", setup: setup{policy: func(p *gate.Policy) {
			p.Dialer.Own = func(a netip.AddrPort) bool { return a.String() == open.addr }
		}}, to: open.addr,
			status: "403", proxy: "proxy_loop_detected", says: open.addr + " leads back to this proxy", kind: egress.Loop},
		{name: "no such name", setup: setup{policy: func(p *gate.Policy) {
			p.Dialer.Resolver = []netip.AddrPort{nameServer(t, dnsmessage.RCodeNameError, false)}
		}}, to: "nowhere.example:" + port,
			status: "502", proxy: "dns_error", says: "nowhere.example does not resolve", kind: egress.NameNotFound},
		{name: "a resolver that is silent", setup: setup{policy: func(p *gate.Policy) {
			p.Dialer.Resolver = []netip.AddrPort{nameServer(t, 0, true)}
			p.Dialer.Timeout = 200 * time.Millisecond
		}}, to: "slow.example:" + port,
			status: "504", proxy: "dns_timeout", says: "no resolver answered for slow.example", kind: egress.ResolverTimeout},
		{name: "refused", to: closed,
			status: "502", proxy: "connection_refused", says: closed + " refused the connection", kind: egress.Refused},
		{name: "no route", to: "127.255.255.255:80", // a broadcast address: connect(2) fails with ENETUNREACH
			status: "502", proxy: "destination_ip_unroutable", says: "no route to 127.255.255.255:80", kind: egress.Unroutable},
		{name: "no answer in time", setup: setup{policy: func(p *gate.Policy) { p.Dialer.Timeout = 150 * time.Millisecond }}, to: hole,
			status: "504", proxy: "connection_timeout", says: hole + " did not answer in ", kind: egress.Timeout},
		{name: "too many tunnels", setup: setup{limits: limit.Limits{Tunnels: 1}}, to: open.addr, before: hold,
			status: "429", proxy: "connection_limit_reached", says: "127.0.0.1 has 1 tunnels open, which is its limit", kind: egress.ClientLimit, retry: true},
		{name: "too many new tunnels", setup: setup{limits: limit.Limits{New: 0.01}}, to: open.addr, before: hold,
			status: "429", proxy: "connection_limit_reached", says: "127.0.0.1 opens more than 0.01 tunnels a second, which is its limit", kind: egress.ClientLimit, retry: true},
		{name: "full", setup: setup{policy: func(p *gate.Policy) { p.MaxTunnels = 1 }}, to: open.addr, before: hold,
			status: "503", proxy: "connection_limit_reached", says: "this proxy has no tunnel left", kind: egress.ServerFull, retry: true},
		{name: "draining", to: open.addr, before: func(t *testing.T, p *proxy) { p.gate.Drain() },
			status: "503", proxy: "connection_limit_reached", says: "this proxy is shutting down", kind: egress.ServerFull, retry: true},
	} {
		for _, method := range []string{"CONNECT", "GET", "HEAD", "POST"} {
			t.Run(row.name+"/"+method, func(t *testing.T) {
				s := row.setup
				if s.rules == nil {
					s.rules = admitAll
				}
				p := newProxy(t, s)
				open.t = t
				if row.before != nil {
					row.before(t, p)
				}
				c := p.dial()
				proto := track.HTTP
				switch method {
				case "CONNECT":
					proto = track.Connect
					c.send("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", row.to, row.to)
				case "POST":
					c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", row.to)
				default:
					c.send("%s http://%s/p?q HTTP/1.1\r\nHost: x\r\n\r\n", method, row.to)
				}
				checkAnswer(t, c.rest(), row.status, row.proxy, row.says, row.retry, method == "HEAD")
				r := p.record()
				if r.Protocol != proto || r.Outcome != row.kind.String() || !strings.HasPrefix(r.Reason, firstWords(row.says)) && !strings.Contains(r.Reason, row.says) ||
					r.Host != row.to[:strings.LastIndexByte(row.to, ':')] || r.Up != 0 || r.Down != 0 {
					t.Errorf("record %+v", r)
				}
				if (row.kind == egress.RuleDenied || row.kind == egress.NotPublic || row.kind == egress.Loop) != (r.Decision == "deny") {
					t.Errorf("decision %q", r.Decision)
				}
				p.noRecord()
			})
		}
	}
}

func firstWords(s string) string {
	words := strings.SplitN(s, " ", 3)
	return strings.Join(words[:min(2, len(words))], " ")
}

// hold opens a tunnel and keeps it.
func hold(t *testing.T, p *proxy) {
	c := p.dial()
	c.send("CONNECT %s HTTP/1.1\r\n\r\n", newOrigin(t).addr)
	c.expect(established)
	t.Cleanup(func() { c.Close() })
}

var answerShape = regexp.MustCompile(`^HTTP/1\.1 (\d{3}) sluice: ([ -~]+)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: (\d+)\r\nProxy-Status: sluice; error=([a-z_]+); details="((?:[^"\\]|\\["\\])*)"\r\n((?:[A-Z][A-Za-z-]*: [ -~]+\r\n)*)Connection: close\r\n\r\n`)

func checkAnswer(t *testing.T, got, status, proxyError, says string, retry, toHEAD bool) {
	t.Helper()
	m := answerShape.FindStringSubmatch(got)
	if m == nil {
		t.Fatalf("answered %q", got)
	}
	if m[1] != status || !strings.Contains(m[2], says) || m[4] != proxyError || m[5] != strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(m[2]) {
		t.Errorf("answered %q", got)
	}
	if strings.Contains(m[6], "Retry-After: ") != retry {
		t.Errorf("Retry-After: %v in %q", retry, got)
	}
	body := got[len(m[0]):]
	switch {
	case toHEAD && body != "":
		t.Errorf("a body for HEAD: %q", body)
	case !toHEAD && !regexp.MustCompile(`^sluice: `+regexp.QuoteMeta(m[2])+"\nrequest [0-9a-f]{16}\n$").MatchString(body):
		t.Errorf("body %q", body)
	}
}

func TestCredentials(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("s3:cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	s := setup{
		users: map[string][]byte{"ann": hash},
		rules: []acl.Rule{{Name: "ann", Action: acl.Allow, Users: []string{"ann"}, Ports: everyPort}},
	}
	basic := func(s string) string {
		return "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) + "\r\n"
	}
	bad := map[string]string{
		"none":             "",
		"a wrong password": basic("ann:secret"),
		"an unknown user":  basic("bob:s3:cret"),
		"no colon":         basic("ann"),
		"not base64":       "Proxy-Authorization: Basic !!!\r\n",
		"another scheme":   "Proxy-Authorization: Bearer abc\r\n",
		"empty":            "Proxy-Authorization:\r\n",
		"for the origin":   "Authorization: Basic YW5uOnMzOmNyZXQ=\r\n",
	}

	t.Run("CONNECT", func(t *testing.T) {
		p, o := newProxy(t, s), newOrigin(t)
		for name, lines := range bad {
			c := p.dial()
			c.send("CONNECT %s HTTP/1.1\r\n%s\r\n", o.addr, lines)
			got := c.rest()
			if !strings.HasPrefix(got, "HTTP/1.1 407 sluice: ") || !strings.Contains(got, "\r\nProxy-Authenticate: Basic realm=\"sluice\"\r\n") {
				t.Errorf("%s: answered %q", name, got)
			}
			checkAnswer(t, got, "407", "http_request_denied", "", false, false)
			if r := p.record(); r.Outcome != "auth_required" || r.Status != 407 || r.User != "" || r.Host != "127.0.0.1" {
				t.Errorf("%s: record %+v", name, r)
			}
		}
		o.untouched()
		c := p.dial()
		c.send("CONNECT %s HTTP/1.1\r\nproxy-authorization: bASIC  %s\r\n\r\n", o.addr, base64.StdEncoding.EncodeToString([]byte("ann:s3:cret")))
		o.accept()
		c.expect(established)
	})
	t.Run("absolute-form", func(t *testing.T) {
		p, o := newProxy(t, s), newOrigin(t)
		c := p.dial()
		for name, lines := range bad { // one connection for all: each may ask again
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n%s\r\n", o.addr, lines)
			r, body := c.answer("GET")
			if r.StatusCode != 407 || r.Header.Get("Proxy-Authenticate") != `Basic realm="sluice"` || r.Close || !strings.HasPrefix(body, "sluice: ") {
				t.Errorf("%s: answered %v %q", name, r, body)
			}
			if r := p.record(); r.Outcome != "auth_required" {
				t.Errorf("%s: record %+v", name, r)
			}
		}
		o.untouched()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nAuthorization: Basic b3JpZ2lu\r\n%s\r\n", o.addr, basic("ann:s3:cret"))
		srv := o.accept()
		if got := srv.head(); strings.Contains(got, "Proxy-") || !strings.Contains(got, "\r\nAuthorization: Basic b3JpZ2lu\r\n") {
			t.Errorf("the origin got %q", got)
		}
		srv.send("HTTP/1.1 204 x\r\n\r\n")
		c.head()
		if r := p.record(); r.User != "ann" || r.Outcome != "ok" {
			t.Errorf("record %+v", r)
		}
		// The next request without them is nobody's, whatever connection there is.
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		if r, _ := c.answer("GET"); r.StatusCode != 407 {
			t.Errorf("answered %v", r)
		}
		p.record()
		c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", o.addr)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 407 ") || !strings.Contains(got, "\r\nConnection: close\r\n") {
			t.Errorf("with a body: answered %q", got)
		}
		p.record()
		p.noRecord()
	})
	t.Run("that nobody asked for", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n%s\r\n", o.addr, basic("ann:x"))
		if got := o.accept().head(); strings.Contains(got, "Proxy-") {
			t.Errorf("the origin got %q", got)
		}
	})
}

func TestARefusedClientReadsItsAnswerWhateverItSends(t *testing.T) {
	p := newProxy(t, setup{})
	for range 20 {
		c := p.dial()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			io.WriteString(c, "POST http://192.168.1.1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 100_000))
		}()
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 ") || !strings.HasSuffix(got, "\n") {
			t.Fatalf("answered %q", got)
		}
		<-sent
		p.record()
	}
}

func TestSentencesStayOneLineOfPrintableASCII(t *testing.T) {
	h := &Handler{Via: "gw.example"}
	got := string(h.appendRefusal(nil, refusal{Error: &egress.Error{Kind: egress.RuleDenied, Sentence: "a\r\nb \"c\" \\ \x1b\u00fc", RetryAfter: 1500 * time.Millisecond}}, 7))
	want := "HTTP/1.1 403 sluice: a??b \"c\" \\ ??\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 47\r\n" +
		`Proxy-Status: gw.example; error=http_request_denied; details="a??b \"c\" \\ ??"` +
		"\r\nRetry-After: 2\r\nConnection: close\r\n\r\nsluice: a??b \"c\" \\ ??\nrequest 0000000000000007\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
