//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"sluice/internal/mirror/oci"
)

// streamBuffer is how much is passed on at a time of content that is not kept.
const streamBuffer = 64 << 10

// stream feeds a reader what follows the file, which finds no room on disk, from a
// transfer that is his alone. The hash goes on where the file's ended, so that what
// is passed on is checked as all else; a reader who wants a later part only reads
// what is before it nevertheless.
func (c *Content) stream(w *span) error {
	d := c.download
	h, err := d.hash.(hash.Cloner).Clone()
	if err != nil {
		return err
	}
	is := d.progress()
	var t *transfer
	if !c.late {
		t = d.takeSpare()
	}
	if t == nil {
		t = &transfer{from: c.from, times: c.store.times, at: is.got, size: is.size}
	}
	defer t.handOver(w.ctx)()
	defer t.disconnect()
	out := tail{span: w}
	if err := c.fillTail(&out, is); err != nil {
		return err
	}
	buf := make([]byte, streamBuffer)
	for !w.done() {
		at := t.at
		n, err := t.read(buf)
		if errors.Is(err, io.EOF) {
			if got := oci.FromHash(c.entry.digest.Algorithm(), h); got != c.entry.digest {
				c.store.mismatched()
				return fmt.Errorf("%w: it has the digest %s, not %s", ErrMismatch, got, c.entry.digest)
			}
			return out.flush(int64(len(out.held)))
		}
		if err != nil {
			if errors.Is(err, ErrMismatch) {
				c.store.mismatched()
			}
			return err
		}
		h.Write(buf[:n])
		if err := out.take(buf[:n], at, t.size); err != nil {
			return err
		}
	}
	return nil
}

// fillTail takes what the file still has for the reader: what was held back.
func (c *Content) fillTail(out *tail, is progress) error {
	if out.at >= is.got {
		return nil
	}
	if err := c.open(); err != nil {
		return err
	}
	p := make([]byte, is.got-out.at)
	if _, err := c.file.ReadAt(p, out.at); err != nil {
		return c.unreadable(err)
	}
	return out.take(p, out.at, is.size)
}

// tail passes a span's bytes on, and holds back the content's last ones.
type tail struct {
	*span
	held []byte // those from span.at on
}

// take takes the bytes that are at an offset of content of a size; -1: not known.
func (t *tail) take(p []byte, at, size int64) error {
	after := at + int64(len(p))
	first, last := max(at, t.at+int64(len(t.held))), after
	if t.end >= 0 {
		last = min(last, t.end)
	}
	if first < last {
		t.held = append(t.held, p[first-at:last-at]...)
	}
	if size < 0 {
		size = after
	}
	return t.flush(max(0, min(size-heldBack-t.at, int64(len(t.held)))))
}

// flush passes the first n bytes on.
func (t *tail) flush(n int64) error {
	if n == 0 {
		return nil
	}
	if err := t.ready(); err != nil {
		return err
	}
	written, err := t.dst.Write(t.held[:n])
	t.at += int64(written)
	t.held = t.held[:copy(t.held, t.held[written:])]
	return err
}

func (s *Store) mismatched() {
	s.mu.Lock()
	s.counters.mismatches++
	s.mu.Unlock()
}

// wait waits until nothing more happens on disk for the content, and tells why it is
// not kept; nil: it is.
func (c *Content) wait(ctx context.Context) error {
	if c.err != nil || c.download == nil {
		return c.err
	}
	select {
	case <-c.download.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	is := c.download.progress()
	if is.streamed {
		return ErrNotKept
	}
	return is.err
}
