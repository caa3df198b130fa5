package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// restAfter is how long a tunnel without bytes stays active.
const restAfter = 100 * time.Millisecond

// smallMessages is how many messages in a row that fit into a buffer make a
// tunnel rest although it is not quiet.
const smallMessages = 16

// active is a tunnel while goroutines move its bytes.
type active struct {
	t        *Tunnel
	up, down direction
	timer    *time.Timer
	stop     chan struct{} // closed by cut; nil without budgets
	running  int           // directions under way; guarded by t.mu
	// leaving asks both directions to return as soon as they hold no bytes.
	leaving atomic.Bool
}

// direction moves bytes one way.
type direction struct {
	mover
	a       *active
	from    Side
	flow    *flow
	busy    atomic.Bool // bytes are in hand
	away    bool        // returned because of leaving; guarded by t.mu
	backlog backlog
	small   int
}

// backlog is what a direction finds when it starts: bytes that were read but not
// yet written, and for how long the budget that they are charged to makes them
// wait.
type backlog struct {
	from    Side
	bytes   []byte
	charged bool
	wait    time.Duration
}

// activate starts the goroutines of the directions that have not ended; the
// caller holds mu.
func (t *Tunnel) activate(client, origin *net.TCPConn, b backlog) {
	a := &active{t: t}
	t.active = a
	if t.up.bucket != nil || t.down.bucket != nil {
		a.stop = make(chan struct{})
	}
	a.up.init(a, client, origin, Client)
	a.down.init(a, origin, client, Origin)
	if b.from == Client {
		a.up.backlog = b
	} else {
		a.down.backlog = b
	}
	if d := a.patience(); d > 0 {
		a.timer = time.AfterFunc(d, a.check)
	}
	for _, d := range [2]*direction{&a.up, &a.down} {
		if !d.flow.closed.Load() {
			a.running++
			go d.run()
		}
	}
}

func (d *direction) init(a *active, src, dst *net.TCPConn, from Side) {
	d.a, d.from, d.flow = a, from, a.t.flowFrom(from)
	d.mover.init(src, dst, d.flow.bucket, &d.flow.count)
	d.moved, d.stop, d.holding = &a.t.moved, a.stop, d.hold
	d.halfClosed = &a.t.flowFrom(other(from)).closed
}

// patience is how long to wait before looking at the tunnel again.
func (a *active) patience() time.Duration {
	if a.t.poller != nil {
		return restAfter
	}
	return a.t.idle
}

// check ends a tunnel that is idle, and lets one that is quiet rest.
func (a *active) check() {
	t := a.t
	defer t.recovered()
	quiet := t.quiet()
	if t.idle > 0 && quiet >= t.idle {
		t.abort(Caller, ByIdle, nil)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.active != a || t.cut {
		return
	}
	next := a.patience()
	if t.poller != nil && quiet >= restAfter {
		a.leave()
	} else {
		next -= quiet
	}
	if t.idle > 0 {
		next = min(next, t.idle-quiet)
	}
	a.timer.Reset(next)
}

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// leave asks both directions to return, unless one has bytes in hand: it may wait
// long for its receiver or its budget, and what it has been charged for must move.
// As in hold, leaving is said before busy is looked at. The caller holds mu.
func (a *active) leave() {
	if a.leaving.Load() {
		return
	}
	a.leaving.Store(true)
	if a.up.busy.Load() || a.down.busy.Load() {
		a.leaving.Store(false)
		return
	}
	a.up.src.SetReadDeadline(past)
	a.down.src.SetReadDeadline(past)
}

// stay takes leave back, because a direction has bytes in hand and may be a long
// time with them; one that has returned already is started anew. The caller
// holds mu.
func (a *active) stay() {
	if !a.leaving.Load() || a.t.cut {
		return
	}
	a.leaving.Store(false)
	a.up.src.SetReadDeadline(time.Time{})
	a.down.src.SetReadDeadline(time.Time{})
	for _, d := range [2]*direction{&a.up, &a.down} {
		if d.away {
			d.away = false
			a.running++
			go d.run()
		}
	}
}

// cut resets both connections. Closing wakes whatever waits on them. The caller
// holds mu.
func (a *active) cut() {
	if a.stop != nil {
		close(a.stop)
	}
	for _, c := range [2]*net.TCPConn{a.up.src, a.down.src} {
		c.SetLinger(0) // close by RST, dropping what is unsent
		c.Close()
	}
}

func (d *direction) run() {
	defer d.a.t.recovered()
	b := d.backlog
	d.backlog = backlog{}
	err := d.clear(b)
	for err == nil {
		var n int64
		if n, err = d.move(1 << 62); n > 0 {
			d.chatty(n)
		}
	}
	d.returned(err)
}

// clear writes what was read before the direction began.
func (d *direction) clear(b backlog) error {
	if len(b.bytes) == 0 {
		return nil
	}
	d.hold(true)
	defer d.hold(false)
	if !b.charged {
		return d.write(b.bytes)
	}
	if err := d.sleep(b.wait); err != nil {
		return err
	}
	return d.send(b.bytes)
}

// chatty counts small messages, and asks for rest when there is nothing else.
func (d *direction) chatty(n int64) {
	if n >= bufferSize {
		d.small = 0
		return
	}
	if d.small++; d.small%smallMessages == 0 && d.a.t.poller != nil {
		d.a.t.mu.Lock()
		defer d.a.t.mu.Unlock()
		if d.a.t.active == d.a && !d.a.t.cut {
			d.a.leave()
		}
	}
}

// hold says that the direction has bytes in hand, or no longer. It is said before
// leaving is looked at, and leaving before busy is: so either this direction sees
// that the other is about to return, or that one sees that it must not.
func (d *direction) hold(on bool) {
	d.busy.Store(on)
	if on && d.a.leaving.Load() {
		d.a.t.mu.Lock()
		defer d.a.t.mu.Unlock()
		d.a.stay()
	}
}

// returned is the end of a direction's goroutine, or of its turn.
func (d *direction) returned(err error) {
	t := d.a.t
	t.mu.Lock()
	defer t.mu.Unlock()
	d.busy.Store(false)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		if d.mayNotLeave() {
			go d.run()
			return
		}
		d.away = true
	case err == io.EOF:
		d.passEnd()
	case errors.Is(err, net.ErrClosed):
		// Cut, which has said why.
	default:
		d.fail(err)
	}
	d.a.running--
	if d.a.running == 0 {
		d.a.done()
	}
}

// mayNotLeave tells whether the other direction needs this one to go on. The
// caller holds mu.
func (d *direction) mayNotLeave() bool {
	a := d.a
	if a.t.cut {
		return false
	}
	if a.up.busy.Load() || a.down.busy.Load() {
		a.stay()
	}
	return !a.leaving.Load()
}

// done is the end of the last goroutine: the tunnel has ended, or goes to rest.
// The caller holds mu.
func (a *active) done() {
	t := a.t
	if a.timer != nil {
		a.timer.Stop()
	}
	if t.cut || !a.up.away && !a.down.away {
		t.active = nil
		a.up.src.Close()
		a.down.src.Close()
		t.finish()
		return
	}
	if t.poller.add(t, a.up.src, a.down.src) {
		t.active = nil
		return
	}
	a.timer.Reset(restAfter)
	a.stay()
}

// passEnd passes a FIN on; the other direction stays open (RFC 9293, section
// 3.6). A tunnel that is being cut sends none, for its end is not a clean one. An
// error here means that the other side is gone, which its own direction finds
// out. The caller holds mu.
func (d *direction) passEnd() {
	if d.a.t.cut {
		return
	}
	d.a.t.note(d.from, ByFIN, nil)
	d.flow.closed.Store(true)
	d.dst.CloseWrite()
}

// fail passes a broken connection on: the other side gets a reset as well. The
// caller holds mu.
func (d *direction) fail(err error) {
	side := d.from
	var w *writeError
	if errors.As(err, &w) {
		side = other(side)
	}
	if isReset(err) {
		d.a.t.abortLocked(side, ByReset, nil)
		return
	}
	d.a.t.abortLocked(side, ByError, err)
}

// isReset tells whether the peer reset its connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// writeError marks an error of the receiving side.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }
