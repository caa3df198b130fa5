package relay

import (
	"golang.org/x/sys/unix"

	"sluice/internal/limit"
)

// moving is the state of a direction in a loop. It is guarded by the tunnel's mu.
type moving struct {
	paid   *limit.Bucket // the one that was charged last, for what is held or credited
	due    int64         // when what it waits for is there, since epoch; of a direction that waits
	held   *held         // what was read and not yet written; nil: nothing
	credit int           // bytes that the budget was charged for and that are not read yet
	bulk   bool          // bytes come faster than buffers drain: splice
	scarce bool          // the budget made it wait: ask before reading
	hup    bool          // the source has told of its end
	hung   bool          // the source is gone both ways
	urgent bool          // the source has sent urgent data, which splice(2) does not get past (tcp(7))
	queued bool          // it has a turn coming
	waits  bool          // for the budget: a timer is set
	stuck  bool          // the receiver takes nothing more
}

// held is bytes on their way: in memory, or else in a pipe.
type held struct {
	bytes []byte
	pipe  pipe
	n     int   // bytes in the pipe
	due   int64 // when the budget lets them go, since epoch; 0: at once
}

// drop forgets what is held; l is the loop that it was read by.
func (h *held) drop(l *loop) {
	if h != nil && h.n > 0 {
		l.closePipe(h.pipe)
	}
}

// refund gives the budget back what was taken from it and will not move.
func (f *flow) refund() {
	if h := f.held; h != nil && (f.waits || h.due > 0) {
		f.paid.Return(len(h.bytes))
	}
	f.paid.Return(f.credit)
	f.credit = 0
}

// spliceAtOnce is how much one turn moves at most.
const spliceAtOnce = 512 << 10

// told is called when the kernel has news of a side. It does not wait for a tunnel
// that another goroutine has in hand: one may lose its processor in Start, and all
// tunnels of the loop would stand still until it has one again.
func (l *loop) told(t *Tunnel, p place, side Side, events uint32) {
	defer t.recovered()
	if !t.mu.TryLock() {
		l.late = append(l.late, func() { l.told(t, p, side, events) }) // Start is not done yet
		return
	}
	defer t.mu.Unlock()
	if t.seat.place != p || !t.seat.taken() {
		return // it left since the kernel was asked
	}
	t.served = l
	defer t.unserved()
	if events&unix.EPOLLOUT != 0 {
		if f := t.flowFrom(other(side)); f.stuck {
			f.stuck = false
			if l.serve(t, f, other(side)); !t.seat.taken() {
				return
			}
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	f := t.flowFrom(side)
	f.hup = f.hup || events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
	f.hung = f.hung || events&(unix.EPOLLHUP|unix.EPOLLERR) != 0
	f.urgent = f.urgent || events&unix.EPOLLPRI != 0
	switch {
	case f.closed.Load():
		if f.hung {
			t.abortLocked(side, ByReset, nil)
		}
	case f.held == nil && !f.waits && !f.queued:
		l.serve(t, f, side)
	case events&unix.EPOLLERR != 0:
		// It cannot be read now, and its peer need not be kept waiting.
		if code, err := unix.GetsockoptInt(t.seat.fd(side), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code != 0 {
			t.broken(side, unix.Errno(code))
		}
	}
}

// serve gives a quiet direction its turn now, and a busy one when it comes to it.
func (l *loop) serve(t *Tunnel, f *flow, from Side) {
	if f.bulk {
		l.queue(t, f, from)
	} else {
		l.step(t, f, from)
	}
}

func (t *Tunnel) unserved() { t.served = nil }

// turn is called for a direction whose turn or time has come.
func (l *loop) turn(w turn, waited bool) {
	t := w.t
	defer t.recovered()
	if !t.mu.TryLock() {
		l.late = append(l.late, func() { l.turn(w, waited) })
		return
	}
	defer t.mu.Unlock()
	if t.seat.place != w.place || !t.seat.taken() {
		return
	}
	t.served = l
	defer t.unserved()
	f := t.flowFrom(w.from)
	if waited {
		if l.waitOn(t, f, w.from) {
			return
		}
		f.waits = false
	} else {
		f.queued = false
	}
	l.step(t, f, w.from)
}

// queue gives a direction another turn.
func (l *loop) queue(t *Tunnel, f *flow, from Side) {
	if !f.queued {
		f.queued = true
		l.busy.push(turn{t, t.seat.place, from})
	}
}

// longWait is from which wait for a budget on the source is not listened to: its
// peer would wake the loop for each segment that finds room. In nanoseconds.
const longWait = 1_500_000

// wait lets a direction go on when its budget allows.
func (l *loop) wait(t *Tunnel, f *flow, from Side, due int64) {
	f.waits, f.due = true, due
	l.timers.push(turn{t, t.seat.place, from}, min(due, l.now+int64(lookAgain)))
	if due-l.now > longWait {
		t.see(from, t.seat.watch[from-Client]&^news)
	}
}

// waitOn goes on waiting when it was only time to look whether the limits have
// changed, and they have not.
func (l *loop) waitOn(t *Tunnel, f *flow, from Side) bool {
	if f.due <= l.now || f.budget.Bucket() != f.paid {
		return false
	}
	l.timers.push(turn{t, t.seat.place, from}, min(f.due, l.now+int64(lookAgain)))
	return true
}

// charge takes n bytes, at most a chunk at once, from a bucket and returns when
// they may go; 0: at once.
func (l *loop) charge(b *limit.Bucket, n int) int64 {
	due := int64(0)
	for n > 0 {
		k := min(n, b.Chunk())
		n -= k
		if wait := b.Take(k); wait > 0 {
			due = sinceEpoch() + int64(wait)
		}
	}
	return due
}

// step moves what can be moved one way without waiting, but no more than a turn.
// The caller holds mu, and the tunnel may have ended afterwards.
func (l *loop) step(t *Tunnel, f *flow, from Side) {
	if f.waits || f.stuck || f.held != nil && !l.flush(t, f, from) || f.closed.Load() {
		return
	}
	if (f.bulk || f.scarce) && !f.urgent {
		l.stepKnown(t, f, from)
	} else {
		l.stepRead(t, f, from)
	}
}

// stepRead reads into memory, which is the cheapest way for a few bytes, and
// charges for what it got.
func (l *loop) stepRead(t *Tunnel, f *flow, from Side) {
	for range 2 {
		b := f.budget.Bucket()
		p := l.buf[:min(len(l.buf), b.Chunk())]
		n, err := unix.Read(t.seat.fd(from), p)
		switch {
		case n > 0:
			due := int64(0)
			if b != nil {
				f.paid = b
				due = l.charge(b, n)
				f.scarce = due > 0
			}
			if !l.send(t, f, from, p[:n], due) {
				return
			}
			if n == len(l.buf) {
				f.bulk = true
				l.queue(t, f, from)
				return
			}
			if n < len(p) && !f.hup && !f.urgent {
				l.drained(t, from) // epoll(7): a short read has emptied the socket
				return
			}
		case err == unix.EAGAIN:
			l.drained(t, from)
			return
		case err == unix.EINTR:
		case err != nil:
			t.broken(from, err)
			return
		default:
			t.sourceEnded(f, from)
			return
		}
	}
	l.queue(t, f, from)
}

// drained listens to a source again.
func (l *loop) drained(t *Tunnel, from Side) {
	t.see(from, t.seat.watch[from-Client]|news)
}

// stepKnown asks the kernel how many bytes there are, charges the budget for as
// many as may go, and moves just those.
func (l *loop) stepKnown(t *Tunnel, f *flow, from Side) {
	there, err := unix.IoctlGetInt(t.seat.fd(from), unix.TIOCINQ)
	if err != nil || there == 0 {
		l.stepRead(t, f, from) // which finds out why
		return
	}
	n := there
	if b := f.budget.Bucket(); b != nil {
		if f.credit == 0 {
			f.paid = b
			f.credit = min(n, b.Chunk())
			wait := b.Take(f.credit)
			if f.scarce = wait > 0; f.scarce {
				l.wait(t, f, from, l.now+int64(wait))
				return
			}
		}
		n = min(n, f.credit)
	} else {
		f.scarce = false
	}
	f.bulk = there >= bufferSize
	n, ok := l.move(t, f, from, min(n, spliceAtOnce))
	f.credit = max(0, f.credit-n)
	switch {
	case !ok:
	case n == there && !f.hup:
		l.drained(t, from) // what has come since is told
	default:
		l.queue(t, f, from)
	}
}

// move relays n bytes that are there and charged for. It says false when the
// direction cannot go on now.
func (l *loop) move(t *Tunnel, f *flow, from Side, n int) (int, bool) {
	var p pipe
	var err error
	spliced := false
	if n >= bufferSize {
		p, spliced = l.takePipe()
	}
	if !spliced {
		n, err = unix.Read(t.seat.fd(from), l.buf[:min(n, len(l.buf))])
		if n > 0 {
			return n, l.send(t, f, from, l.buf[:n], 0)
		}
	} else {
		n, err = splice(t.seat.fd(from), p.w, n)
		if n > 0 {
			return n, l.drain(t, f, from, p, n)
		}
		l.putPipe(p)
	}
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, true
	case err != nil:
		t.broken(from, err)
	default:
		t.sourceEnded(f, from)
	}
	return 0, false
}

// sourceEnded passes the end of a side on; the other direction stays open (RFC
// 9293, section 3.6). The kernel tells of a reset once, to whichever call comes
// first, and an end that comes with a hang-up is one that a write was told of,
// unless this side was shut down as well. The caller holds mu.
func (t *Tunnel) sourceEnded(f *flow, from Side) {
	back := t.flowFrom(other(from))
	if f.hung && !back.closed.Load() {
		t.abortLocked(from, ByReset, nil)
		return
	}
	t.note(from, ByFIN, nil)
	f.closed.Store(true)
	if back.closed.Load() {
		t.leave(false)
		t.finish()
		return
	}
	unix.Shutdown(t.seat.fd(other(from)), unix.SHUT_WR)
}
