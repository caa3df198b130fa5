//go:build linux

package egress

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// inNewNamespace runs f on a thread that has a network namespace of its own,
// set up by shell commands. Literal addresses are dialled by the calling
// goroutine, so they are dialled there.
func inNewNamespace(t *testing.T, commands string, f func()) {
	t.Helper()
	done := make(chan struct{})
	var skipped string
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			skipped = "a network namespace needs root: " + err.Error()
			return
		}
		if out, err := exec.Command("sh", "-ec", commands).CombinedOutput(); err != nil {
			skipped = "ip(8) cannot set the namespace up: " + string(out)
			return
		}
		f()
	}()
	<-done
	switch {
	case skipped != "" && os.Getenv("CI") == "true":
		t.Fatal(skipped)
	case skipped != "":
		t.Skip(skipped)
	}
}

func TestWaysOfHavingNoRoute(t *testing.T) {
	everything := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	inNewNamespace(t, `
		ip link set lo up
		ip route add blackhole 192.0.2.1
		ip route add prohibit 192.0.2.2
		ip route add unreachable 192.0.2.3
		ip -6 route add blackhole 2001:db8::1
		ip -6 route add prohibit 2001:db8::2
		ip -6 route add unreachable 2001:db8::3`, func() {
		d := Dialer{AllowPrivate: everything}
		for _, h := range []string{
			"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "255.255.255.255", "224.0.0.1",
			"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4",
		} {
			r, e := d.Dial(t.Context(), Target{Host: host(t, h), Port: 443})
			failed(t, r, e, Unroutable)
			if !strings.HasPrefix(e.Sentence, "no route to "+host(t, h).Join(443)) {
				t.Errorf("%s: says %q", h, e.Sentence)
			}
		}
	})
	// So it is in most containers: no IPv6 at all, which the kernel tells with
	// the error that means for IPv4 that there are no ports left.
	inNewNamespace(t, `
		ip link set lo up
		ip route add default dev lo
		echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		ip -6 route show`, func() {
		d := Dialer{AllowPrivate: everything}
		r, e := d.Dial(t.Context(), Target{Host: host(t, "2001:db8::1"), Port: 443})
		failed(t, r, e, Unroutable)
		r, e = d.Dial(t.Context(), Target{Host: host(t, "::1"), Port: 443})
		failed(t, r, e, Unroutable)
	})
}

// Ports are taken for each destination apart, which they are not when a socket
// is bound before it is connected.
func TestPortsAreSharedBetweenDestinations(t *testing.T) {
	inNewNamespace(t, `
		ip link set lo up
		echo 50000 50001 >/proc/sys/net/ipv4/ip_local_port_range`, func() {
		d := Dialer{AllowPrivate: loopbackOnly}
		for _, addr := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
			at, _ := listen(t, addr, 443)
			for range 2 {
				r, e := d.Dial(t.Context(), Target{Host: host(t, addr), Port: at.Port()})
				connected(t, r, e)
			}
			r, e := d.Dial(t.Context(), Target{Host: host(t, addr), Port: at.Port()})
			failed(t, r, e, ServerFull)
		}
	})
}

// Google's guest agent, for one, sets such routes for the addresses of load
// balancers.
func TestAnAddressOfThisHostIsThisProxy(t *testing.T) {
	inNewNamespace(t, `
		ip link set lo up
		ip link add eth type veth peer name peer
		ip link set peer up
		ip link set eth up
		ip address add 198.51.100.1/24 dev eth
		ip address add 198.51.100.2/24 dev eth
		ip route add default via 198.51.100.9
		ip route add to local 203.0.113.0/24 dev eth
		ip -6 address add 2001:db8::1/64 dev eth nodad
		ip -6 route add default via 2001:db8::9
		ip -6 route add local 2001:db8:3::/48 dev lo
		ip route add blackhole 203.0.112.0/24
		ip -6 route add prohibit 2001:db8:4::/48`, func() {
		own := OwnAddrs([]netip.AddrPort{netip.MustParseAddrPort("[::]:3128")})
		for to, want := range map[string]bool{
			"203.0.113.7:3128": true, "203.0.113.7:443": false,
			"198.51.100.1:3128": true, "198.51.100.2:3128": true, "[2001:db8::1]:3128": true,
			"198.51.100.3:3128": false, "192.0.2.1:3128": false, "[2001:db8:2::1]:3128": false,
			"[2001:db8:3::]:3128": true, "[2001:db8:3:4::5]:3128": true, "[2001:db8:3:4::5]:443": false,
			"203.0.112.7:3128": false, "[2001:db8:4::1]:3128": false, "[fe80::1]:3128": false,
		} {
			if want {
				routed(t, own, netip.MustParseAddrPort(to))
			} else if own(netip.MustParseAddrPort(to)) {
				t.Errorf("%s is taken for an address of this host", to)
			}
		}
		for _, later := range []struct{ command, to string }{
			{"ip address add 198.51.100.77/24 dev eth", "198.51.100.77:3128"},
			{"ip -6 address add 2001:db8::77/64 dev eth nodad", "[2001:db8::77]:3128"},
			{"ip route add local 192.0.2.128/25 dev lo", "192.0.2.200:3128"},
			{"ip -6 route add local 2001:db8:5::/48 dev lo", "[2001:db8:5::1]:3128"},
		} {
			to := netip.MustParseAddrPort(later.to)
			if own(to) {
				t.Errorf("%s is taken for an address of this host", to)
			}
			if out, err := exec.Command("sh", "-ec", later.command).CombinedOutput(); err != nil {
				t.Fatalf("%s: %s", later.command, out)
			}
			routed(t, own, to)
		}
	})
}

// routed waits until an address is known as this host's: ip(8) returns before the
// kernel has made the route to an address of IPv6, which no one can reach before.
func routed(t *testing.T, own func(netip.AddrPort) bool, to netip.AddrPort) {
	t.Helper()
	eventually(t, to.String()+" is known as this host's", func() bool { return own(to) })
}

// What the kernel says of a route is what a connection finds: where it says
// "local", a listener on all addresses answers, and nowhere else.
func TestWhatTheKernelCallsLocalReachesAListener(t *testing.T) {
	inNewNamespace(t, `
		ip link set lo up
		ip route add local 192.0.2.0/24 dev lo
		ip -6 route add local 2001:db8::/64 dev lo
		ip -6 address add 2001:db8:1::1/64 dev lo nodad`, func() {
		at, _ := listen(t, "::", 0)
		own := OwnAddrs([]netip.AddrPort{at})
		open := Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}
		routed(t, own, netip.AddrPortFrom(netip.MustParseAddr("2001:db8:1::1"), at.Port()))
		guarded := open
		guarded.Own = own
		for _, addr := range []string{
			"127.0.0.1", "127.9.9.9", "::1", "192.0.2.77", "2001:db8::77", "2001:db8:1::1",
			"198.51.100.1", "2001:db8:2::1", "2001:db8:1::2",
		} {
			target := Target{Host: host(t, addr), Port: at.Port()}
			r, e := open.Dial(t.Context(), target)
			answers := e == nil
			if answers {
				_ = r.Conn.Close()
			}
			if is := own(netip.AddrPortFrom(target.Host.Addr(), at.Port())); is != answers {
				t.Errorf("%s: own is %t, and a connection is made: %t (%v)", addr, is, answers, e)
			}
			if r, e = guarded.Dial(t.Context(), target); answers {
				failed(t, r, e, Loop)
			} else {
				failed(t, r, e, Unroutable)
			}
		}
	})
}

// Between the question and the dial a descriptor may become free.
func TestWithoutASocketToAskWithNothingIsTakenForElsewhere(t *testing.T) {
	inNewNamespace(t, `
		ip link set lo up
		ip address add 198.51.100.1/24 dev lo`, func() {
		own := OwnAddrs([]netip.AddrPort{netip.MustParseAddrPort("[::]:3128")})
		d := Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}, Own: own}
		target := Target{Host: host(t, "198.51.100.1"), Port: 3128}
		r, e := d.Dial(t.Context(), target)
		failed(t, r, e, Loop)
		if err := failCalls(unix.SYS_SOCKET, unix.EMFILE); err != nil {
			t.Skipf("seccomp(2): %v", err)
		}
		if !own(netip.MustParseAddrPort("198.51.100.1:3128")) {
			t.Error("an address of this host is taken for another's")
		}
		r, e = d.Dial(t.Context(), target)
		failed(t, r, e, ServerFull)
	})
}
