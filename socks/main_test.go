package socks

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a SOCKS5 listener before a gate, and an origin that echoes.
type bench struct {
	t       *testing.T
	addr    string
	origin  netip.AddrPort
	records chan track.Record
}

// newBench admits 127.0.0.1 to the origin's port on loopback by a rule named
// "lab"; change adapts the policy.
func newBench(t *testing.T, change func(*gate.Policy, *acl.Rule)) *bench {
	t.Helper()
	b := &bench{t: t, origin: echo(t), records: make(chan track.Record, 64)}
	rule := acl.Rule{Name: "lab", Action: acl.Allow, Clients: []string{"127.0.0.1"}, Ports: []acl.PortRange{{First: b.origin.Port(), Last: b.origin.Port()}}}
	p := &gate.Policy{
		Limits:    []limit.Limits{{}},
		Handshake: 10 * time.Second,
		Dialer: &egress.Dialer{
			AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			Resolver:     []netip.AddrPort{nameserver(t)},
			Timeout:      5 * time.Second,
		},
	}
	if change != nil {
		change(p, &rule)
	}
	var err error
	if p.ACL, err = acl.New([]acl.Rule{rule}, nil); err != nil {
		t.Fatal(err)
	}
	h := &Handler{Gate: gate.New(p, func(r *track.Record) { b.records <- *r })}
	ln := listen(t, "127.0.0.1:0")
	b.addr = ln.Addr().String()
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait(); h.Gate.Live().KillAll("end of test") })
	wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				first := make([]byte, 512)
				n, err := c.Read(first)
				if err != nil {
					c.Close()
					return
				}
				h.Serve(c, first[:n], gate.Source{Listener: ":1080", Client: c.RemoteAddr().(*net.TCPAddr).AddrPort()}, time.Now())
			})
		}
	})
	return b
}

func listen(t *testing.T, addr string) *net.TCPListener {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.(*net.TCPListener)
}

// echo answers each connection with what it got, once that has ended.
func echo(t *testing.T) netip.AddrPort {
	ln := listen(t, "127.0.0.1:0")
	var wg sync.WaitGroup
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				b, _ := io.ReadAll(c)
				c.Write(b)
			})
		}
	})
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// nameserver answers every question with NXDOMAIN.
func nameserver(t *testing.T) netip.AddrPort {
	return lab.NameServer(t, func(m *dnsmessage.Message) bool {
		m.RCode = dnsmessage.RCodeNameError
		return true
	})
}

func (b *bench) dial() *net.TCPConn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

func (b *bench) record() track.Record {
	b.t.Helper()
	select {
	case r := <-b.records:
		return r
	case <-time.After(20 * time.Second):
		b.t.Fatal("no record")
		return track.Record{}
	}
}

// noMore asserts that a transaction left one record alone.
func (b *bench) noMore() {
	b.t.Helper()
	select {
	case r := <-b.records:
		b.t.Errorf("a second record: %+v", r)
	case <-time.After(20 * time.Millisecond):
	}
}

// ask sends a greeting and a request and returns all that comes back.
func (b *bench) ask(request []byte) []byte {
	b.t.Helper()
	c := b.dial()
	c.Write(append([]byte{5, 1, 0}, request...))
	got, _ := io.ReadAll(c)
	return got
}

// name is a CONNECT request by domain name, and addr one by address.
func name(host string, port uint16) []byte {
	p := append([]byte{5, 1, 0, 3, byte(len(host))}, host...)
	return append(p, byte(port>>8), byte(port))
}

func addr(a netip.Addr, port uint16) []byte {
	kind := byte(1)
	if a.Is6() {
		kind = 4
	}
	p := append([]byte{5, 1, 0, kind}, a.AsSlice()...)
	return append(p, byte(port>>8), byte(port))
}
