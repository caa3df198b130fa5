package relay

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// copying is a tunnel that goroutines relay, one for each direction: where there is
// no Poller, or no descriptor to be watched by it.
type copying struct {
	t        *Tunnel
	up, down direction
	timer    *time.Timer   // nil without an idle timeout
	stop     chan struct{} // closed by cut
	running  int           // directions under way; guarded by t.mu
}

// direction moves bytes one way.
type direction struct {
	mover
	c     *copying
	from  Side
	flow  *flow
	early []byte
}

// copy starts the goroutines; the caller holds mu.
func (t *Tunnel) copy(client, origin *net.TCPConn, early []byte) {
	c := &copying{t: t, stop: make(chan struct{}), running: 2}
	t.copying = c
	c.up.init(c, client, origin, Client)
	c.down.init(c, origin, client, Origin)
	c.up.early = early
	if t.idle > 0 {
		c.timer = time.AfterFunc(t.idle, c.check)
	}
	go c.up.run()
	go c.down.run()
}

func (d *direction) init(c *copying, src, dst *net.TCPConn, from Side) {
	d.c, d.from, d.flow = c, from, c.t.flowFrom(from)
	d.mover.init(src, dst, d.flow.budget, &d.flow.count)
	d.moved, d.stop = &c.t.moved, c.stop
	d.halfClosed = &c.t.flowFrom(other(from)).closed
}

// check ends a tunnel that is idle.
func (c *copying) check() {
	defer c.t.recovered()
	quiet := c.t.quiet()
	if quiet >= c.t.idle && !c.up.waiting.Load() && !c.down.waiting.Load() {
		c.t.abort(Caller, ByIdle, nil)
		return
	}
	c.timer.Reset(max(c.t.idle-quiet, minTick))
}

// cut resets both connections. Closing wakes whatever waits on them. The caller
// holds mu.
func (c *copying) cut() {
	close(c.stop)
	for _, conn := range [2]*net.TCPConn{c.up.src, c.down.src} {
		conn.SetLinger(0) // close by RST, dropping what is unsent
		conn.Close()
	}
}

func (d *direction) run() {
	defer d.c.t.recovered()
	err := d.write(d.early)
	d.early = nil
	for err == nil {
		_, err = d.move(1 << 62)
	}
	d.returned(err)
}

// returned is the end of a direction's goroutine.
func (d *direction) returned(err error) {
	t := d.c.t
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == io.EOF:
		d.passEnd()
	case errors.Is(err, net.ErrClosed):
		// Cut, which has said why.
	default:
		side := d.from
		if IsWriteError(err) {
			side = other(side)
		}
		t.broken(side, err)
	}
	if d.c.running--; d.c.running > 0 || t.ended {
		return
	}
	if d.c.timer != nil {
		d.c.timer.Stop()
	}
	t.copying = nil
	d.src.Close()
	d.dst.Close()
	t.finish()
}

// passEnd passes a FIN on; the other direction stays open (RFC 9293, section
// 3.6). A tunnel that is being cut sends none, for its end is not a clean one. An
// error here means that the other side is gone, which its own direction finds
// out. The caller holds mu.
func (d *direction) passEnd() {
	if d.c.t.cut {
		return
	}
	d.c.t.note(d.from, ByFIN, nil)
	d.flow.closed.Store(true)
	d.dst.CloseWrite()
}

// isReset tells whether the peer reset its connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// writeError marks an error of the receiving side.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }
