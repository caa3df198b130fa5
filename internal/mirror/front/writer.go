package front

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// writer writes an answer. It counts the body's bytes, knows whether the header went
// out, and drops a client that has stopped reading.
//
// It keeps io.ReaderFrom, without which net/http would copy the file of a blob through
// its own memory instead of leaving that to sendfile.
type writer struct {
	http.ResponseWriter
	status int
	bytes  atomic.Int64

	control *http.ResponseController
	idle    time.Duration
	conn    *net.TCPConn // nil: how far the client has read is not known
	secure  bool         // the connection has TLS

	writing   atomic.Bool  // a write is under way; otherwise the client waits, not we
	postponed atomic.Int64 // when the deadline was moved last, on the clock of time.Now

	mu    sync.Mutex
	timer *time.Timer
	seen  uint64 // progress at the last look
	ended bool
}

func newWriter(w http.ResponseWriter, r *http.Request, idle time.Duration) *writer {
	x := &writer{ResponseWriter: w, control: http.NewResponseController(w), idle: idle, conn: connectionOf(r).transport(), secure: r.TLS != nil}
	x.postpone()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.timer = time.AfterFunc(idle/looks, x.look)
	return x
}

// looks is how often within the idle time the client's progress is looked at.
const looks = 4

// postpone lets the client have its idle time from now on. Only what a write waits for
// counts, so that the deadline may pass while the upstream is waited for, but not
// while the client of HTTP/2 waits: there net/http ends the stream at once.
func (w *writer) postpone() {
	now := time.Now()
	w.postponed.Store(now.UnixNano())
	_ = w.control.SetWriteDeadline(now.Add(w.idle)) // an error: the connection is gone, as the next write will tell
}

// look moves the deadline when the client has taken something, or there was nothing
// to take.
func (w *writer) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	now := uint64(w.bytes.Load()) + acked(w.conn)
	if now != w.seen || !w.writing.Load() {
		w.seen = now
		w.postpone()
	}
	w.timer.Reset(w.idle / looks)
}

// end stops looking. What net/http has yet to flush gets one idle time more.
func (w *writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
	w.postpone()
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *writer) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.ResponseWriter.Write(p)
	w.did(int64(n))
	return n, err
}

// ReadFrom sends what r has; when it is an *os.File, or an *io.LimitedReader of one,
// the kernel does. Under TLS it cannot, and many small writes tell better how far the
// client is.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	from, ok := w.ResponseWriter.(io.ReaderFrom)
	if !ok || w.secure {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	w.begin()
	n, err := from.ReadFrom(r)
	w.did(n)
	return n, err
}

func (w *writer) begin() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	w.writing.Store(true)
	// For HTTP/2 moving it is a message to another goroutine: too dear for each 32 KiB.
	if since := time.Now().UnixNano() - w.postponed.Load(); since < 0 || since > int64(w.idle)/(2*looks) {
		w.postpone()
	}
}

func (w *writer) did(n int64) {
	w.bytes.Add(n)
	w.writing.Store(false)
}
