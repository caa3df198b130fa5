package socks

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/net/proxy"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/track"
)

// success is the method choice and the reply of a tunnel that stands.
var success = []byte{5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0}

func TestAllKindsOfTargetReachTheOrigin(t *testing.T) {
	b := newBench(t, nil)
	port := b.origin.Port()
	for what, request := range map[string][]byte{
		"IPv4":                      addr(b.origin.Addr(), port),
		"IPv4 mapped into IPv6":     addr(netip.AddrFrom16(b.origin.Addr().As16()), port),
		"domain name":               name("localhost", port),
		"domain name, odd spelling": name("LocalHost.", port),
		"address as domain name":    name("127.0.0.1", port),
	} {
		t.Run(what, func(t *testing.T) {
			c := b.dial()
			c.Write(append([]byte{5, 1, 0}, request...))
			c.Write([]byte("hello"))
			c.CloseWrite()
			got, err := io.ReadAll(c)
			if want := append(bytes.Clone(success), "hello"...); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %q, %v; want %q", got, err, want)
			}
			r := b.record()
			if r.Outcome != "ok" || r.Rule != "lab" || r.Decision != "allow" || r.Up != 5 || r.Down != 5 || r.Address != b.origin || r.Protocol != track.SOCKS5 || r.ClosedBy != track.Client {
				t.Errorf("record %+v", r)
			}
		})
	}
	b.noMore()
}

func TestBytesSentBeforeTheReplyArrive(t *testing.T) {
	b := newBench(t, nil)
	c := b.dial()
	early := strings.Repeat("early ", 2000) // more than one read of the handshake takes in
	c.Write(append(append([]byte{5, 1, 0}, addr(b.origin.Addr(), b.origin.Port())...), early...))
	c.CloseWrite()
	got, err := io.ReadAll(c)
	if want := string(success) + early; err != nil || string(got) != want {
		t.Errorf("%d bytes came back, %v; want %d", len(got), err, len(want))
	}
	b.record()
}

func TestAHandshakeInSingleBytesIsUnderstood(t *testing.T) {
	b := newBench(t, nil)
	c := b.dial()
	for _, x := range append([]byte{5, 1, 0}, name("localhost", b.origin.Port())...) {
		c.Write([]byte{x})
		time.Sleep(time.Millisecond)
	}
	c.CloseWrite()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, success) {
		t.Errorf("got %q, %v", got, err)
	}
	b.record()
}

func TestRefusalsHaveTheReplyOfTheTable(t *testing.T) {
	closed := listen(t, "127.0.0.1:0")
	closed.Close()
	refusing := closed.Addr().(*net.TCPAddr).AddrPort()
	any := func(_ *gate.Policy, r *acl.Rule) { r.Ports = []acl.PortRange{{First: 1, Last: 65535}} }
	for what, c := range map[string]struct {
		change  func(*gate.Policy, *acl.Rule)
		request func(*bench) []byte
		reply   byte
		outcome string
	}{
		"a client that no rule admits": {
			func(_ *gate.Policy, r *acl.Rule) { r.Clients = []string{"192.0.2.1"} },
			func(b *bench) []byte { return name("localhost", b.origin.Port()) }, 0x02, "rule_denied"},
		"a host that the rule leaves out": {
			func(_ *gate.Policy, r *acl.Rule) { r.To = []string{"example.com"} },
			func(b *bench) []byte { return name("localhost", b.origin.Port()) }, 0x02, "rule_denied"},
		"a port that the rule leaves out": {nil,
			func(b *bench) []byte { return name("localhost", b.origin.Port()^1) }, 0x02, "rule_denied"},
		"an address that is not public": {any,
			func(*bench) []byte { return addr(netip.MustParseAddr("169.254.169.254"), 80) }, 0x02, "address_not_public"},
		"the unspecified address": {any,
			func(b *bench) []byte { return addr(netip.IPv4Unspecified(), b.origin.Port()) }, 0x02, "address_not_public"},
		"a name that does not resolve": {any,
			func(*bench) []byte { return name("nowhere.invalid", 443) }, 0x04, "name_not_found"},
		"an origin that refuses": {any,
			func(*bench) []byte { return addr(refusing.Addr(), refusing.Port()) }, 0x05, "refused"},
		"a user that the rule asks for": {
			func(p *gate.Policy, r *acl.Rule) { r.Users = []string{"ann"} },
			func(b *bench) []byte { return name("localhost", b.origin.Port()) }, 0x02, "auth_required"},
		"the proxy itself": {
			func(p *gate.Policy, r *acl.Rule) {
				any(p, r)
				p.Dialer.Own = func(a netip.AddrPort) bool { return a.Port() == 1080 }
			},
			func(*bench) []byte { return addr(netip.MustParseAddr("127.0.0.1"), 1080) }, 0x02, "loop"},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, c.change)
			got := b.ask(c.request(b))
			if want := []byte{5, 0, 5, c.reply, 0, 1, 0, 0, 0, 0, 0, 0}; !bytes.Equal(got, want) {
				t.Errorf("got % x, want % x", got, want)
			}
			if r := b.record(); r.Outcome != c.outcome || r.Reason == "" {
				t.Errorf("record %+v, want outcome %q", r, c.outcome)
			}
			b.noMore()
		})
	}
}

func TestTheLimitOfTunnelsHolds(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*gate.Policy, *acl.Rule)
		reply  byte
	}{
		"of the client": {func(p *gate.Policy, _ *acl.Rule) { p.Limits[0].Tunnels = 1 }, 0x02},
		"of the rate":   {func(p *gate.Policy, _ *acl.Rule) { p.Limits[0].New = 0.001 }, 0x02},
		"of the proxy":  {func(p *gate.Policy, _ *acl.Rule) { p.MaxTunnels = 1 }, 0x01},
	} {
		t.Run(what, func(t *testing.T) {
			b := newBench(t, c.change)
			request := addr(b.origin.Addr(), b.origin.Port())
			first := b.dial()
			first.Write(append([]byte{5, 1, 0}, request...))
			if _, err := io.ReadFull(first, make([]byte, len(success))); err != nil {
				t.Fatal(err)
			}
			if got := b.ask(request); len(got) < 4 || got[3] != c.reply {
				t.Errorf("the second tunnel got % x", got)
			}
			b.record()
			first.Close()
			if r := b.record(); r.Outcome != "ok" {
				t.Errorf("the first tunnel: %+v", r)
			}
		})
	}
}

func TestWhatCannotBeReadIsClosedAndRecorded(t *testing.T) {
	b := newBench(t, func(p *gate.Policy, r *acl.Rule) {
		p.Handshake = 300 * time.Millisecond
		r.Ports = []acl.PortRange{{First: 1, Last: 65535}}
	})
	ok := []byte{5, 0}
	for what, c := range map[string]struct{ send, want []byte }{
		"SOCKS4":                 {[]byte{4, 1, 0, 80, 127, 0, 0, 1, 0}, nil},
		"another protocol":       {[]byte("GET / HTTP/1.1\r\n\r\n"), nil},
		"a greeting cut short":   {[]byte{5, 3, 0}, nil},
		"no method at all":       {[]byte{5, 0}, []byte{5, 0xff}},
		"an unknown method":      {[]byte{5, 1, 0x80}, []byte{5, 0xff}},
		"a request cut short":    {append([]byte{5, 1, 0}, 5, 1, 0, 3, 9, 'a'), ok},
		"an empty domain":        {append([]byte{5, 1, 0}, name("", 80)...), ok},
		"a domain with a space":  {append([]byte{5, 1, 0}, name("a b", 80)...), ok},
		"a domain with NUL":      {append([]byte{5, 1, 0}, name("a\x00b", 80)...), ok},
		"a domain with newline":  {append([]byte{5, 1, 0}, name("a\r\nb", 80)...), ok},
		"a domain with userinfo": {append([]byte{5, 1, 0}, name("u@localhost", 80)...), ok},
		"a zone":                 {append([]byte{5, 1, 0}, name("fe80::1%lo", 80)...), ok},
		"port 0":                 {append([]byte{5, 1, 0}, name("localhost", 0)...), ok},
		"BIND":                   {append([]byte{5, 1, 0}, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80), []byte{5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0}},
		"UDP ASSOCIATE":          {append([]byte{5, 1, 0}, 5, 3, 0, 1, 127, 0, 0, 1, 0, 80), []byte{5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0}},
		"an unknown address":     {append([]byte{5, 1, 0}, 5, 1, 0, 9, 0), []byte{5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0}},
		"another version inside": {append([]byte{5, 1, 0}, 4, 1, 0, 1, 127, 0, 0, 1, 0, 80), ok},
	} {
		t.Run(what, func(t *testing.T) {
			asked := time.Now()
			c1 := b.dial()
			c1.Write(c.send) // and then nothing: the deadline of the handshake ends it
			if got, err := io.ReadAll(c1); !bytes.Equal(got, c.want) || err != nil {
				t.Errorf("got % x, %v; want % x", got, err, c.want)
			}
			r := b.record()
			if r.Outcome != "malformed" || r.Reason == "" || r.Tries != 0 || r.Total > time.Since(asked) || r.Total <= 0 {
				t.Errorf("record %+v", r)
			}
			b.noMore()
		})
	}
}

func TestADialThatItsClientHasAbandonedIsGivenUp(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // a resolver that never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	b := newBench(t, func(p *gate.Policy, r *acl.Rule) {
		p.Dialer.Resolver = []netip.AddrPort{silent.LocalAddr().(*net.UDPAddr).AddrPort()}
		p.Dialer.Timeout = time.Hour
	})
	for _, how := range []string{"close", "reset", "early data, reset"} {
		c := b.dial()
		c.Write(append([]byte{5, 1, 0}, name("slow.example", b.origin.Port())...))
		if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * dialPatience)
		if how == "early data, reset" {
			c.Write([]byte("early"))
			time.Sleep(dialPatience)
		}
		if how != "close" {
			c.SetLinger(0)
		}
		c.Close()
		if r := b.record(); r.Outcome != "client_gone" {
			t.Errorf("%s: record %+v", how, r)
		}
	}
}

func TestUsersAreAskedForAndChecked(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, func(p *gate.Policy, r *acl.Rule) {
		p.Users = gate.NewUsers(map[string][]byte{"ann": hash})
		r.Users = []string{"ann"}
	})
	for _, c := range []struct{ user, password, outcome string }{
		{"ann", "secret", "ok"},
		{"ann", "hunter2", "auth_required"},
		{"bob", "secret", "auth_required"},
		{"ann", "secret", "ok"},
	} {
		d, err := proxy.SOCKS5("tcp", b.addr, &proxy.Auth{User: c.user, Password: c.password}, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := d.Dial("tcp", fmt.Sprint("localhost:", b.origin.Port()))
		if (err == nil) != (c.outcome == "ok") {
			t.Errorf("%s/%s: %v", c.user, c.password, err)
		}
		if err == nil {
			conn.Close()
		}
		r := b.record()
		if r.Outcome != c.outcome || c.outcome == "ok" && r.User != "ann" {
			t.Errorf("%s/%s: record %+v", c.user, c.password, r)
		}
		if strings.Contains(fmt.Sprintf("%+v", r), c.password) {
			t.Errorf("the record holds the password: %+v", r)
		}
	}
}

func FuzzSession(f *testing.F) {
	f.Add(append([]byte{5, 1, 0}, name("nowhere.invalid", 1)...))
	f.Add(append([]byte{5, 2, 0, 2}, addr(netip.MustParseAddr("192.0.2.1"), 1)...))
	f.Add([]byte{4, 1})
	p, err := acl.New(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) == 0 {
			return
		}
		records := 0
		policy := &gate.Policy{ACL: p, Handshake: time.Second, Dialer: &egress.Dialer{}}
		h := &Handler{Gate: gate.New(policy, func(*track.Record) { records++ })}
		conn, client := lab.Connected(t)
		client.CloseWrite()
		h.Serve(conn, sent, gate.Source{Client: netip.MustParseAddrPort("192.0.2.9:1")}, time.Now())
		if records != 1 {
			t.Errorf("%d records", records)
		}
		reply, _ := io.ReadAll(client)
		if len(reply) > 3 && reply[3] == 0 && bytes.HasPrefix(reply, []byte{5, 0, 5}) {
			t.Errorf("admitted: % x", reply)
		}
	})
}
