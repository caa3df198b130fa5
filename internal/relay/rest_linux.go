package relay

import (
	"net"

	"golang.org/x/sys/unix"
)

// rest is what a tunnel at rest has in place of its connections: two sockets that
// the Go runtime's poller does not know. The zero value is not at rest.
type rest struct {
	loop *loop // nil: not at rest
	place
	fds [2]int32 // client, origin
}

func (r *rest) resting() bool { return r.loop != nil }

func (r *rest) fd(s Side) int { return int(r.fds[s-Client]) }

// readsAtOnce bounds how many buffers of one tunnel are relayed before others get
// their turn: more than that is bulk, and better spliced.
const readsAtOnce = 4

// ready is called by the loop when a socket of a tunnel at rest has something to
// say. What can be relayed without waiting is.
func (t *Tunnel) ready(p place, from Side, events uint32, buf []byte) {
	defer t.recovered()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.rest.resting() || t.rest.place != p {
		return // it left since the kernel was asked
	}
	f := t.flowFrom(from)
	if f.closed.Load() {
		if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
			t.abortLocked(from, ByReset, nil)
		}
		return
	}
	buf = buf[:min(len(buf), f.bucket.Chunk())]
	for range readsAtOnce {
		n, err := unix.Read(t.rest.fd(from), buf)
		switch {
		case n > 0:
			if !t.pass(f, from, buf[:n]) {
				return
			}
			if n < len(buf) && events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
				return // epoll(7): a short read has emptied the socket
			}
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
		case err != nil:
			t.broken(from, err)
			return
		default:
			t.restEnd(f, from, events)
			return
		}
	}
	t.wake(from, backlog{from: from})
}

// pass sends what was read to the other side. It says false when the tunnel is
// not at rest any more.
func (t *Tunnel) pass(f *flow, from Side, p []byte) bool {
	wait := f.bucket.Take(len(p))
	n := 0
	if wait <= 0 {
		var err error
		n, err = unix.Write(t.rest.fd(other(from)), p)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			t.broken(other(from), err)
			return false
		}
		n = max(n, 0)
		f.count.Add(int64(n))
		t.moved.Store(sinceEpoch())
	}
	if n == len(p) {
		return true
	}
	rest := append([]byte(nil), p[n:]...)
	t.wake(from, backlog{from: from, bytes: rest, charged: true, wait: wait})
	return false
}

func (t *Tunnel) broken(side Side, err error) {
	if isReset(err) {
		t.abortLocked(side, ByReset, nil)
		return
	}
	t.abortLocked(side, ByError, err)
}

// restEnd passes the end of a side on. As for active tunnels, an end that comes
// with a hang-up is a reset whose error another call was told, unless this side
// was shut down as well.
func (t *Tunnel) restEnd(f *flow, from Side, events uint32) {
	back := t.flowFrom(other(from))
	if !back.closed.Load() && events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		t.abortLocked(from, ByReset, nil)
		return
	}
	t.note(from, ByFIN, nil)
	f.closed.Store(true)
	if back.closed.Load() {
		t.leaveRest(false)
		t.finish()
		return
	}
	unix.Shutdown(t.rest.fd(other(from)), unix.SHUT_WR)
}

// wake makes a tunnel at rest active.
func (t *Tunnel) wake(from Side, b backlog) {
	r := t.rest
	r.loop.remove(r)
	t.rest = rest{}
	client, err1 := r.loop.conn(int(r.fds[0]))
	origin, err2 := r.loop.conn(int(r.fds[1]))
	if err1 == nil && err2 == nil {
		t.activate(client, origin, b)
		return
	}
	for _, c := range [2]*net.TCPConn{client, origin} {
		if c != nil {
			c.SetLinger(0)
			c.Close()
		}
	}
	t.cut = true
	t.note(Nobody, ByError, firstOf(err1, err2))
	t.finish()
}

func firstOf(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// leaveRest closes the sockets of a tunnel at rest, by a reset if asked to.
func (t *Tunnel) leaveRest(reset bool) {
	r := t.rest
	r.loop.remove(r)
	t.rest = rest{}
	for _, fd := range r.fds {
		if reset {
			closeByReset(int(fd))
		} else {
			unix.Close(int(fd))
		}
	}
}

// crashRest resets the sockets of a tunnel at rest. It leaves its slot alone,
// whose state may be what the panic came from; closing ends the watch.
func (t *Tunnel) crashRest() {
	fds := t.rest.fds
	t.rest = rest{}
	for _, fd := range fds {
		closeByReset(int(fd))
	}
}

func closeByReset(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	unix.Close(fd)
}

// checkIdle ends a tunnel that has rested for too long.
func (t *Tunnel) checkIdle() {
	defer t.recovered()
	if t.idle > 0 && t.quiet() >= t.idle {
		t.abort(Caller, ByIdle, nil)
	}
}
