package egress

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"sluice/internal/crash"
)

// What does not answer the question is not taken for an answer; what answers it in
// an odd way never leads anywhere that is not vetted.
func TestANameServerThatLies(t *testing.T) {
	for what, c := range map[string]struct {
		answer reply
		want   Kind
	}{
		"another identifier": {reply{addrs: []string{"127.0.0.1"}, lie: func(h *dnsmessage.Header, _ *dnsmessage.Question) { h.ID++ }}, ResolverTimeout},
		"another name": {reply{addrs: []string{"127.0.0.1"}, lie: func(_ *dnsmessage.Header, q *dnsmessage.Question) {
			q.Name = dnsmessage.MustNewName("other.test.")
		}}, ResolverTimeout},
		"another type": {reply{addrs: []string{"127.0.0.1"}, lie: func(_ *dnsmessage.Header, q *dnsmessage.Question) {
			q.Type = dnsmessage.TypeTXT
		}}, ResolverTimeout},
		"a question instead of an answer": {reply{addrs: []string{"127.0.0.1"}, lie: func(h *dnsmessage.Header, _ *dnsmessage.Question) {
			h.Response = false
		}}, ResolverTimeout},
		"an alias of itself":         {reply{alias: "name.test."}, NameNotFound},
		"an alias of another":        {reply{alias: "other.test."}, NameNotFound},
		"an alias with addresses in": {reply{alias: "other.test.", addrs: []string{"10.0.0.1"}}, NotPublic},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := serveNames(t, func(question) reply { return c.answer })
			d := through(s)
			d.Timeout = time.Second
			r, e := dialName(t, d, 80)
			failed(t, r, e, c.want)
			if r.Tries != 0 || strings.Contains(e.Sentence, "10.0.0.1") {
				t.Errorf("%d tries, says %q", r.Tries, e.Sentence)
			}
		})
	}
}

// onDoomedThread runs f on a thread of its own that is not used again.
func onDoomedThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		f()
	}()
	<-done
}

// failCalls has the kernel answer a system call of this thread with an error.
func failCalls(number uint32, errno syscall.Errno) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // seccomp_data.nr
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: number, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
}

func TestAKernelThatIsOutOfMemoryIsNotTheOriginsFault(t *testing.T) {
	at, _ := listen(t, "127.0.0.1", 0)
	for number, name := range map[uint32]string{unix.SYS_CONNECT: "connect", unix.SYS_SOCKET: "socket"} {
		for _, errno := range []syscall.Errno{syscall.ENOBUFS, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
			onDoomedThread(func() {
				if err := failCalls(number, errno); err != nil {
					t.Skipf("seccomp(2): %v", err)
				}
				d := Dialer{AllowPrivate: loopbackOnly}
				r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
				failed(t, r, e, ServerFull)
				if e.RetryAfter <= 0 || e.Sentence != "the proxy is out of sockets or ports" {
					t.Errorf("%s, %v: %+v", name, errno, e)
				}
			})
		}
	}
	d := Dialer{AllowPrivate: loopbackOnly} // and it is over by itself
	r, e := d.Dial(t.Context(), Target{Host: host(t, "127.0.0.1"), Port: at.Port()})
	connected(t, r, e)
}

func TestANetworkThatGoesAwayAndComesBack(t *testing.T) {
	const address = "198.51.100.1"
	ip := func(args ...string) {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Errorf("ip %v: %s", args, out)
		}
	}
	inNewNamespace(t, `
		ip link set lo up
		ip address add `+address+`/24 dev lo`, func() {
		at, conns := listen(t, address, 0)
		d := Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix(address + "/32")}}
		target := Target{Host: host(t, address), Port: at.Port()}
		before, e := d.Dial(t.Context(), target)
		connected(t, before, e)
		far := <-conns
		defer far.Close()

		ip("address", "del", address+"/24", "dev", "lo")
		r, e := d.Dial(t.Context(), target)
		failed(t, r, e, Unroutable)
		if e.Sentence != "no route to "+at.String() {
			t.Errorf("says %q", e.Sentence)
		}
		if _, err := before.Conn.Write([]byte("sent while away")); err != nil {
			t.Errorf("an open connection ends: %v", err)
		}

		ip("address", "add", address+"/24", "dev", "lo")
		r, e = d.Dial(t.Context(), target)
		connected(t, r, e)
		far.SetDeadline(time.Now().Add(20 * time.Second))
		got := make([]byte, len("sent while away"))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != "sent while away" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// faulty is a context that panics when a dial or a look-up asks it for a trace,
// which they do on goroutines of their own.
type faulty struct {
	context.Context
	of string
}

func (f faulty) Value(key any) any {
	if strings.Contains(fmt.Sprintf("%T", key), f.of) {
		panic("a fault")
	}
	return f.Context.Value(key)
}

func TestAPanicOfAGoroutineEndsTheDialThatItWorksFor(t *testing.T) {
	at, _ := listen(t, "127.0.0.1", 0)
	names := serveAddrs(t, "127.0.0.1", "127.0.0.2")
	silent := serveNames(t, func(question) reply { return reply{silent: true} })
	for what, c := range map[string]struct {
		of        string
		resolvers []netip.AddrPort
	}{
		"connecting":                {"nettrace.TraceKey", []netip.AddrPort{names.addr}},
		"asking a name server":      {"nettrace.LookupIPAltResolverKey", []netip.AddrPort{names.addr}},
		"asking one of several":     {"nettrace.LookupIPAltResolverKey", []netip.AddrPort{silent.addr, names.addr}},
		"asking the system's hosts": {"nettrace.LookupIPAltResolverKey", nil},
	} {
		t.Run(what, func(t *testing.T) {
			d := Dialer{AllowPrivate: loopbackOnly, Resolver: c.resolvers}
			defer func() {
				p := crash.Recovered(recover())
				if p == nil || p.Value != "a fault" || !strings.Contains(string(p.Stack), "faulty.Value") {
					t.Errorf("recovered %+v", p)
				}
			}()
			r, e := d.Dial(faulty{t.Context(), c.of}, Target{Host: host(t, "name.test"), Port: at.Port()})
			t.Errorf("no panic: %+v, %v", r, e)
		})
	}
}

func TestAPanicOfTheResolversOwnGoroutineIsRaised(t *testing.T) {
	var b crash.Box
	r := resolverAt(netip.MustParseAddrPort("127.0.0.1:53"), &b)
	conn, err := r.Dial(faulty{t.Context(), "nettrace.TraceKey"}, "udp", "ignored:53")
	if conn != nil || err == nil {
		t.Errorf("got %v, %v", conn, err)
	}
	defer func() {
		if p := crash.Recovered(recover()); p == nil || p.Value != "a fault" {
			t.Errorf("recovered %v", p)
		}
	}()
	b.Raise()
	t.Error("nothing was raised")
}
