package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/crash"
)

const (
	// attemptDelay is the head start of each attempt over the next
	// ("Connection Attempt Delay", RFC 8305, section 5).
	attemptDelay = 250 * time.Millisecond
	// resolutionDelay is how long IPv4 addresses wait for the IPv6 ones
	// ("Resolution Delay", RFC 8305, section 3).
	resolutionDelay = 50 * time.Millisecond
)

// race is the way from a name to a connection: look-ups and attempts run beside
// each other, and one goroutine, the one that called Dial, keeps account of
// them.
type race struct {
	*call
	answers  chan looked
	outcomes chan outcome
	second   family          // of the look-up that may have to wait for the other's answer
	held     bool            // it waits
	todo     [2][]netip.Addr // vetted and not yet tried, by family
	last     family          // of the last attempt
	pending  int             // look-ups without an answer
	running  int             // attempts without an outcome
	next     time.Time       // when the next attempt may begin
	plain    bool            // the one socket that needs no place in Extra is in use
}

// looked is the answer of a look-up, and outcome that of an attempt; extra says
// that it had a place in Extra, which it has given back.
type looked struct {
	found
	extra bool
}

type outcome struct {
	conn  *net.TCPConn
	addr  netip.Addr
	err   error
	extra bool
}

// name dials a name. What is returned is the first connection made; the others
// are cancelled, and closed if they come all the same.
func (c *call) name(parent context.Context) (Result, *Error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	r := race{call: c, answers: make(chan looked, 2), outcomes: make(chan outcome), second: v6}
	if c.Prefer == IPv6 {
		r.second = v4
	}
	r.ask(ctx, r.second.other())
	r.held = !r.ask(ctx, r.second)
	timer := time.NewTimer(time.Until(c.deadline))
	defer timer.Stop()
	for {
		now := time.Now()
		switch {
		case !now.Before(c.deadline):
			r.late()
			return c.end(parent, nil, netip.Addr{})
		case r.left() == 0 && r.pending == 0 && r.running == 0:
			return c.end(parent, nil, netip.Addr{})
		case !r.ready(now):
		case r.left() == 1 && r.pending == 0 && r.running == 0:
			a := r.pick()
			r.begin(now)
			return c.only(parent, a)
		default:
			r.start(ctx, now)
			continue
		}
		timer.Reset(time.Until(r.wake()))
		select {
		case a := <-r.answers:
			raise(a.err)
			r.free(a.extra)
			r.answered(a.found)
			if r.held && r.left() == 0 {
				r.ask(ctx, r.second)
			}
			r.held = false
		case o := <-r.outcomes:
			r.free(o.extra)
			if o.conn != nil {
				return c.end(parent, o.conn, o.addr)
			}
			raise(o.err)
			r.running--
			r.note(dialCause(o.err, o.addr), o.addr, o.err)
			r.next = time.Time{} // the next begins at once
		case <-timer.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				r.late()
			}
			return c.end(parent, nil, netip.Addr{})
		}
	}
}

// socket asks for one more socket, of which a dial has one for itself. Who gets one
// frees it.
func (r *race) socket() (extra, ok bool) {
	if !r.plain {
		r.plain = true
		return false, true
	}
	return true, r.Extra.take()
}

// free notes that a socket is not in use any more. One that is extra was given back
// where its use ended, for the race may be over by then.
func (r *race) free(extra bool) {
	if !extra {
		r.plain = false
	}
}

// ask looks one family up, if there is a socket for that.
func (r *race) ask(ctx context.Context, f family) bool {
	extra, ok := r.socket()
	if !ok {
		return false
	}
	r.pending++
	go func() {
		a := guarded(f, func() found { return r.lookup(ctx, f, r.Host.Name()) })
		if extra {
			r.Extra.giveBack()
		}
		r.answers <- looked{a, extra}
	}()
	return true
}

// answered takes in the answer of one look-up: its addresses are vetted, and
// stand in the queue of their family. Before the first attempt the preferred
// family does not wait for the other one, which waits a little.
func (r *race) answered(a found) {
	r.pending--
	if a.err != nil {
		r.note(lookupCause(a.err), netip.Addr{}, a.err)
	}
	for _, addr := range a.addrs {
		addr = addr.Unmap()
		list := &r.todo[familyOf(addr)]
		if len(*list) < maxTries && !slices.Contains(*list, addr) && r.vet(addr) {
			*list = append(*list, addr)
		}
	}
	if r.res.Tries > 0 {
		return
	}
	first := v6
	if r.Prefer == IPv4 {
		first = v4
	}
	r.next = time.Time{}
	if r.pending > 0 && a.family != first {
		r.next = time.Now().Add(resolutionDelay)
	}
}

// left is the number of addresses that may still be tried.
func (r *race) left() int {
	return min(len(r.todo[v4])+len(r.todo[v6]), maxTries-r.res.Tries)
}

// ready tells whether an attempt may begin.
func (r *race) ready(now time.Time) bool { return r.left() > 0 && !now.Before(r.next) }

// wake is when to look again if nothing happens.
func (r *race) wake() time.Time {
	if r.left() > 0 && r.next.Before(r.deadline) {
		return r.next
	}
	return r.deadline
}

// pick takes the next address out of the queues, the families in turn.
func (r *race) pick() netip.Addr {
	f := r.last.other()
	if r.res.Tries == 0 {
		f = r.firstFamily()
	}
	if len(r.todo[f]) == 0 {
		f = f.other()
	}
	a := r.todo[f][0]
	r.todo[f], r.last = r.todo[f][1:], f
	return a
}

func (r *race) firstFamily() family {
	switch {
	case len(r.todo[v6]) == 0 || r.Prefer == IPv4:
		return v4
	case len(r.todo[v4]) == 0 || r.Prefer == IPv6 || prefers6(r.todo[v6][0]):
		return v6
	}
	return v4
}

// start begins an attempt, if there is a socket for one beside others. When little
// time is left, the addresses share it.
func (r *race) start(ctx context.Context, now time.Time) {
	extra, ok := r.socket()
	if !ok {
		r.next = now.Add(attemptDelay)
		return
	}
	a := r.pick()
	r.begin(now)
	r.running++
	r.next = now.Add(min(attemptDelay, r.deadline.Sub(now)/time.Duration(r.left()+1)))
	go func() {
		conn, err := r.attempt(ctx, a)
		if extra {
			r.Extra.giveBack()
		}
		select {
		case r.outcomes <- outcome{conn, a, err, extra}:
		case <-ctx.Done(): // Dial has returned
			if conn != nil {
				_ = conn.Close()
			}
		}
	}()
}

// attempt makes an error of a panic, which would end the process here.
func (r *race) attempt(ctx context.Context, a netip.Addr) (conn *net.TCPConn, err error) {
	defer func() {
		if p := crash.Recovered(recover()); p != nil {
			err = p
		}
	}()
	return r.connect(ctx, a)
}

// raise panics anew with an error that was a panic on a goroutine of this dial:
// the one that called Dial answers for the request.
func raise(err error) {
	if p, ok := err.(*crash.Panic); ok {
		panic(p)
	}
}

// late notes what was not done when the time was up.
func (r *race) late() {
	if r.pending > 0 {
		r.note(resolverSlow, netip.Addr{}, context.DeadlineExceeded)
	}
	if r.running > 0 || r.left() > 0 {
		r.note(noAnswer, netip.Addr{}, fmt.Errorf("%d attempts without an answer: %w", r.running, context.DeadlineExceeded))
	}
}
