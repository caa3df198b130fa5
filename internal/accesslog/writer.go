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
	sink   atomic.Pointer[sink[T]]
	fault  func(value any, stack []byte) // is told of a panic; nil: nobody
	failed func(err error, waiting int)  // is told of a failed write, each; nil: nobody
	wrote  func()                        // is told of the first write after a failed one; nil: nobody

	ended chan struct{}
	quit  atomic.Bool // do not try again

	buf      []byte
	last     time.Time       // of the last write
	failing  bool            // it failed
	flushing []chan struct{} // to be closed after the next write, done or not
}

// start begins to write.
func (w *writer[T]) start(s *sink[T]) {
	w.init()
	w.sink.Store(s)
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
	for slots := t.slots; len(slots) > 0; {
		slots = slots[w.slots(w.sink.Load(), slots):]
	}
	for done := t.lost == 0; !done; {
		s := w.sink.Load()
		w.buf = s.mark(w.buf[:0], t.lost)
		_, done = w.write(s, w.buf)
	}
}

// slots writes slots to one sink. It returns how many are done with: all, unless
// there is another sink before they could be written.
func (w *writer[T]) slots(s *sink[T], slots []slot[T]) (done int) {
	b := w.buf[:0] // has what begins with slot done
	for i := range slots {
		n := len(b)
		if lost := slots[i].lost; lost > 0 {
			b = s.mark(b, lost)
		}
		b = w.line(s, b, &slots[i].entry)
		if len(b) > s.out.chunk && n > 0 {
			taken, all := w.write(s, b[:n])
			if !all {
				return done + w.whole(slots[done:i], taken)
			}
			b = append(b[:0], b[n:]...)
			w.release(slots[done:i])
			done = i
		}
	}
	taken, all := w.write(s, b)
	w.buf = b[:0]
	if cap(b) > 2*maxFileChunk {
		w.buf = nil
	}
	if !all {
		return done + w.whole(slots[done:], taken)
	}
	w.release(slots[done:])
	return len(slots)
}

// whole releases the slots of which so many lines were written: one for each, with
// one before it on what was lost there. The last slot may lack only its own.
func (w *writer[T]) whole(slots []slot[T], taken int) (n int) {
	for ; n < len(slots); n++ {
		s := &slots[n]
		if s.lost > 0 && taken > 0 {
			s.lost = 0
			taken--
		}
		if taken == 0 {
			break
		}
		taken--
	}
	w.release(slots[:n])
	return n
}

// line appends one entry. One that panics is left out, and told as lost.
func (w *writer[T]) line(s *sink[T], b []byte, entry *T) (out []byte) {
	defer func() {
		if v := recover(); v != nil {
			if w.fault != nil {
				w.fault(v, debug.Stack())
			}
			out = s.mark(b, 1)
		}
	}()
	return s.encode(b, entry)
}

// write writes lines, however often it has to try, until they are written or given
// up. When there is another sink before that it says false, and how many whole lines
// this one has taken.
func (w *writer[T]) write(s *sink[T], b []byte) (taken int, all bool) {
	retry := minRetry
	all = true
	for done := 0; done < len(b); {
		n, err := tryWrite(s.out.w, b[done:])
		done += n
		if err == nil {
			if w.failing && w.wrote != nil {
				w.wrote()
			}
			w.failing = false
			continue
		}
		if w.sink.Load().out == s.out && !w.again(err, retry) {
			return 0, true
		}
		retry = min(2*retry, maxRetry)
		switch next := w.sink.Load(); {
		case next.out != s.out:
			return countLines(b[:done], s.out.end), false
		case next != s: // the line that has begun is completed first
			b, all = b[:begun(b, done, s.out.end)], false
		}
	}
	return countLines(b, s.out.end), all
}

// countLines returns how many whole lines there are.
func countLines(b []byte, end string) int { return bytes.Count(b, []byte(end)) }

// begun returns where the line ends that the first bytes have begun.
func begun(b []byte, done int, end string) int {
	if done == 0 || bytes.HasSuffix(b[:done], []byte(end)) {
		return done
	}
	i := bytes.Index(b[done:], []byte(end))
	return done + i + len(end)
}

// again tells of a write that failed, and waits until it may be tried again. It
// says false when nobody waits for it any more.
func (w *writer[T]) again(err error, pause time.Duration) bool {
	w.failing = true
	if w.failed != nil {
		_, waiting := w.losses()
		w.failed(err, waiting)
	}
	w.flushing = append(w.flushing, w.waiters()...)
	w.flushed()
	return !w.quit.Load() && w.pause(pause)
}

// use has what is not written yet, and all that follows, written to another sink.
func (w *writer[T]) use(s *sink[T]) (before *sink[T]) {
	before = w.sink.Swap(s)
	w.nudge()
	return before
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
