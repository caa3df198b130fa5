package relay

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/limit"
)

// bufferSize is what a direction reads at once while bytes come in small
// bursts: a TLS record and its header fit (RFC 8446, section 5.1), and for
// anything larger splice costs less than copying.
const bufferSize = 17 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// mover takes bytes from one connection to another, charging a budget and
// counting. It closes nothing.
type mover struct {
	src, dst *net.TCPConn
	budget   *limit.Budget
	count    *atomic.Int64
	moved    *atomic.Int64   // when bytes last moved; nil: nobody asks
	stop     <-chan struct{} // ends a wait for the budget; nil: nothing does
	// halfClosed says that the sending side of src was shut down; nil: it was not.
	halfClosed *atomic.Bool
	waiting    atomic.Bool // for the budget
	platform
}

func (m *mover) init(src, dst *net.TCPConn, b *limit.Budget, count *atomic.Int64) {
	m.src, m.dst, m.budget, m.count = src, dst, b, count
	m.platform.init(m)
}

func (m *mover) add(n int64) {
	if n > 0 {
		m.count.Add(n)
		if m.moved != nil {
			m.moved.Store(sinceEpoch())
		}
	}
}

// take waits until n bytes of a bucket are there, which is the budget's, or until
// the budget has another one.
func (m *mover) take(b *limit.Bucket, n int) error {
	wait := b.Take(n)
	if wait <= 0 {
		return nil
	}
	m.waiting.Store(true)
	defer m.waiting.Store(false)
	for wait > 0 && m.budget.Bucket() == b {
		part := min(wait, lookAgain)
		if err := m.sleep(part); err != nil {
			b.Return(n)
			return err
		}
		wait -= part
	}
	return nil
}

// lookAgain is how often what waits for its budget finds out that the limits have
// changed.
const lookAgain = time.Second

func (m *mover) sleep(wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-m.stop:
		return net.ErrClosed
	}
}

// write sends bytes that are in memory already, within the budget.
func (m *mover) write(p []byte) error {
	for len(p) > 0 {
		b := m.budget.Bucket()
		n := min(len(p), b.Chunk())
		if err := m.take(b, n); err != nil {
			return err
		}
		if err := m.send(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// send writes bytes that the budget was charged for already.
func (m *mover) send(p []byte) error {
	n, err := m.dst.Write(p)
	m.add(int64(n))
	if err != nil {
		return &writeError{err}
	}
	return nil
}

// Meter is what moving bytes costs, outside of tunnels.
type Meter struct {
	Budget *limit.Budget // what bytes are charged to; nil: unlimited
	Count  *atomic.Int64 // what moved is added to it
	// Stop, when it is closed, ends a wait for the budget by net.ErrClosed; nil:
	// nothing does.
	Stop <-chan struct{}
}

// Write sends bytes that are in memory to dst. Its errors are those of dst, as
// IsWriteError tells, and that of a stopped wait.
func Write(dst *net.TCPConn, p []byte, meter Meter) error {
	m := mover{dst: dst, budget: meter.Budget, count: meter.Count, stop: meter.Stop}
	return m.write(p)
}

// CopyN moves exactly n bytes from src to dst as a tunnel would, spliced where
// the system can. Deadlines of the connections hold; ErrUnexpectedEOF says that src
// ended early, and errors of dst are told apart by IsWriteError. It closes neither.
func CopyN(dst, src *net.TCPConn, n int64, meter Meter) error {
	m := mover{stop: meter.Stop}
	m.init(src, dst, meter.Budget, meter.Count)
	for n > 0 {
		k, err := m.move(n)
		n -= k
		if err == io.EOF && n > 0 {
			return io.ErrUnexpectedEOF
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// CopyAll moves bytes from src to dst until src ends, else as CopyN.
func CopyAll(dst, src *net.TCPConn, meter Meter) error {
	m := mover{stop: meter.Stop}
	m.init(src, dst, meter.Budget, meter.Count)
	for {
		_, err := m.move(1 << 62)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// IsWriteError tells whether an error of Write, CopyN or CopyAll came from dst.
func IsWriteError(err error) bool {
	_, ok := err.(*writeError)
	return ok
}
