//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	// triesWithoutProgress is how often a transfer that has begun is asked for again
	// without bringing progressBytes.
	triesWithoutProgress = 6
	progressBytes        = 1 << 20
	// skipBytes must come within the idle time, where an upstream serves no ranges.
	skipBytes = 64 << 10
)

// times of transfers.
type times struct {
	idle  time.Duration // how long none may go without a byte
	pause time.Duration // how long the first new try waits, about; each next one waits twice as long
}

// errIdle says that nothing came for the idle time.
var errIdle = errors.New("nothing came for too long")

// transfer reads content from a Source, from an offset on to its end, and asks anew
// where it was interrupted. It is for one goroutine at a time.
type transfer struct {
	ctx   context.Context
	from  Source
	times times
	at    int64 // offset of the next byte
	size  int64 // of the whole content; -1: not known

	unread   []byte // came, and was given back
	failed   error  // what the connection ended with, to be told by the next read
	began    bool   // a request has succeeded
	tries    int    // since there was progress
	progress int64  // bytes since tries was 0

	// Of the request under way; body is nil when there is none.
	body   io.ReadCloser
	end    context.CancelCauseFunc
	ended  context.Context
	timer  *time.Timer // ends it; runs only while the upstream is waited for
	unhook func() bool // keeps its end from closing the body
}

// connect asks the Source once.
func (t *transfer) connect() error {
	skip := int64(0)
	err := t.request(t.at)
	if errors.Is(err, ErrNoRange) {
		skip, err = t.at, nil
		if t.body == nil {
			err = t.request(0)
		}
	}
	if err != nil {
		t.disconnect()
		return err
	}
	t.began = true
	t.timer.Stop()
	for skip > 0 {
		t.timer.Reset(t.times.idle)
		n, err := io.CopyN(io.Discard, t.body, min(skip, skipBytes))
		t.timer.Stop()
		skip -= n
		if err != nil {
			return t.lose(err)
		}
	}
	return nil
}

// request leaves a body to read, or an error; ErrNoRange may come with a body.
func (t *transfer) request(offset int64) error {
	t.disconnect()
	t.ended, t.end = context.WithCancelCause(t.ctx)
	end := t.end
	t.timer = time.AfterFunc(t.times.idle, func() { end(errIdle) })
	body, size, err := t.from(t.ended, offset)
	if body != nil {
		t.body = body
		// Not every body ends with the context that it was asked for with.
		t.unhook = context.AfterFunc(t.ended, func() { _ = body.Close() })
	}
	switch {
	case err != nil && !(errors.Is(err, ErrNoRange) && offset > 0):
		return t.cause(err)
	case body == nil && err == nil:
		return fmt.Errorf("%w: the source has neither content nor an error", ErrInterrupted)
	case size < 0 || body == nil:
	case size < t.at:
		return fmt.Errorf("%w: it has %d bytes, of which %d are here", ErrMismatch, size, t.at)
	case t.size < 0:
		t.size = size
	case t.size != size:
		return fmt.Errorf("%w: it has %d bytes, not %d", ErrMismatch, size, t.size)
	}
	return err
}

// cause prefers why the request was ended to what ending it looked like.
func (t *transfer) cause(err error) error {
	if t.ended != nil && t.ended.Err() != nil {
		return context.Cause(t.ended)
	}
	return err
}

// lose ends the request under way for an error of its body, and returns that.
func (t *transfer) lose(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	err = t.cause(err)
	t.disconnect()
	return err
}

// read returns the next bytes, or io.EOF at the end of the content. Other errors are
// final.
func (t *transfer) read(p []byte) (int, error) {
	for {
		if n := copy(p, t.unread); n > 0 {
			t.unread = t.unread[n:]
			t.at += int64(n)
			return n, nil
		}
		if t.size >= 0 && t.at == t.size {
			return 0, t.last()
		}
		if t.body == nil {
			if err := t.reconnect(); err != nil {
				return 0, err
			}
		}
		if t.size >= 0 {
			p = p[:min(int64(len(p)), t.size-t.at)]
		}
		t.timer.Reset(t.times.idle)
		n, err := t.body.Read(p)
		t.timer.Stop()
		t.advance(n)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) && t.size < 0:
			t.disconnect()
			t.size = t.at
		default:
			t.failed = t.lose(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (t *transfer) advance(n int) {
	t.at += int64(n)
	if t.progress += int64(n); t.progress >= progressBytes {
		t.tries, t.progress = 0, 0
	}
}

// giveBack takes bytes that read has returned last: they are read again. It keeps
// them.
func (t *transfer) giveBack(p []byte) {
	t.unread = append([]byte(nil), p...)
	t.at -= int64(len(p))
}

// last sees that nothing comes behind the content's last byte.
func (t *transfer) last() error {
	if t.body == nil {
		return io.EOF
	}
	t.timer.Reset(t.times.idle)
	n, _ := io.ReadFull(t.body, make([]byte, 1))
	t.disconnect()
	if n > 0 {
		return fmt.Errorf("%w: it has more than %d bytes", ErrMismatch, t.size)
	}
	return io.EOF
}

// reconnect asks the Source anew, several times with growing pauses. A transfer that
// never began fails at once: who asked can do something better than wait.
func (t *transfer) reconnect() error {
	for {
		if t.failed == nil {
			if t.failed = t.connect(); t.failed == nil {
				return nil
			}
		}
		err := t.failed
		if !t.began || t.ctx.Err() != nil || errors.Is(err, ErrMismatch) {
			return err
		}
		if t.tries++; t.tries > triesWithoutProgress {
			return fmt.Errorf("%w at byte %d: %w", ErrInterrupted, t.at, err)
		}
		t.progress = 0
		if err := t.pause(); err != nil {
			return err
		}
		t.failed = nil
	}
}

// pause waits longer from try to try, and not in step with other transfers.
func (t *transfer) pause() error {
	pause := t.times.pause << (t.tries - 1)
	timer := time.NewTimer(pause/2 + rand.N(pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-t.ctx.Done():
		return context.Cause(t.ctx)
	}
}

// handOver has the transfer go on for another, until ctx ends. The function that it
// returns undoes that; it is called at the transfer's end.
func (t *transfer) handOver(ctx context.Context) (undo func() bool) {
	t.ctx = ctx
	if t.body == nil {
		return func() bool { return true }
	}
	end := t.end
	return context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
}

// disconnect ends the request under way. It may be called at any time.
func (t *transfer) disconnect() {
	if t.end == nil {
		return
	}
	t.timer.Stop()
	if t.body != nil {
		t.unhook()
		_ = t.body.Close()
	}
	t.end(nil)
	t.body, t.end, t.ended, t.timer, t.unhook = nil, nil, nil, nil, nil
}
