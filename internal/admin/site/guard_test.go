package site

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// What names may be asked for depends on where the interface listens: on loopback its
// own alone, from other machines any, unless a browser wants something changed, and
// on a socket any.
func TestWhichNamesMayBeAskedFor(t *testing.T) {
	loopback, six := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6loopback}
	outside, socket := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, &net.UnixAddr{Name: "/run/sluice/admin.sock"}
	const own, other = "192.0.2.1:9128", "relay.example:9128"
	for _, step := range []struct {
		name         string
		local        net.Addr
		method, host string
		browser      bool
		refused      bool
	}{
		{"by address", loopback, "GET", "127.0.0.1:9128", false, false},
		{"by a name that is not this machine's", loopback, "GET", other, false, true},
		{"and over IPv6", six, "GET", other, false, true},
		{"by curl from another machine", outside, "GET", other, false, false},
		{"by curl, to change something", outside, "DELETE", other, false, false},
		{"by a browser, to look", outside, "GET", other, true, false},
		{"by a browser under any name, to change something", outside, "DELETE", other, true, true},
		{"by a browser under the address", outside, "DELETE", own, true, false},
		{"over a socket", socket, "DELETE", "anything", false, false},
	} {
		g := newGuard()
		r := httptest.NewRequest(step.method, "/tunnels", nil)
		r.Host = step.host
		if step.browser {
			r.Header.Set("Origin", "http://"+step.host)
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, step.local))
		f := g.check(httptest.NewRecorder(), r)
		if (f != nil) != step.refused || f != nil && f.Status != http.StatusMisdirectedRequest {
			t.Errorf("%s: %+v", step.name, f)
		}
	}
}
