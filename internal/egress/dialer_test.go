//go:build linux

package egress

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/acl"
	"sluice/internal/lab"
)

func TestAnAddressThatIsNotPublicIsNotDialled(t *testing.T) {
	for _, c := range []struct{ host, says string }{
		{"169.254.169.254", "169.254.169.254 is not a public address (link-local)"},
		{"10.0.0.1", "10.0.0.1 is not a public address (private use)"},
		{"0x7f.1", "127.0.0.1 is not a public address (loopback)"},
		{"0.0.0.0", "0.0.0.0 is not a public address (this network)"},
		{"[::]", ":: is not a public address (unspecified)"},
		{"[::1]", "::1 is not a public address (loopback)"},
		{"[::ffff:10.0.0.1]", "10.0.0.1 is not a public address (private use)"},
		{"[64:ff9b::10.0.0.1]", "64:ff9b::a00:1 is not a public address (private use)"},
		{"[64:ff9b::7f00:1]", "64:ff9b::7f00:1 is not a public address (loopback)"},
		{"[2002:7f00:1::]", "2002:7f00:1:: is not a public address (6to4)"},
		{"[fd00::1]", "fd00::1 is not a public address (unique local)"},
		{"[fec0::1]", "fec0::1 is not a public address (not global unicast)"},
		{"[::127.0.0.1]", "::7f00:1 is not a public address (not global unicast)"},
	} {
		t.Run(c.host, func(t *testing.T) {
			r, e := new(Dialer).Dial(t.Context(), Target{Host: host(t, c.host), Port: 80})
			failed(t, r, e, NotPublic)
			if e.Sentence != c.says {
				t.Errorf("says %q\nwant %q", e.Sentence, c.says)
			}
			if r.Tries != 0 {
				t.Errorf("%d tries", r.Tries)
			}
		})
	}
}

func TestAllowPrivateIsComparedWithTheAddressReallyReached(t *testing.T) {
	d := Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
	for _, s := range []string{"0.0.0.0", "::"} {
		r, e := d.Dial(t.Context(), Target{Host: host(t, s), Port: 80})
		failed(t, r, e, NotPublic)
	}
	d.AllowPrivate = d.AllowPrivate[:1]
	r, e := d.Dial(t.Context(), Target{Host: host(t, "64:ff9b::10.0.0.1"), Port: 80})
	failed(t, r, e, NotPublic)
}

// Whoever allows a range for a NAT64 of its own allows the way, not what lies
// behind it.
func TestIPv6ThatStandsForIPv4ReachesNoMoreThanIPv4(t *testing.T) {
	allow := func(list ...string) (p []netip.Prefix) {
		for _, s := range list {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	for _, c := range []struct {
		host  string
		allow []netip.Prefix
		pass  bool
	}{
		{"64:ff9b:1::8.8.8.8", nil, false},
		{"64:ff9b:1::8.8.8.8", allow("64:ff9b:1::/48"), true},
		{"64:ff9b:1::8.8.8.8", allow("64:ff9b:1::/96"), true},
		{"64:ff9b:1:fffe::8.8.8.8", allow("64:ff9b:1:fffe::/96"), true},
		{"64:ff9b:1::169.254.169.254", allow("64:ff9b:1::/48"), false},
		{"64:ff9b:1::169.254.169.254", allow("64:ff9b:1::/96"), false},
		{"64:ff9b:1::169.254.169.254", allow("::/0"), false},
		{"64:ff9b:1:a9fe:a9:fe00::", allow("64:ff9b:1::/48"), false},
		{"64:ff9b:1:a9:fe:a9fe:0:1", allow("64:ff9b:1::/48"), false}, // of a /56, the suffix not zero
		{"64:ff9b:1:0:a9:fea9:fe00:1", allow("64:ff9b:1::/64"), false},
		{"64:ff9b:1::10.0.0.1", allow("64:ff9b:1::/96", "10.0.0.0/8"), true},
		{"64:ff9b:1::10.0.0.1", allow("64:ff9b:1::a00:1/128"), true}, // meant, for it is spelt out
		{"2002:a9fe:a9fe::1", allow("2002::/16"), false},
		{"2002:a9fe:a9fe::1", allow("2002:a9fe:a9fe::/48"), true},
		{"2002:808:808::1", allow("2002::/16"), true},
		{"2001:0:808:808::5601:5601", allow("2001::/32"), false},
		{"::169.254.169.254", allow("::/0"), false},
		{"::ffff:0:127.0.0.1", allow("::/0"), false},
		{"fd00::a9fe:a9fe", allow("fd00::/8"), true},
		{"::1", allow("::/0"), true},
	} {
		call := call{Dialer: &Dialer{AllowPrivate: c.allow}, Target: Target{Host: host(t, c.host), Port: 80}}
		if got := call.vet(call.Host.Addr()); got != c.pass {
			t.Errorf("%s with %s: %t, want %t", c.host, c.allow, got, c.pass)
		}
	}
}

func TestAnAllowedAddressIsDialled(t *testing.T) {
	lab.NeedIPv6(t)
	for _, addr := range []string{"127.0.0.1", "::1"} {
		at, conns := listen(t, addr, 0)
		d := Dialer{AllowPrivate: loopbackOnly}
		r, e := d.Dial(t.Context(), Target{Host: host(t, addr), Port: at.Port()})
		connected(t, r, e)
		c := <-conns
		defer c.Close()
		if r.Addr != at || r.Tries != 1 || r.DNS != 0 || r.Dial <= 0 {
			t.Errorf("result %+v", r)
		}
	}
}

func TestOwnListenersAreALoopThoughAllowed(t *testing.T) {
	at, _ := listen(t, "127.0.0.1", 0)
	s := serveAddrs(t, at.Addr().String())
	d := Dialer{
		AllowPrivate: loopbackOnly,
		Own:          OwnAddrs([]netip.AddrPort{at}),
		Resolver:     []netip.AddrPort{s.addr},
	}
	for _, h := range []string{"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1",
		"64:ff9b:1::127.0.0.1", "2002:7f00:1::1", "::127.0.0.1", "2001:0:808:808::80ff:fffe", "proxy.example.com"} {
		r, e := d.Dial(t.Context(), Target{Host: host(t, h), Port: at.Port()})
		failed(t, r, e, Loop)
		if !strings.HasSuffix(e.Sentence, " leads back to this proxy") || r.Tries != 0 {
			t.Errorf("%s: %q after %d tries", h, e.Sentence, r.Tries)
		}
	}
}

func TestRequestsWithoutDestinationAreMalformed(t *testing.T) {
	r, e := new(Dialer).Dial(t.Context(), Target{Port: 80})
	failed(t, r, e, Malformed)
	r, e = new(Dialer).Dial(t.Context(), Target{Host: host(t, "example.com")})
	failed(t, r, e, Malformed)
}

func TestAClosedPortIsRefused(t *testing.T) {
	port := freePort(t)
	d := Dialer{AllowPrivate: loopbackOnly}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: port})
	failed(t, r, e, Refused)
	want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
	if e.Sentence != want.String()+" refused the connection" {
		t.Errorf("says %q", e.Sentence)
	}
	if r.Tries != 1 || r.Addr != want {
		t.Errorf("result %+v", r)
	}
}

func TestSilenceIsToldWithTheTimeWaited(t *testing.T) {
	at, _ := blackHole(t, "127.0.0.1", 0)
	d := Dialer{AllowPrivate: loopbackOnly, Timeout: 200 * time.Millisecond}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	failed(t, r, e, Timeout)
	if !strings.HasPrefix(e.Sentence, at.String()+" did not answer in ") {
		t.Errorf("says %q", e.Sentence)
	}

	d.Timeout = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r, e = d.Dial(ctx, Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	failed(t, r, e, Timeout)
}

func TestAClientThatLeavesEndsTheDial(t *testing.T) {
	at, _ := blackHole(t, "127.0.0.1", 0)
	hangs := serveNames(t, func(question) reply { return reply{silent: true} })
	answers := serveAddrs(t, "127.0.0.1")
	for name, d := range map[string]*Dialer{
		"127.0.0.1":         {},
		"looking.up.test":   {Resolver: []netip.AddrPort{hangs.addr}},
		"connecting.test":   {Resolver: []netip.AddrPort{answers.addr}},
		"failing-over.test": {Resolver: []netip.AddrPort{hangs.addr, hangs.addr}},
	} {
		d.AllowPrivate, d.Timeout = loopbackOnly, time.Hour
		for _, late := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			if late {
				defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
			} else {
				cancel()
			}
			r, e := d.Dial(ctx, Target{Host: host(t, name), Port: at.Port()})
			cancel()
			failed(t, r, e, ClientGone)
		}
	}
}

func TestARuleThatDeniesTheResolvedAddress(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	s := serveAddrs(t, "127.0.0.2", "127.0.0.1")
	d := Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{s.addr}}
	const says = "rule no-metadata denies that"
	deny := func(prefix string) func(netip.Addr) string {
		p := netip.MustParsePrefix(prefix)
		return func(a netip.Addr) string {
			if p.Contains(a) {
				return says
			}
			return ""
		}
	}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "both.test"), Port: at.Port(), Deny: deny("127.0.0.2/32")})
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Addr != at || r.Tries != 1 {
		t.Errorf("result %+v", r)
	}
	for _, h := range []string{"both.test", "127.0.0.1"} {
		r, e = d.Dial(t.Context(), Target{Host: host(t, h), Port: at.Port(), Deny: deny("127.0.0.0/8")})
		failed(t, r, e, RuleDenied)
		if e.Sentence != says || r.Tries != 0 {
			t.Errorf("%s: %q after %d tries", h, e.Sentence, r.Tries)
		}
	}
}

func TestOwnAddrs(t *testing.T) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	own := OwnAddrs([]netip.AddrPort{
		netip.MustParseAddrPort("[::]:3128"),
		netip.MustParseAddrPort("0.0.0.0:1080"),
		netip.MustParseAddrPort("192.0.2.7:8080"),
		netip.MustParseAddrPort("[::ffff:192.0.2.8]:8081"),
	})
	type row struct {
		addr string
		port uint16
		want bool
	}
	rows := []row{
		{"127.0.0.1", 3128, true}, {"127.255.0.9", 3128, true}, {"::1", 3128, true},
		{"0.0.0.0", 3128, true}, {"::", 3128, true}, {"::ffff:127.0.0.1", 3128, true},
		{"::ffff:0.0.0.0", 1080, true}, {"127.0.0.1", 1080, true},
		{"127.0.0.1", 3129, false}, {"198.51.100.1", 3128, false}, {"2001:db8::1", 1080, false},
		{"192.0.2.7", 8080, true}, {"::ffff:192.0.2.7", 8080, true}, {"0.0.0.0", 8080, true},
		{"192.0.2.7", 8081, false}, {"192.0.2.8", 8081, true}, {"127.0.0.1", 8080, false},
	}
	for _, n := range nets {
		a, _ := netip.AddrFromSlice(n.(*net.IPNet).IP)
		rows = append(rows, row{a.String(), 3128, true}, row{a.String(), 443, false})
	}
	for _, r := range rows {
		if got := own(netip.AddrPortFrom(netip.MustParseAddr(r.addr), r.port)); got != r.want {
			t.Errorf("%s port %d: own = %t", r.addr, r.port, got)
		}
	}
	if OwnAddrs(nil)(netip.MustParseAddrPort("127.0.0.1:80")) {
		t.Error("without listeners nothing is own")
	}
}

// Without descriptors the proxy is at fault, not the destination, and neither is
// the name.
func TestOutOfDescriptorsIsServerFull(t *testing.T) {
	s := serveAddrs(t, "127.0.0.1")
	d := Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{s.addr}}
	for _, h := range []string{"127.0.0.1", "name.test"} {
		r, e := withoutDescriptors(t, func() (Result, *Error) {
			return d.Dial(t.Context(), Target{Host: host(t, h), Port: 80})
		})
		failed(t, r, e, ServerFull)
		if e.RetryAfter == 0 {
			t.Error("it does not say when to try again")
		}
	}
}

func withoutDescriptors(t *testing.T, f func() (Result, *Error)) (Result, *Error) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
			t.Fatal(err)
		}
	}()
	return f()
}

// The socket that a caller gets is plain TCP with the keep-alive that the
// comments promise.
func TestTheSocket(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	d := Dialer{AllowPrivate: loopbackOnly}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	connected(t, r, e)
	defer (<-conns).Close()
	raw, err := r.Conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		what               string
		level, option, val int
	}{
		{"protocol", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP},
		{"no delay", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"keep-alive", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(keepAliveIdle.Seconds())},
		{"interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(keepAliveInterval.Seconds())},
	} {
		if err := raw.Control(func(fd uintptr) {
			if v, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || v != o.val {
				t.Errorf("%s: %d, %v; want %d", o.what, v, err, o.val)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A connection that is made must not end with the deadline that it was made in.
func TestTheDeadlineEndsWithTheDial(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	ctx, cancel := context.WithCancel(t.Context())
	d := Dialer{AllowPrivate: loopbackOnly, Timeout: 100 * time.Millisecond}
	r, e := d.Dial(ctx, Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	connected(t, r, e)
	c := <-conns
	defer c.Close()
	cancel()
	time.Sleep(150 * time.Millisecond)
	if _, err := r.Conn.Write([]byte("x")); err != nil {
		t.Errorf("write after deadline and cancellation: %v", err)
	}
}

func TestHostsFileComesFirst(t *testing.T) {
	text, err := os.ReadFile(filepath.FromSlash("/etc/hosts"))
	if err != nil || !strings.Contains(string(text), "localhost") {
		t.Skip("/etc/hosts has no localhost")
	}
	s := serveNames(t, func(q question) reply {
		t.Errorf("asked for %s", q.name)
		return reply{}
	})
	at, _ := listen(t, "::", 0)
	d := Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{s.addr}}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "LocalHost."), Port: at.Port()})
	connected(t, r, e)

	h, err := acl.HostFromAddr(r.Addr.Addr())
	if err != nil || !h.Addr().IsLoopback() {
		t.Errorf("localhost is %s, %v", h, err)
	}
}

// The addresses of a name are dialled one after the other, seconds after they were
// vetted, and a reload may open a listener at one of them meanwhile.
func TestAListenerThatComesDuringADialIsALoop(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	asked := 0
	d := Dialer{AllowPrivate: loopbackOnly, Own: func(netip.AddrPort) bool { asked++; return asked > 1 }}
	r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	failed(t, r, e, Loop)
	c := <-conns
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("the connection was kept")
	}
}
