//go:build unix

package store

import (
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// complainEvery is how often it is said at the most that content cannot be kept.
const complainEvery = time.Minute

// untoldShare is which part of the store content may take that does not say how long it
// is: one without an end must not drive everything else out before that shows.
const untoldShare = 4

// reserve makes room for bytes that a download is about to write. Without room for
// them the error is a noRoom.
func (s *Store) reserve(d *download, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken, most := d.entry.stored+d.reserved, s.max
	if d.is.size < 0 { // by the piece
		if n <= d.reserved-d.untold {
			return nil
		}
		most /= untoldShare
		n = max(n, min(reserveStep, most-taken))
	}
	if taken+n > most {
		return &noRoom{errTooLarge}
	}
	if !s.shrink(s.max - n) {
		return &noRoom{errInUse}
	}
	s.index.reserved += n
	d.reserved += n
	return nil
}

// unreserve gives room back, that was used or is not needed. The caller holds mu.
func (s *Store) unreserve(d *download, n int64) {
	n = min(n, d.reserved)
	d.reserved -= n
	s.index.reserved -= n
}

// ended counts a download out. The caller holds mu.
func (s *Store) ended(d *download) {
	s.unreserve(d, d.reserved)
	s.downloads--
	if d.entry.users == 0 {
		s.abandoned--
	}
}

// shrink evicts what was used least recently until no more than limit bytes are kept
// or reserved, or says that it cannot, and evicts nothing. The caller holds mu, which
// is free while files are removed.
func (s *Store) shrink(limit int64) bool {
	for x := &s.index; x.bytes()+x.reserved > limit; {
		if x.bytes()+x.reserved-x.unusedBytes > limit {
			return false
		}
		if _, ok := s.evictOldest(); !ok {
			return false
		}
	}
	return true
}

// evictOldest removes what was used least recently, and returns its size; false: there
// is nothing to evict. The caller holds mu, which is free while the file is removed.
func (s *Store) evictOldest() (int64, bool) {
	first := s.index.unused.Front()
	if first == nil {
		return 0, false
	}
	e := first.Value.(*entry)
	gone := s.index.take(e)
	s.counters.evictions++
	s.counters.evictedBytes += uint64(e.stored)
	s.mu.Unlock()
	_ = s.discard(e, gone) // it has logged why it failed
	s.mu.Lock()
	return e.stored, true
}

// evict frees bytes on a disk that is full, and tells whether it freed any.
func (s *Store) evict(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	freed := int64(0)
	for freed < n {
		size, ok := s.evictOldest()
		if !ok {
			break
		}
		freed += size
	}
	return freed > 0
}

// trim evicts what exceeds the size, as far as it can, unless that is being done.
func (s *Store) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.trimming {
		s.trimming = true
		s.trimOn()
	}
}

// trimOn does what trim has begun. The caller holds mu, which is free while files are
// removed.
func (s *Store) trimOn() {
	defer func() { s.trimming = false }()
	for x := &s.index; x.bytes()+x.reserved > s.max && !s.closed; {
		if _, ok := s.evictOldest(); !ok {
			return
		}
	}
}

// Resize changes how many bytes may be kept. What exceeds that is evicted after it has
// returned, for many files take long to remove; what is in use goes when it no longer is.
func (s *Store) Resize(maxSize int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.max = maxSize
	if s.closed || s.trimming {
		return
	}
	s.trimming = true // so that nobody who has read something does it
	s.work.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.trimOn()
	})
}

// discard removes from disk what was taken out of the index, with all that is known
// of repositories only for its sake.
func (s *Store) discard(e *entry, gone chan struct{}) error {
	err := s.removeFile(e)
	if err == nil && e.whole {
		s.known.forget(e.digest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.index.leaving, e.digest)
	if err != nil { // it takes up room still; that it was used keeps it from being tried again at once
		s.index.entries[e.digest] = e
		s.index.count(e, 1)
	}
	close(gone)
	return err
}

// disown is discard for a file whose content is wrong. One that cannot be removed, as on
// a disk that has become read-only, counts for the store no longer: otherwise nobody
// could have the content any more.
func (s *Store) disown(e *entry, gone chan struct{}) {
	_ = s.removeFile(e) // it has logged why it failed
	s.known.forget(e.digest)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.index.leaving, e.digest)
	close(gone)
}

func (s *Store) removeFile(e *entry) error {
	name := partialPath(e.digest, e.mark)
	if e.whole {
		name = blobPath(e.digest)
	}
	err := s.root.Remove(name)
	if isGone(err) {
		return nil
	}
	if err != nil {
		s.log.Error("a file of the cache cannot be removed", zap.String("file", name), zap.Error(err))
	}
	return err
}

// complain says that content cannot be kept, once in a while.
func (s *Store) complain(d oci.Digest, reason error) {
	s.mu.Lock()
	quiet := time.Since(s.told) < complainEvery
	if !quiet {
		s.told = time.Now()
	}
	s.mu.Unlock()
	if !quiet {
		s.log.Warn("content is passed on but not kept", zap.String("digest", string(d)), zap.Error(reason))
	}
}
