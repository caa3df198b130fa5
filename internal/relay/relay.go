// Package relay is the only code that moves the bytes of tunnels. It knows two
// TCP connections, a budget for each direction, and an idle timeout; who may talk
// to whom was decided before, and what the result means is for the caller.
//
// Bytes go from socket to socket by splice(2), through io.Copy as the standard
// library does it, but never by leaving io.Copy alone with a connection: that
// would keep a pipe of two descriptors and up to 1 MiB for each direction for as
// long as the tunnel lives, and would hide how much has passed. A direction
// waits for its socket with nothing in hand. When bytes arrive it first reads
// them into a buffer borrowed from a pool, which is the cheapest way for a few of
// them; when they fill that buffer it turns to splice for exactly as many bytes
// as the kernel says are there (FIONREAD), so that the pipe is held only while
// they move, counters are exact, and a budget is charged before and not after.
//
// On systems without splice(2) it copies through the same pooled buffers.
package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/internal/limit"
)

// Side is one end of a tunnel.
type Side uint8

const (
	Nobody Side = iota
	Client
	Origin
	Caller // whoever called Kill, or the idle timeout
)

// How a tunnel ended.
const (
	ByFIN   = "fin"   // a side closed, and the other followed
	ByReset = "reset" // a side reset its connection, or is gone
	ByIdle  = "idle"  // no byte in either direction for the idle timeout
	ByError = "error" // another failure of a socket
)

// Result is how a tunnel went.
type Result struct {
	Up, Down int64 // bytes delivered to the kernel: client to origin, origin to client
	First    Side  // who ended it first
	How      string
	Err      error // the cause when How is ByError, else nil
}

// Options are what a tunnel runs under. The zero value has no limits.
type Options struct {
	Up, Down *limit.Bucket // client to origin, origin to client; nil: unlimited
	Idle     time.Duration // without a byte in either direction; 0: for ever
	// Early is what the client sent before the tunnel stood; it goes to the
	// origin first. It is not kept longer than that.
	Early []byte
}

// Tunnel relays between two connections. Start it once; the zero value is ready.
// It must not be copied.
type Tunnel struct {
	up, down direction
	end      func(Result)
	idle     time.Duration
	timer    *time.Timer
	moved    atomic.Int64  // when bytes last moved, in nanoseconds since epoch below
	running  atomic.Int32  // directions still under way
	stop     chan struct{} // closed by abort; nil without budgets

	mu    sync.Mutex
	ended bool // first, how and err are set
	cut   bool // both connections are closed by a kill, an error or the idle timer
	first Side
	how   string
	err   error
}

var epoch = time.Now()

func sinceEpoch() int64 { return int64(time.Since(epoch)) }

// Start begins to relay and returns at once. The tunnel owns both connections
// from here on: they are closed when end is called, which happens exactly once,
// from a goroutine of the tunnel.
func (t *Tunnel) Start(client, origin *net.TCPConn, o Options, end func(Result)) {
	t.end, t.idle = end, o.Idle
	if o.Up != nil || o.Down != nil {
		t.stop = make(chan struct{})
	}
	t.up.init(t, client, origin, Client, o.Up)
	t.down.init(t, origin, client, Origin, o.Down)
	t.up.halfClosed, t.down.halfClosed = &t.down.closed, &t.up.closed
	t.moved.Store(sinceEpoch())
	t.running.Store(2)
	if t.idle > 0 {
		t.mu.Lock()
		t.timer = time.AfterFunc(t.idle, t.checkIdle)
		t.mu.Unlock()
	}
	go t.down.run(nil)
	go t.up.run(o.Early)
}

// Bytes returns what has been relayed so far: client to origin, and back.
func (t *Tunnel) Bytes() (up, down int64) { return t.up.count.Load(), t.down.count.Load() }

// Kill ends the tunnel now: both sides see a reset, for a clean end would tell
// them that all had been said. It does not wait. Before Start and after the end
// it does nothing.
func (t *Tunnel) Kill(how string) { t.abort(Caller, how, nil) }

func (t *Tunnel) checkIdle() {
	quiet := time.Duration(sinceEpoch() - t.moved.Load())
	if quiet >= t.idle {
		t.abort(Caller, ByIdle, nil)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.cut && t.running.Load() > 0 {
		t.timer.Reset(t.idle - quiet)
	}
}

// note keeps who ended the tunnel first and how.
func (t *Tunnel) note(first Side, how string, err error) {
	if !t.ended {
		t.ended, t.first, t.how, t.err = true, first, how, err
	}
}

// abort resets both connections. Closing wakes whatever waits on them.
func (t *Tunnel) abort(first Side, how string, err error) {
	if t.running.Load() == 0 {
		return
	}
	t.mu.Lock()
	if t.cut {
		t.mu.Unlock()
		return
	}
	t.cut = true
	if first == Caller || how != ByFIN && t.how == ByFIN {
		t.ended = false // a cut tells more than the half-close before it
	}
	t.note(first, how, err)
	if t.stop != nil {
		close(t.stop)
	}
	t.mu.Unlock()
	for _, c := range [2]*net.TCPConn{t.up.src, t.down.src} {
		c.SetLinger(0) // close by RST, dropping what is unsent
		c.Close()
	}
}

// finish ends one direction; the last of the two ends the tunnel.
func (t *Tunnel) finish() {
	if t.running.Add(-1) > 0 {
		return
	}
	t.mu.Lock()
	if t.timer != nil {
		t.timer.Stop()
	}
	r := Result{First: t.first, How: t.how, Err: t.err}
	t.mu.Unlock()
	t.up.src.Close()
	t.down.src.Close()
	r.Up, r.Down = t.Bytes()
	t.end(r)
}

// direction moves bytes one way.
type direction struct {
	mover
	t      *Tunnel
	from   Side
	closed atomic.Bool // the end of src was passed on to dst
}

func (d *direction) init(t *Tunnel, src, dst *net.TCPConn, from Side, b *limit.Bucket) {
	d.t, d.from = t, from
	d.mover.init(src, dst, b, t.stop, &t.moved)
}

func (d *direction) run(early []byte) {
	defer d.t.finish()
	err := d.write(early)
	for err == nil {
		_, err = d.move(1 << 62)
	}
	switch {
	case err == io.EOF:
		d.passEnd()
	case errors.Is(err, net.ErrClosed):
		// Cut by abort, which has said why.
	default:
		d.fail(err)
	}
}

// passEnd passes a FIN on; the other direction stays open (RFC 9293, section
// 3.6). A tunnel that is being cut sends none, for its end is not a clean one. An
// error here means that the other side is gone, which its own direction finds out.
func (d *direction) passEnd() {
	d.t.mu.Lock()
	defer d.t.mu.Unlock()
	if d.t.cut {
		return
	}
	d.t.note(d.from, ByFIN, nil)
	d.closed.Store(true)
	d.dst.CloseWrite()
}

// fail passes a broken connection on: the other side gets a reset as well.
func (d *direction) fail(err error) {
	side := d.from
	var w *writeError
	if errors.As(err, &w) {
		side = Client + Origin - d.from
	}
	if isReset(err) {
		d.t.abort(side, ByReset, nil)
		return
	}
	d.t.abort(side, ByError, err)
}

// isReset tells whether the peer reset its connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// writeError marks an error of the receiving side.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }
func (e *writeError) Unwrap() error { return e.err }
