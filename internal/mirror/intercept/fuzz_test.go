package intercept

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"sluice/acl"
)

// hello is what a client of a server sends first.
func hello(server string) []byte {
	a, b := net.Pipe()
	defer a.Close()
	go func() {
		tls.Client(b, &tls.Config{ServerName: server, InsecureSkipVerify: true}).Handshake()
		b.Close()
	}()
	buf := make([]byte, 16<<10)
	n, _ := a.Read(buf)
	return buf[:n]
}

// No bytes that are no whole handshake lead to a registry, or to a panic.
func FuzzTunnel(f *testing.F) {
	good := hello(hub)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(hello(ghcr))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
	x := newFixture(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		x.t = t
		conn, _ := x.connect(hub + ":443")
		conn.Write(b)
		conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, conn)
		conn.Close()
		if r := x.tunnel(); r.Outcome == "internal" {
			t.Errorf("record %+v", r)
		}
		if asked := x.requests(); len(asked) > 0 {
			t.Errorf("asked: %v", asked)
		}
	})
}

// A server name or a Host field that is taken for the tunnel's host is that host for
// everybody who reads it.
func FuzzNames(f *testing.F) {
	for _, s := range []string{hub, strings.ToUpper(hub), hub + ".", hub + ":443", hub + ":0443", ghcr + "@" + hub, hub + "/", "[" + hub + "]", hub + ":", "\x00" + hub, hub + "%"} {
		f.Add(s)
	}
	h, err := acl.ParseHost(hub)
	if err != nil {
		f.Fatal(err)
	}
	e := &end{host: h, port: 443}
	plain := func(s string) bool { return strings.EqualFold(strings.TrimSuffix(s, "."), hub) }
	f.Fuzz(func(t *testing.T, s string) {
		if isASCII(s) && (&tunnel{end: e}).names(s) == nil && !plain(s) {
			t.Errorf("the server name %q is taken for %s", s, hub)
		}
		if isASCII(s) && e.is(s) && !plain(strings.TrimSuffix(strings.TrimSuffix(strings.ReplaceAll(s, ":0", ":"), "443"), ":")) {
			t.Errorf("the field %q is taken for %s", s, hub)
		}
	})
}

// isASCII leaves out what IDNA maps to a name.
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
