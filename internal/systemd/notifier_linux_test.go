package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is the socket of a service manager.
type manager struct {
	*net.UnixConn
	t *testing.T
}

// newManager listens on a path or an abstract address, and is the one of this
// process's environment.
func newManager(t *testing.T, name string) *manager {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return &manager{c, t}
}

func (m *manager) hears() string {
	m.t.Helper()
	m.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4096)
	n, err := m.Read(b)
	if err != nil {
		m.t.Fatalf("the manager hears nothing: %v", err)
	}
	return string(b[:n])
}

func newNotifier(t *testing.T) *Notifier {
	t.Helper()
	n, err := NewNotifier()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

func TestTheManagerHearsHowTheServiceFares(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@sluice-test-%d", os.Getpid())} {
		m := newManager(t, name)
		n := newNotifier(t)
		for _, c := range []struct {
			tell func() error
			want string
		}{
			{func() error { return n.Ready("serving 0 tunnels") }, "READY=1\nSTATUS=serving 0 tunnels"},
			{n.Reloading, `RELOADING=1\nMONOTONIC_USEC=\d{6,}`},
			{func() error { return n.Ready("two\nlines") }, "READY=1\nSTATUS=two lines"},
			{func() error { return n.Status("serving 12 tunnels") }, "STATUS=serving 12 tunnels"},
			{func() error { return n.Stopping(9*time.Second, "draining, 12 tunnels left") },
				"STOPPING=1\nEXTEND_TIMEOUT_USEC=9000000\nSTATUS=draining, 12 tunnels left"},
		} {
			if err := c.tell(); err != nil {
				t.Fatal(err)
			}
			if got := m.hears(); !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("at %s it hears %q, not %q", name, got, c.want)
			}
		}
	}
}

func TestAManagerThatTakesNothingIsNotWaitedForForLong(t *testing.T) {
	newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := newNotifier(t)
	var err error
	for i := 0; err == nil; i++ { // net.unix.max_dgram_qlen, 10 by default, bounds the queue
		if i == 100000 {
			t.Fatal("the queue has no bound")
		}
		err = n.Status("serving 1 tunnel")
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Fatal(err)
	}
	if err := n.Ready("ready"); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a message that must not be lost ends with %v", err)
	}
}

func TestAMessageThatMustNotBeLostWaitsForAPlace(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := newNotifier(t)
	waiting := 0
	for n.Status("serving 1 tunnel") == nil {
		waiting++
	}
	told := make(chan error, 1)
	go func() { told <- n.Ready("serving 0 tunnels") }()
	for range waiting {
		m.hears()
	}
	if got := m.hears(); !strings.HasPrefix(got, "READY=1") {
		t.Errorf("then it hears %q", got)
	}
	if err := <-told; err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGoneIsToldNothing(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := newNotifier(t)
	m.Close()
	if err := n.Ready("serving 0 tunnels"); err == nil {
		t.Error("it was told")
	}
	newManager(t, os.Getenv("NOTIFY_SOCKET")+"2")
	os.Rename(os.Getenv("NOTIFY_SOCKET"), strings.TrimSuffix(os.Getenv("NOTIFY_SOCKET"), "2"))
	if err := n.Ready("serving 0 tunnels"); err != nil {
		t.Errorf("one that has come anew is not found: %v", err)
	}
}

func TestManyMayTellAtOnceAndAfterTheEnd(t *testing.T) {
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	n := newNotifier(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if err := n.Ready("serving 0 tunnels"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 4 * 50 {
		if got := m.hears(); got != "READY=1\nSTATUS=serving 0 tunnels" {
			t.Errorf("it hears %q", got)
		}
	}
	wg.Wait()
	n.Close()
	if err := n.Ready("serving 0 tunnels"); err != nil {
		t.Error(err)
	}
}

func TestWithoutAManagerNobodyIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := NewNotifier()
	if n != nil || err != nil {
		t.Fatalf("%v, %v", n, err)
	}
	for _, err := range []error{n.Ready("x"), n.Reloading(), n.Status("x"), n.Stopping(time.Second, "x")} {
		if err != nil {
			t.Error(err)
		}
	}
	n.Run(t.Context(), Health{})
	n.Close()
}

func TestAnEnvironmentThatMakesNoSenseIsAnError(t *testing.T) {
	newManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "soon")
	if n, err := NewNotifier(); n != nil || err == nil {
		t.Errorf("%v, %v", n, err)
	}
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("NOTIFY_SOCKET", "notify")
	if n, err := NewNotifier(); n != nil || err == nil {
		t.Errorf("%v, %v", n, err)
	}
}

// watched returns a Notifier whose manager wants to hear at each interval.
func watched(t *testing.T, interval time.Duration) (*manager, *Notifier) {
	t.Helper()
	m := newManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(interval.Microseconds()))
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	return m, newNotifier(t)
}

// running runs the notifier and returns a function that ends it and waits for that.
func running(t *testing.T, n *Notifier, h Health) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { n.Run(ctx, h); close(done) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func TestTheWatchdogHearsOfAHealthyService(t *testing.T) {
	m, n := watched(t, 100*time.Millisecond)
	tunnels := atomic.Int32{}
	stop := running(t, n, Health{
		Check:  func(context.Context) error { return nil },
		Status: func() string { return fmt.Sprintf("serving %d tunnels", tunnels.Load()) },
		Report: func(err error) { t.Error(err) },
	})
	if got := m.hears(); got != "WATCHDOG=1\nSTATUS=serving 0 tunnels" {
		t.Errorf("first it hears %q", got)
	}
	if got := m.hears(); got != "WATCHDOG=1" {
		t.Errorf("then it hears %q", got)
	}
	tunnels.Store(3)
	for got := m.hears(); got != "WATCHDOG=1\nSTATUS=serving 3 tunnels"; got = m.hears() {
		if got != "WATCHDOG=1" {
			t.Errorf("it hears %q", got)
		}
	}
	stop()
}

func TestTheWatchdogHearsNothingOfAServiceThatHangsOrIsIll(t *testing.T) {
	m, n := watched(t, 100*time.Millisecond)
	ill := errors.New("a loop does not answer")
	release, reports := make(chan struct{}), make(chan error, 100)
	var looks atomic.Int32
	stop := running(t, n, Health{
		Check: func(context.Context) error {
			switch looks.Add(1) {
			case 1:
				return ill
			case 2:
				<-release // it heeds no context, as a lock does not
			}
			return nil
		},
		Report: func(err error) { reports <- err },
	})
	if err := <-reports; !errors.Is(err, ill) {
		t.Errorf("reported: %v", err)
	}
	if err := <-reports; !strings.Contains(err.Error(), "no answer for 50ms") {
		t.Errorf("reported: %v", err)
	}
	// The queue of a socket is empty, or it is not: nothing was sent until now.
	m.SetReadDeadline(time.Now().Add(time.Millisecond))
	if k, err := m.Read(make([]byte, 100)); err == nil {
		t.Errorf("it hears %d bytes", k)
	}
	close(release)
	if got := m.hears(); got != "WATCHDOG=1" {
		t.Errorf("healthy again, it hears %q", got)
	}
	stop()
}

func TestTheWatchdogOfAnotherProcessIsNotOurs(t *testing.T) {
	newManager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getppid()))
	if n := newNotifier(t); n.watchdog != 0 {
		t.Errorf("it pings every %v", n.watchdog)
	}
}
