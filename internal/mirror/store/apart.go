//go:build unix

package store

import (
	"context"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// Content that is here from one origin, or on its way, is nobody's business who may only
// reach another that names the same digest: that one has to bring it too. Until it has,
// what it sends grows apart, in a file of its own. A comparison with what is kept would
// save that file, and tell an origin that makes bytes up which of them are right.

// FetchFrom is Fetch for an origin that has to bring the content itself, whatever is here
// of it from elsewhere: it is joined with no download but the origin's own. Once it has
// come, there is one file of it again.
func (s *Store) FetchFrom(origin string, d oci.Digest, size int64, from Source) *Content {
	return s.fetch(origin, d, size, from, true)
}

// apartKey names what grows apart, until that ends.
type apartKey struct {
	digest oci.Digest
	origin string
}

// fetchApart returns content that an origin brings apart; nil: it need not, for there is
// no more of the content than a part. The caller holds mu.
func (s *Store) fetchApart(origin string, d oci.Digest, size int64, from Source) *Content {
	key := apartKey{d, origin}
	e, other := s.apart[key], s.index.entries[d]
	if e == nil {
		if other == nil || !other.whole && (other.download == nil || other.mark == markOf(origin)) {
			return nil
		}
		s.apartFiles++
		e = &entry{digest: d, used: time.Now(), apart: &key, mark: apartMark(origin, s.apartFiles)}
		s.apart[key] = e
	}
	s.hold(e)
	return s.joinOrBegin(e, e.mark, size, from)
}

// growsApart tells whether some origin brings content apart. The caller holds mu.
func (s *Store) growsApart(d oci.Digest) bool {
	for key := range s.apart {
		if key.digest == d {
			return true
		}
	}
	return false
}

// reunite ends what grew apart and has been checked. It tells whether that is the store's
// content now, and is to be kept as any other; if not, there is a file of it already, and
// its own goes with its last reader. The error is a noRoom, or why the download ends.
func (d *download) reunite() (keep bool, err error) {
	s, e := d.store, d.entry
	for {
		s.mu.Lock()
		s.unreserve(d, d.reserved) // all of it is here
		other, wait := s.index.entries[e.digest], s.index.leaving[e.digest]
		if other != nil && other.downloading() {
			wait = other.download.ended
		}
		switch {
		case wait != nil: // for what another origin's comes to: that need not be anything
			s.mu.Unlock()
			select {
			case <-wait:
			case <-d.ctx.Done():
				return false, context.Cause(d.ctx)
			}
			continue
		case other == nil:
			delete(s.apart, *e.apart)
			e.apart = nil
			s.index.entries[e.digest] = e
			s.mu.Unlock()
			return true, nil
		case !other.whole && other.download == nil: // a part of what is here as a whole
			gone := s.index.take(other)
			s.mu.Unlock()
			if err := s.discard(other, gone); err != nil {
				return false, &noRoom{err}
			}
			continue
		case !other.whole:
			s.mu.Unlock()
			return false, &noRoom{errStreamed}
		}
		s.ended(d)
		delete(s.apart, *e.apart)
		e.spent = true
		after := s.left(e)
		s.mu.Unlock()
		after()
		return false, nil
	}
}

// discardApart removes a file that grew apart, after its last reader.
func (s *Store) discardApart(e *entry) {
	if err := s.root.Remove(partialPath(e.digest, e.mark)); err != nil && !isGone(err) {
		s.log.Error("a file of the cache cannot be removed", zap.String("file", partialPath(e.digest, e.mark)), zap.Error(err))
		return // it takes up room still, until the next start
	}
	s.mu.Lock()
	s.index.resize(e, 0)
	s.mu.Unlock()
}
