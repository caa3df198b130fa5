//go:build linux

package egress

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkConnect sets connect against what one would write without knowing
// its cost.
func BenchmarkConnect(b *testing.B) {
	for _, bench := range []struct {
		name    string
		connect func(context.Context, netip.AddrPort) (net.Conn, error)
	}{
		{"bounded", func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			c := call{Target: Target{Port: a.Port()}, deadline: time.Now().Add(defaultTimeout)}
			return c.connect(ctx, a.Addr())
		}},
		{"timer", func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			d := net.Dialer{Timeout: defaultTimeout}
			return d.DialContext(ctx, "tcp", a.String())
		}},
		{"bound", func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			d := net.Dialer{Timeout: defaultTimeout}
			return d.DialTCP(ctx, "tcp", netip.AddrPort{}, a)
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			at := sink(b)
			b.ReportAllocs()
			for b.Loop() {
				c, err := bench.connect(b.Context(), at)
				if err != nil {
					b.Fatal(err)
				}
				reset(c.(*net.TCPConn))
			}
		})
	}
}

// BenchmarkDial is the cost of a whole dial: by address, by a name of one
// address, and by one of two families.
func BenchmarkDial(b *testing.B) {
	at := sink(b)
	one, two := serveAddrs(b, "127.0.0.1"), serveAddrs(b, "127.0.0.1", "127.0.0.2", "::1")
	for _, bench := range []struct {
		name, host string
		resolver   netip.AddrPort
	}{{"address", "127.0.0.1", netip.AddrPort{}}, {"name", "a.test", one.addr}, {"three", "a.test", two.addr}} {
		b.Run(bench.name, func(b *testing.B) {
			d := Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{bench.resolver}, Own: OwnAddrs([]netip.AddrPort{netip.MustParseAddrPort("[::]:3128")})}
			t := Target{Host: host(b, bench.host), Port: at.Port()}
			b.ReportAllocs()
			for b.Loop() {
				r, e := d.Dial(b.Context(), t)
				if e != nil {
					b.Fatal(e)
				}
				reset(r.Conn)
			}
		})
	}
}

// sink accepts connections on every address until they are reset.
func sink(b *testing.B) netip.AddrPort {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				var buf [1]byte
				_, _ = c.Read(buf[:])
				_ = c.Close()
			}()
		}
	}()
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), l.Addr().(*net.TCPAddr).AddrPort().Port())
}

// reset closes without leaving a port in TIME_WAIT.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
