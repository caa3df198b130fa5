package intercept

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestRequestsToARegistryAreAnsweredByItsHandlerUnderItsOwnName(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2 %v", http2), func(t *testing.T) {
			f := newFixture(t)
			c := f.client(http2)
			for host, name := range map[string]string{hub: "docker.io", ghcr: "ghcr.io", "127.0.0.1:5000": "127.0.0.1:5000"} {
				status, body := f.get(c, "https://"+host+"/v2/library/alpine/manifests/latest")
				if status != 200 || body != name {
					t.Errorf("%s: %d %s", host, status, body)
				}
			}
			c.CloseIdleConnections()
			for range 3 {
				r := f.tunnel()
				if r.Protocol != track.Connect || r.Status != 200 || r.Outcome != "ok" || r.Decision != "allow" || r.Up == 0 || r.Down == 0 || r.Listener != "transparent" {
					t.Errorf("record %+v", r)
				}
				if from := "from " + r.Client.String(); !slices.ContainsFunc(f.requests(), func(s string) bool { return strings.HasSuffix(s, from) }) {
					t.Errorf("no request came %s: %v", from, f.requests())
				}
			}
			proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]
			for _, s := range f.requests() {
				if !strings.Contains(s, proto) {
					t.Errorf("%s is not by %s", s, proto)
				}
			}
		})
	}
}

func TestAClientHelloRightBehindTheConnectIsNotLost(t *testing.T) {
	f := newFixture(t)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	const connect = "CONNECT " + hub + ":443 HTTP/1.1\r\nHost: " + hub + ":443\r\n\r\n"
	const granted = "HTTP/1.1 200 Connection established\r\n\r\n"
	c := tls.Client(&eager{Conn: conn, ahead: []byte(connect), skip: len(granted)}, &tls.Config{ServerName: hub, RootCAs: f.roots()})
	fmt.Fprintf(c, "GET /v2/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", hub)
	answer, err := io.ReadAll(c)
	if err != nil || !bytes.HasSuffix(answer, []byte("docker.io")) {
		t.Errorf("%q, %v", answer, err)
	}
}

// eager sends something ahead of its first bytes, in one segment with them, and skips
// the answer to it.
type eager struct {
	net.Conn
	ahead []byte
	skip  int
}

func (e *eager) Write(b []byte) (int, error) {
	n := len(e.ahead)
	m, err := e.Conn.Write(append(e.ahead, b...))
	e.ahead = nil
	return max(m-n, 0), err
}

func (e *eager) Read(b []byte) (int, error) {
	if e.skip > 0 {
		if _, err := io.ReadFull(e.Conn, make([]byte, e.skip)); err != nil {
			return 0, err
		}
		e.skip = 0
	}
	return e.Conn.Read(b)
}

// Whoever names one host to the rules and another to the server gets neither.
func TestATunnelIsForTheHostThatItsConnectNamed(t *testing.T) {
	f := newFixture(t)
	for _, x := range []struct{ connect, server string }{
		{hub, ghcr}, {hub, "example.com"}, {hub, ""}, {hub, "sub." + hub}, {hub, blobs}, {blobs, hub}, {"127.0.0.1:5000", hub},
	} {
		t.Run(x.connect+" "+x.server, func(t *testing.T) {
			f.t = t
			at := x.connect
			if !strings.Contains(at, ":") {
				at += ":443"
			}
			conn, status := f.connect(at)
			if status != "200 Connection established" {
				t.Fatal(status)
			}
			err := tls.Client(conn, &tls.Config{ServerName: x.server, InsecureSkipVerify: true}).Handshake()
			if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
				t.Errorf("the client is told %v", err)
			}
			if r := f.tunnel(); r.Outcome != "malformed" || !strings.Contains(r.Reason, "names another server") {
				t.Errorf("record %+v", r)
			}
		})
	}
	c, _ := f.connect(hub + ":443")
	s := tls.Client(c, &tls.Config{ServerName: strings.ToUpper(hub), RootCAs: f.roots(), InsecureSkipVerify: true})
	if err := s.Handshake(); err != nil {
		t.Errorf("in capitals: %v", err)
	}
	for _, host := range []string{ghcr, hub + ":444", "", "127.0.0.1", hub + "@" + ghcr} {
		fmt.Fprintf(s, "GET /v2/ HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		answer := ended(t, s)
		if !strings.HasPrefix(answer, "HTTP/1.1 421 ") && !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Errorf("for Host %q the answer is %q", host, answer)
		}
		c, _ = f.connect(hub + ":443")
		s = tls.Client(c, &tls.Config{ServerName: hub, RootCAs: f.roots()})
	}
	fmt.Fprintf(s, "GET https://%s/v2/ HTTP/1.1\r\nHost: %s\r\n\r\n", ghcr, hub)
	if answer := ended(t, s); !strings.HasPrefix(answer, "HTTP/1.1 421 ") {
		t.Errorf("in absolute-form the answer is %q", answer)
	}
	if asked := f.requests(); len(asked) != 0 {
		t.Errorf("registries were asked %v", asked)
	}
}

func TestWhatIsNoTLSIsRefused(t *testing.T) {
	f := newFixture(t)
	for _, text := range []string{"GET /v2/ HTTP/1.1\r\nHost: " + hub + "\r\n\r\n", "SSH-2.0-OpenSSH_9.9\r\n", "\x00\x00\x00\x00\x00", "\x16\x03\x01\xff\xff" + strings.Repeat("x", 70000)} {
		conn, _ := f.connect(hub + ":443")
		io.WriteString(conn, text)
		ended(t, conn)
		if r := f.tunnel(); r.Outcome != "malformed" && r.Outcome != "client_gone" {
			t.Errorf("record %+v", r)
		}
	}
	conn, _ := f.connect(hub + ":443")
	conn.Close()
	if r := f.tunnel(); r.Outcome != "client_gone" || r.ClosedBy != track.Client {
		t.Errorf("of a client that leaves: %+v", r)
	}
	if asked := f.requests(); len(asked) != 0 {
		t.Errorf("registries were asked %v", asked)
	}
}

func TestAClientThatSaysNothingInItsTunnelIsNotWaitedForForLong(t *testing.T) {
	f := newFixture(t, func(p *Policy) { p.Gate.Handshake = 50 * time.Millisecond })
	conn, _ := f.connect(hub + ":443")
	if got := ended(t, conn); got != "" {
		t.Errorf("it was sent %q", got)
	}
	f.tunnel()
	conn, _ = f.connect(hub + ":443")
	c := tls.Client(conn, &tls.Config{ServerName: hub, RootCAs: f.roots()})
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
	f.tunnel()
}

func TestAClientWithoutTheAuthorityIsToldApartInTheRecord(t *testing.T) {
	f := newFixture(t)
	conn, _ := f.connect(hub + ":443")
	err := tls.Client(conn, &tls.Config{ServerName: hub, RootCAs: x509.NewCertPool()}).Handshake()
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		t.Errorf("the client says %v", err)
	}
	if r := f.tunnel(); !strings.Contains(r.Reason, "does not trust the mirror's certificate authority") {
		t.Errorf("record %+v", r)
	}
}

func TestWhoMayNotPullIsToldSoInTheReasonPhrase(t *testing.T) {
	f := newFixture(t, func(p *Policy) { p.Admits = func(netip.Addr) bool { return false } })
	for _, to := range []string{hub, blobs} {
		_, status := f.connect(to + ":443")
		if want := "403 sluice-mirror: no rule lets 127.0.0.1 pull from " + to; status != want {
			t.Errorf("%q, want %q", status, want)
		}
		if r := f.tunnel(); r.Outcome != "rule_denied" || r.Decision != "deny" || r.Status != 403 {
			t.Errorf("record %+v", r)
		}
	}
}

func TestARegistryThatTheAuthorityDoesNotCoverIsRefusedWithWhatToDo(t *testing.T) {
	f := newFixture(t, func(p *Policy) { p.Registries["quay.io:443"] = "quay.io" })
	_, status := f.connect("quay.io:443")
	if !strings.HasPrefix(status, "500 ") || !strings.Contains(status, "sluice-mirror ca renew") {
		t.Errorf("it says %q", status)
	}
}

func TestEverythingElseIsForTheRulesAndGoesThroughUntouched(t *testing.T) {
	origin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer origin.Close()
	port := acl.PortRange{First: uint16(origin.Addr().(*net.TCPAddr).Port), Last: uint16(origin.Addr().(*net.TCPAddr).Port)}
	f := newFixture(t, rules(acl.Rule{Name: "tokens", Action: acl.Allow, To: []string{"127.0.0.1"}, Ports: []acl.PortRange{port}}))
	conn, status := f.connect(origin.Addr().String())
	if status != "200 Connection established" {
		t.Fatal(status)
	}
	far, err := origin.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "not TLS at all")
	conn.(*net.TCPConn).CloseWrite()
	if got := ended(t, far); got != "not TLS at all" {
		t.Errorf("the origin got %q", got)
	}
	far.Close()
	if r := f.tunnel(); r.Rule != "tokens" || r.Outcome != "ok" || r.Up != 14 {
		t.Errorf("record %+v", r)
	}
	// A registry's port that is not the configured one is any other host.
	for _, to := range []string{"example.com:443", hub + ":80", hub + ":8443", "docker.io:443", "sub." + hub + ":443"} {
		if _, status := f.connect(to); !strings.HasPrefix(status, "403 sluice-mirror: no rule lets") {
			t.Errorf("%s: %q", to, status)
		}
		f.tunnel()
	}
	plain := f.client(false)
	if status, body := f.get(plain, "http://"+hub+"/v2/"); status != 403 || !strings.Contains(body, "no rule lets") {
		t.Errorf("plain HTTP to a registry: %d %s", status, body)
	}
}

func TestAnAddressThatIsNotPublicIsNotDialledForAnybody(t *testing.T) {
	f := newFixture(t, rules(acl.Rule{Name: "all", Action: acl.Allow}), func(p *Policy) { p.Gate.Dialer.AllowPrivate = nil })
	for _, to := range []string{"169.254.169.254:80", "127.0.0.1:443", "[::ffff:169.254.169.254]:80"} {
		if _, status := f.connect(to); !strings.HasPrefix(status, "403 ") {
			t.Errorf("%s: %q", to, status)
		}
	}
}

func TestATunnelThatEndsHereTakesThePlaceOfAnyOther(t *testing.T) {
	f := newFixture(t, func(p *Policy) { p.Gate.NoRule = limit.Limits{Tunnels: 2} })
	first, _ := f.connect(hub + ":443")
	f.connect(ghcr + ":443")
	if _, status := f.connect(hub + ":443"); !strings.HasPrefix(status, "429 ") {
		t.Errorf("the third is told %q", status)
	}
	f.tunnel()
	first.Close()
	f.tunnel()
	if _, status := f.connect(hub + ":443"); !strings.HasPrefix(status, "200 ") {
		t.Errorf("when one has left, the next is told %q", status)
	}
}

func TestARegistryThatIsTakenOutIsAnsweredNoMore(t *testing.T) {
	f := newFixture(t)
	c := f.client(false)
	f.get(c, "https://"+hub+"/v2/")
	policy := f.policy()
	delete(policy.Registries, hub+":443")
	f.proxy.Swap(policy)
	if status, _ := f.get(c, "https://"+hub+"/v2/"); status != http.StatusMisdirectedRequest {
		t.Errorf("on its old connection a client is told %d", status)
	}
	if _, status := f.connect(hub + ":443"); !strings.HasPrefix(status, "403 sluice-mirror: no rule lets") {
		t.Errorf("a new one is told %q", status)
	}
	if len(f.requests()) != 1 {
		t.Errorf("the registry was asked %v", f.requests())
	}
}

func TestEndpointsAreWhereClientsAsk(t *testing.T) {
	for name, want := range map[string]string{
		"docker.io": hub + ":443", "ghcr.io": "ghcr.io:443", "reg.example:5000": "reg.example:5000",
		"192.0.2.7:5000": "192.0.2.7:5000", "[2001:db8::1]:5000": "[2001:db8::1]:5000", "GHCR.io": "ghcr.io:443",
	} {
		if got, err := Endpoint(name); got != want || err != nil {
			t.Errorf("%s is at %s (%v), want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"", "a b", "x:0", "x:y", "x:70000"} {
		if got, err := Endpoint(name); err == nil {
			t.Errorf("%q is at %s", name, got)
		}
	}
}
