package relay

import (
	"context"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sys/unix"
)

// Poller relays tunnels by a few loops, each of them a goroutine with an epoll set
// of its own. It is safe for concurrent use.
type Poller struct {
	loops []*loop
	mu    sync.Mutex
	next  int
	memory
}

// NewPoller starts that many loops, of which each may use up one processor. aside
// says that the Go scheduler has one processor more for each of them (GOMAXPROCS):
// then they keep it through short waits, which is what makes them fast, and without
// it would starve others. Close the Poller when no tunnel that was given it is left.
func NewPoller(loops int, aside bool) (*Poller, error) {
	p := &Poller{}
	for range loops {
		l, err := newLoop(aside, pipesEach(loops))
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("poller: %w", err)
		}
		p.loops = append(p.loops, l)
	}
	return p, nil
}

// Close ends the goroutines and waits for them.
func (p *Poller) Close() {
	p.mu.Lock()
	p.memory.stop()
	p.mu.Unlock()
	for _, l := range p.loops {
		l.close()
	}
}

// add takes a tunnel in. It says false, and leaves the connections as they are,
// when the kernel has no descriptor or no watch for it. The caller holds t.mu.
func (p *Poller) add(t *Tunnel, client, origin *net.TCPConn, early []byte) bool {
	l := p.loopForNext()
	a, ok := detach(client)
	if !ok {
		return false
	}
	b, ok := detach(origin)
	if !ok {
		unix.Close(a)
		return false
	}
	if len(early) > 0 {
		t.up.paid = t.up.budget.Bucket()
		t.up.held = &held{bytes: early, due: l.charge(t.up.paid, len(early))}
	}
	if !l.seat(t, [2]int32{int32(a), int32(b)}) {
		t.up.paid.Return(len(early)) // goroutines charge for it themselves
		t.up.held = nil
		unix.Close(a)
		unix.Close(b)
		return false
	}
	// Closing takes them out of the runtime's poller; the sockets live on.
	client.Close()
	origin.Close()
	return true
}

// loopForNext deals tunnels out in turn, and keeps count of them.
func (p *Poller) loopForNext() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.loops[p.next%len(p.loops)]
	p.next++
	if p.next%giveBackAfter == 0 {
		n := 0
		for _, l := range p.loops {
			n += l.len()
		}
		p.grown(n)
	}
	return l
}

// detach returns another descriptor of a connection's socket.
func detach(c *net.TCPConn) (fd int, ok bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, false
	}
	err = raw.Control(func(s uintptr) {
		var err error
		fd, err = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 3)
		ok = err == nil
	})
	return fd, ok && err == nil
}

// Answers returns nil when every loop goes round, or the error of ctx when one has
// not in time.
func (p *Poller) Answers(ctx context.Context) error {
	for _, l := range p.loops {
		c := make(chan struct{})
		l.mu.Lock()
		l.asked = append(l.asked, c)
		l.mu.Unlock()
		l.wake()
		select {
		case <-c:
		case <-ctx.Done():
			return fmt.Errorf("a relay loop does not answer: %w", ctx.Err())
		}
	}
	return nil
}
