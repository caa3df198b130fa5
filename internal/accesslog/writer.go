package accesslog

import (
	"bytes"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
	"time"
)

const (
	// pace is the least time between two writes when entries come close together,
	// so that one write takes many. An entry that comes after a pause is written at
	// once.
	pace = 5 * time.Millisecond

	// What cannot be written is tried again after a pause, which doubles.
	minRetry = 100 * time.Millisecond
	maxRetry = time.Second

	// These bound the wait for a log that takes nothing more, at its end and when it
	// is reopened: together, after the drain, less than what Docker leaves a
	// container.
	flushTime   = time.Second
	processTime = 250 * time.Millisecond // of the process's own log
)

// writer writes what is put into its queue to its output, in order, on a
// goroutine of its own. Whole lines are written, and what could not be written is
// tried again until the writer is closed.
type writer[T any] struct {
	queue[T]
	out    *output
	encode func(b []byte, entry *T) []byte    // appends one line
	mark   func(b []byte, lost uint64) []byte // appends a line on lost entries
	fault  func(value any, stack []byte)      // is told of a panic; nil: nobody
	failed func(err error, waiting int)       // is told of a failed write, each; nil: nobody
	wrote  func()                             // is told of the first write after a failed one; nil: nobody

	ended chan struct{}
	quit  atomic.Bool // do not try again

	buf      []byte
	last     time.Time       // of the last write
	flushing []chan struct{} // to be closed after the next write, done or not
}

// start begins to write.
func (w *writer[T]) start() {
	w.init()
	w.ended = make(chan struct{})
	go w.run()
}

func (w *writer[T]) run() {
	defer close(w.ended)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t := w.take()
		if len(t.slots)+len(t.flushes) == 0 && t.lost == 0 {
			if t.closed {
				return
			}
			<-w.wake
			w.gather(timer)
			continue
		}
		w.flushing = t.flushes
		w.batch(t)
		w.flushed()
		w.giveBack(t.slots)
		w.last = time.Now()
	}
}

// gather waits for more entries, if the last write was just now. A flush does not
// wait.
func (w *writer[T]) gather(timer *time.Timer) {
	wait := pace - time.Since(w.last)
	if wait <= 0 {
		return
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
	case <-w.wake:
	}
}

// batch writes what was taken. It returns when it is written, or given up.
func (w *writer[T]) batch(t taken[T]) {
	_, chunk, _ := w.out.now()
	b, from := w.buf[:0], 0 // b has what begins with slot from
	put := func(n, upTo int) {
		w.write(b[:n])
		b = append(b[:0], b[n:]...)
		w.release(t.slots[from:upTo])
		from = upTo
	}
	for i := range t.slots {
		n := len(b)
		if s := &t.slots[i]; s.lost > 0 {
			b = w.mark(b, s.lost)
		}
		b = w.line(b, &t.slots[i].entry)
		if len(b) > chunk && n > 0 {
			put(n, i)
		}
	}
	if t.lost > 0 {
		b = w.mark(b, t.lost)
	}
	put(len(b), len(t.slots))
	w.buf = b[:0]
	if cap(b) > 2*maxFileChunk {
		w.buf = nil
	}
}

// line appends one entry. One that panics is left out, and told as lost.
func (w *writer[T]) line(b []byte, entry *T) (out []byte) {
	defer func() {
		if v := recover(); v != nil {
			if w.fault != nil {
				w.fault(v, debug.Stack())
			}
			out = w.mark(b, 1)
		}
	}()
	return w.encode(b, entry)
}

// write writes lines, however often it has to try. When the output is another one
// in the middle of a line, that begins anew there.
func (w *writer[T]) write(b []byte) {
	retry := minRetry
	failing := false
	_, _, generation := w.out.now()
	for done := 0; done < len(b); {
		out, _, g := w.out.now()
		if g != generation {
			done, generation = bytes.LastIndexByte(b[:done], '\n')+1, g
		}
		n, err := tryWrite(out, b[done:])
		done += n
		if err == nil {
			if failing && w.wrote != nil {
				w.wrote()
			}
			failing = false
			continue
		}
		failing = true
		if w.failed != nil {
			_, waiting := w.losses()
			w.failed(err, waiting)
		}
		w.flushing = append(w.flushing, w.waiters()...)
		w.flushed()
		if w.quit.Load() || !w.pause(retry) {
			return
		}
		retry = min(2*retry, maxRetry)
	}
}

func (w *writer[T]) flushed() {
	for _, c := range w.flushing {
		close(c)
	}
	w.flushing = nil
}

// pause waits before the next try: shorter if somebody wants a flush. It says
// false when there is none.
func (w *writer[T]) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
	}
	return !w.quit.Load()
}

// tryWrite makes an error of a panic, and of a write that took less without one.
func tryWrite(out io.Writer, b []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("panic: %v", v)
		}
	}()
	n, err = out.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return max(0, min(n, len(b))), err
}

// sync waits until all that was put in before is written, or could not be, at
// most for so long.
func (w *writer[T]) sync(atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-w.flush():
	case <-w.ended:
	case <-timer.C:
	}
}

// stop writes what waits and ends. It returns how many entries were not written,
// after so long at the latest.
func (w *writer[T]) stop(atMost time.Duration) (left int) {
	w.close()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-w.ended:
	case <-timer.C:
		_, left = w.losses() // before they are given up
		w.quit.Store(true)
		w.nudge()
	}
	return left
}
