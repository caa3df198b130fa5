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
// session must not read while it runs.
type watch struct {
	in    *reader
	gone  atomic.Bool
	left  func() // called when the client is gone
	timer *time.Timer
	done  chan struct{}
}

// start begins to watch after a while. What has been buffered decides about a
// client that closes: behind a half-close it may still wait for answers to what
// it sent (pipelined requests, early data), so only a reset says that it is gone.
func (w *watch) start(s *session, after time.Duration, left func()) {
	w.in, w.left, w.done = &s.in, left, make(chan struct{})
	more := len(s.in.buffered()) > 0
	w.timer = time.AfterFunc(after, func() {
		defer close(w.done)
		err := w.in.wait()
		switch {
		case err == nil, isTimeout(err), err == io.EOF && more:
			return
		}
		w.gone.Store(true)
		left()
	})
}

// stop ends the watch and leaves the connection without a read deadline.
func (w *watch) stop() {
	timer := w.timer
	w.timer = nil
	if timer == nil || timer.Stop() {
		return
	}
	w.in.conn.SetReadDeadline(past)
	<-w.done
	w.in.conn.SetReadDeadline(time.Time{})
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
