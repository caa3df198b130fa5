//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// do runs f on a thread that is in the host's network namespace. Sockets that f
// opens belong there for good; f must open them itself, on no other goroutine.
func (h *Host) do(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- h.onThread(f) }()
	return <-done
}

func (h *Host) onThread(f func() error) error {
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open(filepath.Join(netnsDir, h.netns))
	if err != nil {
		return err
	}
	defer there.Close()

	runtime.LockOSThread()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace of %s: %w", h.name, err)
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		// Still locked: the runtime ends the thread with this goroutine.
		return fmt.Errorf("leave namespace of %s: %w", h.name, back)
	}
	runtime.UnlockOSThread()
	return err
}

// Listen listens on the host, on a literal address such as "198.18.0.2:443" or
// ":443". The test's end closes the listener.
func (h *Host) Listen(t testing.TB, network, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := h.do(func() (err error) {
		l, err = net.Listen(network, addr)
		return err
	})
	if err != nil {
		t.Fatalf("lab: %s: %v", h.name, err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// ListenPacket is Listen for datagrams.
func (h *Host) ListenPacket(t testing.TB, network, addr string) net.PacketConn {
	t.Helper()
	var c net.PacketConn
	err := h.do(func() (err error) {
		c, err = net.ListenPacket(network, addr)
		return err
	})
	if err != nil {
		t.Fatalf("lab: %s: %v", h.name, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// DialContext connects from the host, to a literal address or to a name that the
// lab's hosts file knows (its first address). It fits http.Transport.
func (h *Host) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(name); err != nil {
		known := h.net.lookup(name)
		if len(known) == 0 {
			return nil, &net.DNSError{Err: "not named in the lab", Name: name, IsNotFound: true}
		}
		name = known[0].String()
	}
	var c net.Conn
	err = h.do(func() (err error) {
		// One literal address is dialled by this very goroutine.
		c, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(name, port))
		return err
	})
	return c, err
}

// Dial is DialContext without a context; the test's end closes the connection.
func (h *Host) Dial(t testing.TB, network, addr string) net.Conn {
	t.Helper()
	c, err := h.DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatalf("lab: %s: %v", h.name, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
