//go:build linux

package clients

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

// client is what a row works with: the bench, the host that its programs run
// on, the rule that admits them, and a name of the row's own for the origin.
type client struct {
	*bench
	from *lab.Host
	rule string
	host string
}

// plain and tls are URLs at the origin under the row's name.
func (c *client) plain(path string) string { return "http://" + c.host + path }
func (c *client) tls(path string) string   { return "https://" + c.host + path }

// proxyEnv is what a user puts into a shell's start-up file: both spellings of
// both variables, for programs differ in which one they read (curl: only the
// lower-case http_proxy).
func (b *bench) proxyEnv() []string { return proxyEnv(b.proxy("http")) }

func proxyEnv(url string) []string {
	var env []string
	for _, name := range []string{"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"} {
		env = append(env, name+"="+url)
	}
	return env
}

// proxy is the relay as a URL of this scheme; httpAddr and socksAddr are its
// listeners as host:port.
func (b *bench) proxy(scheme string) string { return b.sluice.URL(scheme) }
func (b *bench) httpAddr() string           { return strings.TrimPrefix(b.proxy("http"), "http://") }
func (b *bench) socksAddr() string          { return strings.TrimPrefix(b.proxy("socks5"), "socks5://") }

// try runs a program on the client's host in an environment of nothing but a
// PATH, a home and env, for at most two minutes.
func (c *client) try(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	return c.tryInput(t, nil, env, name, args...)
}

func (c *client) tryInput(t *testing.T, stdin []byte, env []string, name string, args ...string) result {
	t.Helper()
	r := result{line: name + " " + strings.Join(args, " ")}
	r.out, r.err, r.ok = c.from.Try(t, 2*time.Minute, stdin, env, name, args...)
	return r
}

// run is try for a program that has to succeed.
func (c *client) run(t *testing.T, env []string, name string, args ...string) result {
	t.Helper()
	r := c.try(t, env, name, args...)
	if !r.ok {
		t.Fatalf("%s\n%s", r.line, r)
	}
	return r
}

// traffic is what the records of a row have to tell.
type traffic struct {
	protocol string // "connect", "http" or "socks5"; "http|connect" for either
	port     int
	down, up int    // bytes at least, in each record
	host     string // empty: the row's own
	count    int    // of records at least; 0: one
}

// wantRecord waits for the relay's record of what the row has done: an allowed
// request of this client that ended well, with at least down bytes back.
func (c *client) wantRecord(t *testing.T, protocol string, port, down int) {
	t.Helper()
	c.wantTraffic(t, traffic{protocol: protocol, port: port, down: down, up: 1})
}

// wantRecordUp is wantRecord for a body of at least up bytes that was sent.
func (c *client) wantRecordUp(t *testing.T, protocol string, port, up int) {
	t.Helper()
	c.wantTraffic(t, traffic{protocol: protocol, port: port, down: 1, up: up})
}

// wantTraffic waits for the records that w asks for and returns all that fit.
func (c *client) wantTraffic(t *testing.T, w traffic) []lab.Record {
	t.Helper()
	want := map[string]string{
		"client":   c.from.Addr().String(),
		"host":     cmp.Or(w.host, c.host),
		"port":     strconv.Itoa(w.port),
		"address":  netip.AddrPortFrom(c.far.Addr(), uint16(w.port)).String(),
		"rule":     c.rule,
		"decision": "allow",
		"outcome":  "ok",
	}
	protocols := strings.Split(w.protocol, "|")
	return c.sluice.WaitRecords(t, max(w.count, 1), func(r lab.Record) bool {
		return r.Has(want) && slices.Contains(protocols, r.String("protocol")) &&
			r.Int("bytes_down") >= int64(w.down) && r.Int("bytes_up") >= int64(w.up)
	})
}

// noWayAround fails if the client's host reaches the origin by itself.
func (c *client) noWayAround(t *testing.T) {
	t.Helper()
	for _, port := range []string{"80", "443"} {
		conn, err := c.from.DialContext(t.Context(), "tcp", net.JoinHostPort(c.far.Addr().String(), port))
		if err == nil {
			conn.Close()
			t.Fatalf("the client reaches port %s of the origin without the relay", port)
		}
	}
}
