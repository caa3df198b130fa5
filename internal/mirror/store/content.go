//go:build unix

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

const (
	// chunk is how much is sent between two calls of CopyTo's step.
	chunk = 1 << 20
	// heldBack is how much of content's end waits until the digest was checked: a
	// client that lacks one byte knows that something is wrong.
	heldBack = 4 << 10
)

// Content is content that one reader has. Its methods are for one goroutine at a
// time.
type Content struct {
	store    *Store
	entry    *entry
	download *download // by which it comes; nil: it is whole
	from     Source
	late     bool     // the download was streamed already: what it has under way is for others
	file     *os.File // the reader's own, with a position of its own; nil: not opened yet
	size     int64    // of whole content
	how      string
	err      error
	closed   bool
}

// How tells how the content came to be at hand: Hit, Miss or Joined.
func (c *Content) How() string { return c.how }

// Ended is closed when nothing more happens on disk for content that is being fetched;
// whether it is kept is told by Get. It is nil for other content. The channel stays good
// after Close.
func (c *Content) Ended() <-chan struct{} {
	if c.download == nil {
		return nil
	}
	return c.download.ended
}

// Kept tells, of content that is being fetched and once Ended is closed, whether it has
// come, and is kept. It may be called after Close.
func (c *Content) Kept() bool {
	if c.download == nil {
		return c.err == nil
	}
	is := c.download.progress()
	return is.verified && !is.streamed && is.err == nil
}

// Size returns the size of the whole content in bytes. It waits until that is known,
// for as long as ctx lasts; where no upstream says it, until the end of the download.
// It is -1 for content that is not kept and of which the upstream does not say it.
func (c *Content) Size(ctx context.Context) (int64, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.download == nil:
		return c.size, nil
	}
	is, err := c.download.await(ctx, func(is progress) bool { return is.size >= 0 || is.streamed })
	return is.size, err
}

// CopyTo writes n bytes from an offset on to dst, all that follow when n is negative,
// and returns how many it has written. It waits for what is not there yet. Where dst
// reads from files itself, as TCP connections and HTTP answers do, the kernel sends
// the bytes and they are never copied into the process. Step is called before each
// piece of a mebibyte at the most, so that it can move deadlines; an error of it ends
// the copy; nil: it is not called.
//
// The errors are the Source's, ErrMismatch for content that is another than its
// digest's, ErrInterrupted, ErrClosed, those of dst, step and ctx, and
// io.ErrUnexpectedEOF for content that has no n bytes from the offset on. The last
// bytes of the content are not written unless its digest is right.
func (c *Content) CopyTo(ctx context.Context, dst io.Writer, offset, n int64, step func() error) (int64, error) {
	if c.err != nil {
		return 0, c.err
	}
	c.store.reads.Add(1)
	defer c.store.reads.Add(-1)
	if step == nil {
		step = func() error { return nil }
	}
	w := span{ctx: ctx, dst: dst, at: offset, end: -1, step: step}
	if n >= 0 {
		w.end = offset + n
	}
	err := c.copy(&w)
	if err == nil && w.at < w.end {
		err = io.ErrUnexpectedEOF
	}
	return w.at - offset, err
}

// span is what a reader wants of content.
type span struct {
	ctx     context.Context
	dst     io.Writer
	at, end int64 // of the next byte, and behind the last; end -1: the content's
	step    func() error
}

func (w *span) done() bool { return w.end >= 0 && w.at >= w.end }

// copy feeds the reader from the file, and then, when the rest is not kept, from a
// transfer of his own.
func (c *Content) copy(w *span) error {
	if c.download == nil {
		return c.send(w, c.size)
	}
	for !w.done() {
		is, err := c.download.await(w.ctx, func(is progress) bool { return w.at < is.readable() || is.verified || is.streamed })
		if err != nil {
			return err
		}
		if w.at < is.readable() {
			err = c.send(w, is.readable())
		} else if is.verified {
			return nil
		} else {
			return c.stream(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readable returns the offset up to which readers may be fed from the file.
func (is progress) readable() int64 {
	switch {
	case is.verified:
		return is.got
	case is.size >= 0:
		return min(is.got, is.size-heldBack)
	}
	return is.got - heldBack
}

// send writes what the file has up to a limit.
func (c *Content) send(w *span, limit int64) error {
	if w.end >= 0 {
		limit = min(limit, w.end)
	}
	if w.at >= limit {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	if _, err := c.file.Seek(w.at, io.SeekStart); err != nil {
		return err
	}
	for w.at < limit {
		if err := w.ready(); err != nil {
			return err
		}
		n, err := io.CopyN(w.dst, c.file, min(limit-w.at, chunk))
		w.at += n
		if err != nil {
			return c.unreadable(err)
		}
	}
	return nil
}

// ready comes before each piece.
func (w *span) ready() error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return w.step()
}

// unreadable has the file checked anew, or removed, where it was its fault that it
// could not be sent on.
func (c *Content) unreadable(err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.EIO) {
		return err
	}
	c.store.mu.Lock()
	c.entry.trusted = identity{}
	c.store.mu.Unlock()
	return fmt.Errorf("%w: its file has changed: %w", ErrMismatch, err)
}

func (c *Content) open() error {
	if c.file != nil {
		return nil
	}
	f, err := c.download.openFile()
	if isGone(err) { // for a reason that the download is about to tell
		<-c.download.ended
		if is := c.download.progress(); is.err != nil {
			return is.err
		}
		return fmt.Errorf("%w: %w", ErrNotCached, err)
	}
	c.file = f
	return err
}

// Bytes returns all content; ErrTooLarge when it has more than limit bytes. The other
// errors are CopyTo's.
func (c *Content) Bytes(ctx context.Context, limit int64) ([]byte, error) {
	if size, err := c.Size(ctx); err != nil {
		return nil, err
	} else if size > limit {
		return nil, fmt.Errorf("%w: %d bytes, the most is %d", ErrTooLarge, size, limit)
	}
	b := bounded{limit: limit}
	if _, err := c.CopyTo(ctx, &b, 0, -1, nil); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// bounded takes no more than limit bytes, from an upstream that does not say
// beforehand how many come.
type bounded struct {
	bytes.Buffer
	limit int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if int64(b.Len()+len(p)) > b.limit {
		return 0, fmt.Errorf("%w: the most is %d", ErrTooLarge, b.limit)
	}
	return b.Buffer.Write(p)
}

// ReadFrom hides the buffer's, which knows no limit.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{b}, r) }

// Close gives the content back. Later calls do nothing.
func (c *Content) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.file != nil {
		c.file.Close()
	}
	if c.entry != nil {
		c.store.letGo(c.entry, time.Now())
	}
	return nil
}
