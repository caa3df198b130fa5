package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/crash"
	"sluice/internal/egress"
	"sluice/internal/gate"
)

// past is a deadline that wakes whatever waits on a connection.
var past = time.Unix(1, 0)

// Times after which somebody looks whether the client is still there. Most dials
// and answers are quicker and cost a timer, no goroutine.
const (
	dialPatience   = 100 * time.Millisecond
	answerPatience = time.Second
)

// watch looks after a client that is owed an answer and has nothing to send. Its
// session must not read while it runs. start may be called by another goroutine
// than stop, and then does nothing behind it.
type watch struct {
	in       *reader
	gone     atomic.Bool
	left     func() // called when the client is gone
	panicked crash.Box

	mu      sync.Mutex
	timer   *time.Timer
	done    chan struct{}
	stopped bool
}

// start begins to watch after a while. What has been buffered decides about a
// client that closes: behind a half-close it may still wait for answers to what
// it sent (pipelined requests, early data), so only a reset says that it is gone.
func (w *watch) start(s *session, after time.Duration, left func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.in, w.left, w.done = &s.in, left, make(chan struct{})
	more := len(s.in.buffered()) > 0
	w.timer = time.AfterFunc(after, func() {
		defer close(w.done)
		defer w.panicked.Catch()
		if w.waitGone(more) {
			w.gone.Store(true)
			left()
		}
	})
}

// waitGone waits until the client leaves, or stop is called. Behind bytes that it
// sends meanwhile only a reset can be seen. One that has closed its side behind a single request cannot
// be told from one that has left; it is taken for gone, for a flood of requests
// whose clients have left would hold as many connections to origins.
func (w *watch) waitGone(more bool) bool {
	err := w.in.wait()
	if err == nil || err == io.EOF && more {
		err = w.in.waitReset()
	}
	return err != nil && !isTimeout(err)
}

// stop ends the watch and leaves the connection without a read deadline. It
// panics if the watch did.
func (w *watch) stop() {
	w.mu.Lock()
	timer := w.timer
	w.timer, w.stopped = nil, true
	w.mu.Unlock()
	if timer == nil || timer.Stop() {
		return
	}
	w.in.conn.SetReadDeadline(past)
	<-w.done
	w.in.conn.SetReadDeadline(time.Time{})
	w.panicked.Raise()
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// dial connects to the transaction's destination, unless the client leaves or the
// transaction is killed before.
func (s *session) dial(tx *gate.Transaction) (*gate.Origin, *egress.Error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tx.OnKill(cancel)
	defer tx.OnKill(nil)
	var w watch
	w.start(s, dialPatience, cancel)
	defer w.stop()
	return tx.Dial(ctx)
}

// stall cuts an exchange in which no byte has moved for the idle time, by
// deadlines that have passed.
type stall struct {
	tx       *gate.Transaction // is told of a panic
	idle     time.Duration
	conns    [2]*net.TCPConn
	up, down *atomic.Int64

	mu      sync.Mutex
	timer   *time.Timer
	moved   int64 // bytes, when last looked at
	stopped bool
	fired   bool
}

func (x *stall) start() {
	if x.idle <= 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.moved = x.up.Load() + x.down.Load()
	x.timer = time.AfterFunc(x.idle, x.look)
}

// look sees only at its own times whether bytes have moved, so an exchange is cut
// after between one and two idle times.
func (x *stall) look() {
	defer func() {
		if v := recover(); v != nil {
			x.tx.Panicked(v)
		}
	}()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stopped {
		return
	}
	if moved := x.up.Load() + x.down.Load(); moved != x.moved {
		x.moved = moved
		x.timer.Reset(x.idle)
		return
	}
	x.fired = true
	for _, c := range x.conns {
		c.SetDeadline(past)
	}
}

// stop ends the watch. It tells whether the exchange was cut.
func (x *stall) stop() (cut bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.stopped = true
	if x.timer != nil {
		x.timer.Stop()
	}
	return x.fired
}
