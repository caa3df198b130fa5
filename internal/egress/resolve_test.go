//go:build linux

package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
)

func TestWhatAResolverMaySay(t *testing.T) {
	for _, c := range []struct {
		what   string
		answer func(question) reply
		want   Kind
		says   string
	}{
		{
			"no such name", func(question) reply { return reply{rcode: dnsmessage.RCodeNameError} },
			NameNotFound, "name.test does not resolve: no such name, or it has no address",
		},
		{
			"no address", func(question) reply { return reply{} },
			NameNotFound, "name.test does not resolve: no such name, or it has no address",
		},
		{
			"server failure", func(question) reply { return reply{rcode: dnsmessage.RCodeServerFailure} },
			NameNotFound, "name.test does not resolve: the resolver answered with a failure",
		},
		{
			"refused", func(question) reply { return reply{rcode: dnsmessage.RCodeRefused} },
			NameNotFound, "name.test does not resolve: the resolver answered with a failure",
		},
		{
			"failure for one family, nothing for the other", func(q question) reply {
				if q.typ == dnsmessage.TypeA {
					return reply{rcode: dnsmessage.RCodeServerFailure}
				}
				return reply{}
			},
			NameNotFound, "name.test does not resolve: the resolver answered with a failure",
		},
		{
			"nothing", func(question) reply { return reply{silent: true} },
			ResolverTimeout, "no resolver answered for name.test in ",
		},
		{
			"nothing over TCP", func(q question) reply { return reply{silent: q.tcp, cut: true} },
			ResolverTimeout, "no resolver answered for name.test in ",
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			d := through(serveNames(t, c.answer))
			d.Timeout = 400 * time.Millisecond
			r, e := dialName(t, d, 80)
			failed(t, r, e, c.want)
			if !strings.HasPrefix(e.Sentence, c.says) {
				t.Errorf("says %q\nwant %q", e.Sentence, c.says)
			}
			if r.Tries != 0 || r.DNS <= 0 || r.Addr.IsValid() {
				t.Errorf("result %+v", r)
			}
		})
	}
}

func TestNamesAreLookedUpAsAskedFor(t *testing.T) {
	for _, name := range []string{"registry", "a.b", "_dmarc.example.com", strings.Repeat("a.", 126) + "a"} {
		s := serveNames(t, func(question) reply { return reply{rcode: dnsmessage.RCodeNameError} })
		r, e := through(s).Dial(t.Context(), Target{Host: host(t, name), Port: 80})
		failed(t, r, e, NameNotFound)
		if got := s.names(); len(got) != 1 || got[0] != name+"." {
			t.Errorf("%s: the server was asked for %q", name, got)
		}
	}
}

func TestTheNextNameServerIsAsked(t *testing.T) {
	at, _ := listen(t, "127.0.0.1", 0)
	closed := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), freePort(t))
	silent := serveNames(t, func(question) reply { return reply{silent: true} }).addr
	broken := serveNames(t, func(question) reply { return reply{rcode: dnsmessage.RCodeServerFailure} }).addr
	for what, bad := range map[string][]netip.AddrPort{
		"nothing listens":  {closed},
		"it says nothing":  {silent},
		"it fails":         {broken},
		"one after others": {closed, broken, silent},
	} {
		t.Run(what, func(t *testing.T) {
			good := serveAddrs(t, "127.0.0.1")
			d := Dialer{AllowPrivate: loopbackOnly, Resolver: append(bad, good.addr), Timeout: time.Minute}
			r, e := dialName(t, &d, at.Port())
			connected(t, r, e)
		})
	}
	t.Run("but an answer is an answer", func(t *testing.T) {
		no := serveNames(t, func(question) reply { return reply{rcode: dnsmessage.RCodeNameError} })
		other := serveAddrs(t, "127.0.0.1")
		d := Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{no.addr, other.addr}}
		r, e := dialName(t, &d, at.Port())
		failed(t, r, e, NameNotFound)
		if got := other.names(); got != nil {
			t.Errorf("the second server was asked for %q", got)
		}
	})
	t.Run("unless all fail", func(t *testing.T) {
		d := Dialer{Resolver: []netip.AddrPort{closed, broken}}
		r, e := dialName(t, &d, at.Port())
		failed(t, r, e, NameNotFound)
	})
}

func TestRFC6724(t *testing.T) {
	lab.NeedIPv6(t)
	for _, c := range []struct {
		addr string
		want bool
	}{
		{"::1", true},
		{"fd00::1", false}, // below IPv4 in the policy table
		{"fe80::1", false},
		{"2002::1", false},
		{"2001::1", false},
	} {
		if got := prefers6(netip.MustParseAddr(c.addr)); got != c.want {
			t.Errorf("%s before IPv4: %t", c.addr, got)
		}
	}
}

// The resolver sets a deadline of its own right after it has its connection, so
// the end of the context may come before that.
func TestAQueryOfAnEndedContextWaitsForNothing(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		silent := listenSilent(t, network)
		c, err := net.Dial(network, silent)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		q := newQuery(ctx, c)
		cancel()
		_, _ = q.Read(make([]byte, 1)) // until the end has come through
		if err := q.SetDeadline(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", network, err)
		}
		_ = q.Close()
	}
}

func listenSilent(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}
