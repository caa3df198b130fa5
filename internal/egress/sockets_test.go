//go:build linux

package egress

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/acl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopbackOnly lets tests dial where they may send packets to.
var loopbackOnly = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func host(t testing.TB, s string) acl.Host {
	t.Helper()
	h, err := acl.ParseHost(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return h
}

// freePort returns a port on which nothing listens on any loopback address.
func freePort(t testing.TB) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// listen accepts connections on an address for the time of the test and sends
// each on the channel; port 0 takes a free one.
func listen(t testing.TB, addr string, port uint16) (netip.AddrPort, <-chan net.Conn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), port)))
	if err != nil {
		t.Fatal(err)
	}
	return l.Addr().(*net.TCPAddr).AddrPort(), accept(t, l)
}

// accept accepts connections for the time of the test.
func accept(t testing.TB, l net.Listener) <-chan net.Conn {
	conns := make(chan net.Conn, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		close(conns)
		for c := range conns {
			_ = c.Close()
		}
	})
	return conns
}

// holeFillers is the number of connections to each black hole that fill it.
const holeFillers = 4

// blackHole makes an address swallow SYNs for the time of the test: a listener
// whose queue of established connections is full drops them (tcp(7)). relieve
// accepts all that is queued and what comes later.
func blackHole(t testing.TB, addr string, port uint16) (at netip.AddrPort, relieve func()) {
	t.Helper()
	family, sa := sockaddr(netip.AddrPortFrom(netip.MustParseAddr(addr), port))
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "black hole")
	t.Cleanup(func() { _ = f.Close() })
	if err := syscall.Bind(fd, sa); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err = syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	// Over loopback a handshake is complete when connect returns: the first
	// fills the queue, the others wait.
	for range holeFillers {
		c, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(c) })
		if err := syscall.Connect(c, sa); err != syscall.EINPROGRESS && err != nil {
			t.Fatal(err)
		}
	}
	return netip.AddrPortFrom(netip.MustParseAddr(addr), portOf(sa)), func() {
		l, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		accept(t, l)
	}
}

func sockaddr(a netip.AddrPort) (family int, sa syscall.Sockaddr) {
	if a.Addr().Is4() {
		return syscall.AF_INET, &syscall.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func portOf(sa syscall.Sockaddr) uint16 {
	if in, ok := sa.(*syscall.SockaddrInet4); ok {
		return uint16(in.Port)
	}
	return uint16(sa.(*syscall.SockaddrInet6).Port)
}

// failed asserts a failure of a kind, and that its sentence is fit for a client:
// one line of printable ASCII.
func failed(t testing.TB, r Result, e *Error, want Kind) {
	t.Helper()
	if r.Conn != nil {
		_ = r.Conn.Close()
		t.Fatalf("connected to %s, want %s", r.Addr, want)
	}
	if e == nil {
		t.Fatalf("neither a connection nor an error, want %s", want)
	}
	if e.Kind != want {
		t.Fatalf("%s (%v), want %s", e.Kind, e, want)
	}
	if e.Sentence == "" {
		t.Error("the error has no sentence")
	}
	for _, b := range []byte(e.Sentence) {
		if b < 0x20 || b > 0x7e {
			t.Fatalf("sentence %q is not one line of printable ASCII", e.Sentence)
		}
	}
}

// connected asserts success and closes the connection when the test ends.
func connected(t testing.TB, r Result, e *Error) {
	t.Helper()
	if e != nil {
		t.Fatalf("%s: %v", e.Kind, e)
	}
	t.Cleanup(func() { _ = r.Conn.Close() })
	if got := r.Conn.RemoteAddr().(*net.TCPAddr).AddrPort(); got != r.Addr {
		t.Errorf("connected to %s, but the result says %s", got, r.Addr)
	}
}

// eventually waits for a condition that holds soon unless something is broken.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// socketsTo counts the open sockets on this host that are connected to an IPv4
// address or try to be (proc_net_tcp.txt in the kernel's documentation).
func socketsTo(t testing.TB, to netip.AddrPort) int {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	a := to.Addr().As4()
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a[:]), to.Port())
	n := 0
	for line := range strings.Lines(string(text)) {
		// An inode of 0 is a socket that nobody has open any more.
		if f := strings.Fields(line); len(f) > 9 && f[2] == remote && f[9] != "0" {
			n++
		}
	}
	return n
}
