package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxDrain is how much is read of a body that nobody wants, so that its connection
// can be used again. More is dearer than a new one.
const maxDrain = 8 << 10

// errIdle is the cause of a body that ends for want of bytes.
var errIdle = errors.New("no byte in time")

// discard ends a response that nobody reads.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain) // what failed is closed as well
	_ = resp.Body.Close()
}

// counted is a body that tells its event when it is closed, which may be while it is
// read, as of all bodies.
type counted struct {
	io.ReadCloser
	registry *Registry
	event    Event // without its bytes
	bytes    atomic.Int64
	start    time.Time
	told     sync.Once
}

// Read counts what it reads.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.bytes.Add(int64(n))
	return n, err
}

// Close closes the body and tells the event, once.
func (c *counted) Close() error {
	err := c.ReadCloser.Close()
	c.told.Do(func() {
		c.event.Bytes = c.bytes.Load()
		c.event.Duration = c.registry.now().Sub(c.start)
		c.registry.observe(c.event)
	})
	return err
}

// stream is the body of an answer that is handed out. A read fails when no byte
// comes for the idle time; the time between reads does not count, for that is the
// reader's.
type stream struct {
	body     io.ReadCloser
	registry *Registry
	ctx      context.Context
	cancel   context.CancelCauseFunc
	idle     *time.Timer
}

func (r *Registry) newStream(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser) *stream {
	s := &stream{body: body, registry: r, ctx: ctx, cancel: cancel}
	s.idle = time.AfterFunc(r.idle, func() { cancel(errIdle) })
	s.idle.Stop()
	return s
}

// Read reads from the body. An error other than io.EOF is an *Error.
func (s *stream) Read(p []byte) (int, error) {
	s.idle.Reset(s.registry.idle)
	n, err := s.body.Read(p)
	s.idle.Stop()
	if err == nil || err == io.EOF {
		return n, err
	}
	if s.ctx.Err() != nil {
		return n, s.registry.ended(s.ctx)
	}
	return n, s.registry.fail(Broken, fmt.Errorf("body: %w", err))
}

// Close ends the request, if it has not come to its end.
func (s *stream) Close() error {
	s.idle.Stop()
	err := s.body.Close()
	s.cancel(nil)
	return err
}
