package relay

import "golang.org/x/sys/unix"

// moved counts bytes that the receiver's kernel has.
func (l *loop) moved(t *Tunnel, f *flow, n int) {
	f.count.Add(int64(n))
	t.moved.Store(l.now)
}

// send writes bytes from memory, or holds them until they can be. It says false
// when the direction cannot go on now.
func (l *loop) send(t *Tunnel, f *flow, from Side, p []byte, due int64) bool {
	if due == 0 {
		n, err := l.write(t, f, from, p)
		if err == nil {
			return true
		}
		if err != unix.EAGAIN {
			t.broken(other(from), err)
			return false
		}
		p = p[n:]
	}
	f.held = &held{bytes: append([]byte(nil), p...)}
	if due > 0 {
		l.wait(t, f, from, due)
	} else {
		t.block(f, from)
	}
	return false
}

// write writes all of p, unless an error stops it, among them EAGAIN.
func (l *loop) write(t *Tunnel, f *flow, from Side, p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(t.seat.fd(other(from)), p[done:])
		if n > 0 {
			l.moved(t, f, n)
			done += n
		} else if err != unix.EINTR {
			return done, err
		}
	}
	return done, nil
}

// drain empties a pipe into the receiver, else holds it. It says false when the
// direction cannot go on now.
func (l *loop) drain(t *Tunnel, f *flow, from Side, p pipe, n int) bool {
	for n > 0 {
		k, err := splice(p.r, t.seat.fd(other(from)), n)
		switch {
		case k > 0:
			l.moved(t, f, k)
			n -= k
		case err == unix.EAGAIN:
			f.held = &held{pipe: p, n: n}
			t.block(f, from)
			return false
		default:
			l.closePipe(p)
			f.held = nil
			t.broken(other(from), err)
			return false
		}
	}
	f.held = nil
	l.putPipe(p)
	return true
}

// flush sends what is held. It says false when the direction cannot go on now.
func (l *loop) flush(t *Tunnel, f *flow, from Side) bool {
	h := f.held
	if h.due > 0 {
		due := h.due
		h.due = 0
		if due > l.now {
			l.wait(t, f, from, due)
			return false
		}
	}
	if h.n > 0 {
		return l.drain(t, f, from, h.pipe, h.n)
	}
	n, err := l.write(t, f, from, h.bytes)
	h.bytes = h.bytes[n:]
	switch {
	case err == nil:
		f.held = nil
		return true
	case err == unix.EAGAIN:
		t.block(f, from)
	default:
		t.broken(other(from), err)
	}
	return false
}

// block waits for room at the receiver. The kernel is asked to tell of it from the
// first time on, and tells only who was refused before (SOCK_NOSPACE).
func (t *Tunnel) block(f *flow, from Side) {
	f.stuck = true
	to := other(from)
	t.see(to, t.seat.watch[to-Client]|room)
}
