//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// errCorrupt says that a file was not what it was, and is gone.
var errCorrupt = errors.New("its file has changed")

// openWhole returns the content of a blob that the caller holds; with an error it is
// let go.
func (s *Store) openWhole(e *entry) (*Content, error) {
	f, size, err := s.openChecked(e)
	if err != nil {
		s.letGo(e, time.Time{})
		return nil, err
	}
	return &Content{store: s, entry: e, file: f, size: size, how: Hit}, nil
}

// openChecked opens a blob's file, whose content was checked since it last changed.
// One that is found to be changed is removed; the error is errCorrupt then.
func (s *Store) openChecked(e *entry) (*os.File, int64, error) {
	for {
		f, err := s.root.OpenFile(blobPath(e.digest), os.O_RDONLY|nonblocking, 0)
		if err != nil {
			if !starved(err) { // gone, or something that is no file, or leads elsewhere
				s.corrupt(e, err)
				err = errCorrupt
			}
			return nil, 0, err
		}
		id, err := s.checkOnce(e, f)
		if err == nil && id.size >= 0 {
			return f, id.size, nil
		}
		f.Close()
		if err != nil {
			return nil, 0, err
		}
	}
}

// again is what checkOnce returns for a file that must be looked at again.
var again = identity{size: -1}

// checkOnce reads a file unless it is known, or is being read by another.
func (s *Store) checkOnce(e *entry, f *os.File) (identity, error) {
	info, err := f.Stat()
	if err != nil {
		return again, err
	}
	id := identityOf(info)
	s.mu.Lock()
	switch checking := e.checking; {
	case e.trusted == id:
		s.mu.Unlock()
		return id, nil
	case s.index.entries[e.digest] != e:
		s.mu.Unlock()
		return again, errCorrupt
	case checking != nil:
		s.mu.Unlock()
		<-checking
		return again, nil
	}
	done := make(chan struct{})
	e.checking = done
	s.mu.Unlock()

	s.checks <- struct{}{}
	err = s.check(s.ctx, e.digest, f)
	<-s.checks

	s.mu.Lock()
	e.checking = nil
	if err == nil {
		e.trusted = id
	}
	s.mu.Unlock()
	if errors.Is(err, ErrMismatch) {
		s.corrupt(e, err)
		err = errCorrupt
	}
	close(done)
	return again, err // it may have changed since, which the next look tells
}

// check reads a file and compares its content with a digest. A file that the disk
// cannot read is as good as a wrong one: both are ErrMismatch.
func (s *Store) check(ctx context.Context, d oci.Digest, f *os.File) error {
	s.mu.Lock()
	s.counters.checked++
	s.mu.Unlock()
	if err := regular(f); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	h := d.New()
	buf := make([]byte, downloadBuffer)
	for at := int64(0); ; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := f.ReadAt(buf, at)
		h.Write(buf[:n])
		at += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrMismatch, err)
		}
	}
	if got := oci.FromHash(d.Algorithm(), h); got != d {
		return fmt.Errorf("%w: its file has the digest %s", ErrMismatch, got)
	}
	return nil
}

// corrupt removes a blob whose file is not what it was; false: it is gone already.
func (s *Store) corrupt(e *entry, reason error) bool {
	s.mu.Lock()
	if s.closed || s.index.entries[e.digest] != e {
		s.mu.Unlock()
		return false
	}
	s.counters.corrupt++
	gone := s.index.take(e)
	s.mu.Unlock()
	s.log.Error("a corrupt file was removed from the cache", zap.String("digest", string(e.digest)), zap.Error(reason))
	s.disown(e, gone)
	return true
}
