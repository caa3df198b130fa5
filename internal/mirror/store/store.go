//go:build unix

// Package store keeps the content of registries on disk, each under its digest, and
// what is known of repositories: which content they hold, what their tags name, who
// may see them. Content is fetched once for all who want it, and each of them is fed
// from the file while it grows. What is fetched, for whom, and who may have it is
// decided elsewhere.
//
// Nothing is handed out whole that was not hashed: a download hashes what it writes,
// and keeps its last bytes back until the digest is right; a file is hashed before
// its first use by this process, and again when its inode, size or time of change is
// another.
package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

const (
	// defaultIdle and firstPause are the times of transfers.
	defaultIdle = time.Minute
	firstPause  = 200 * time.Millisecond
	// savedEvery is how long the time of an entry's last use may be known to memory
	// alone: what a kill can make of the order of use.
	savedEvery = time.Minute
	// putPatience is how long Put waits for a slow disk, or for another's download of
	// the same content.
	putPatience = 5 * time.Second
	// maxAbandoned is how many downloads go on that nobody waits for any more.
	maxAbandoned = 32
)

// Store is a directory of content. It is safe for concurrent use.
type Store struct {
	root  *os.Root
	lock  *os.File
	log   *zap.Logger
	times times
	known *repositories

	ctx    context.Context // ends with the store, because of ErrClosed
	end    context.CancelCauseFunc
	work   sync.WaitGroup // downloads, and what Resize has begun
	reads  atomic.Int64   // CopyTo under way
	checks chan struct{}  // a place for each file that may be hashed at the same time

	mu        sync.Mutex
	closed    bool
	trimming  bool
	max       int64
	index     index
	downloads int // under way
	abandoned int // of these, without readers
	counters  counters
	told      time.Time // when something that content cannot be kept was said last

	apart      map[apartKey]*entry // what grows apart from the index's entry
	apartFiles uint64              // how often something has begun to
}

// counters have the names of Stats'.
type counters struct {
	evictions, evictedBytes, checked, corrupt, mismatches, uncached uint64
}

// checksAtOnce is how many files are hashed at the same time: enough to keep a disk
// busy, and not all processors when many clients come right after the start.
const checksAtOnce = 4

// Open takes the directory and looks at all that is in it. What exceeds the size is
// evicted. The errors are ErrLocked, ErrUnsafe, and those of the file system. Close
// the store at the end.
func Open(o Options) (*Store, error) {
	root, err := openDir(o.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(root)
	if err != nil {
		root.Close()
		return nil, err
	}
	s := &Store{root: root, lock: lock, log: o.Log, times: times{o.Idle, firstPause}, max: o.MaxSize, index: newIndex(), apart: make(map[apartKey]*entry), checks: make(chan struct{}, checksAtOnce)}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.times.idle <= 0 {
		s.times.idle = defaultIdle
	}
	s.ctx, s.end = context.WithCancelCause(context.Background())
	if err := s.load(); err != nil {
		s.end(ErrClosed)
		lock.Close()
		root.Close()
		return nil, err
	}
	s.trim()
	return s, nil
}

// load makes the index of what is on disk, and removes what nothing needs any more.
func (s *Store) load() error {
	for _, dir := range []string{blobsDir, partialDir, repositoriesDir} {
		if err := mkdirAll(s.root, dir); err != nil {
			return err
		}
	}
	found, err := scan(s.root)
	if err != nil {
		return err
	}
	now := time.Now()
	for i := range found.files {
		f := &found.files[i]
		if f.used.After(now) { // by a clock that was ahead: what is used now would go before it
			f.used = now
		}
		// A part of nothing, or of what is there as a whole, or one that no download goes on with.
		if s.index.entries[f.digest] != nil || !f.whole && (f.size == 0 || isApart(f.mark)) {
			if err := s.root.Remove(f.path()); err != nil {
				return err
			}
			continue
		}
		e := &entry{digest: f.digest, used: f.used, saved: f.used, whole: f.whole, stored: f.size, mark: f.mark}
		s.index.entries[f.digest] = e
		s.index.count(e, 1)
	}
	found.files.sortByUse()
	for _, f := range found.files {
		if e := s.index.entries[f.digest]; e != nil {
			s.index.settle(e)
		}
	}
	s.known, err = loadRepositories(s.root, s.log, func(d oci.Digest) bool {
		e := s.index.entries[d]
		return e != nil && e.whole
	}, true)
	if found.strange > 0 {
		s.log.Warn("files in the cache directory that are not the mirror's are left alone", zap.Int("files", found.strange), zap.String("first", found.firstStrange))
	}
	return err
}

// Close ends downloads, whose readers see ErrClosed, and gives the directory up.
// Contents that are open can be read to their end, if they are whole. Parts are kept,
// and fetched on by the next store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.end(ErrClosed)
	s.work.Wait()
	s.saveUses()
	return errors.Join(s.lock.Close(), s.root.Close())
}

// saveUses writes all times of use that memory alone knows.
func (s *Store) saveUses() {
	s.mu.Lock()
	var late []*entry
	for _, e := range s.index.entries {
		if e.whole && e.used.After(e.saved) {
			e.saved = e.used
			late = append(late, e)
		}
	}
	s.mu.Unlock()
	for _, e := range late {
		setUsed(s.root, blobPath(e.digest), e.saved)
	}
}

// Stats returns the store's figures.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, n := &s.index, s.counters
	return Stats{
		Bytes: x.bytes(), Blobs: x.blobs, PartialBytes: x.partialBytes, Partials: x.partials, MaxSize: s.max,
		Downloads: s.downloads, Reads: int(s.reads.Load()),
		Evictions: n.evictions, EvictedBytes: n.evictedBytes,
		Checked: n.checked, Corrupt: n.corrupt, Mismatches: n.mismatches, Uncached: n.uncached,
	}
}

// Get returns content that is whole, or false. It reads the whole file first where
// its content was not checked yet; a file whose content is wrong is removed. Close
// the content: it is not evicted before.
func (s *Store) Get(d oci.Digest) (*Content, bool) {
	s.mu.Lock()
	e := s.index.entries[d]
	if s.closed || e == nil || !e.whole && !e.verified() {
		s.mu.Unlock()
		return nil, false
	}
	s.hold(e)
	if !e.whole { // on its way to its place
		defer s.mu.Unlock()
		return &Content{store: s, entry: e, download: e.download, how: Hit}, true
	}
	s.mu.Unlock()
	c, err := s.openWhole(e)
	return c, err == nil
}

// Fetch returns content from disk, from the download that is under way, or from one
// that it begins. Origin tells where from comes from: what there is of the content
// from an interrupted download of another origin is not used, for it may be nobody's
// business who can only reach this one. Size is that of the whole content in bytes as
// far as the caller knows it, -1 otherwise. It never waits for the network; what goes
// wrong is told by the content's methods. Close the content: a download goes on
// without its readers nevertheless.
func (s *Store) Fetch(origin string, d oci.Digest, size int64, from Source) *Content {
	return s.fetch(origin, d, size, from, false)
}

// fetch is Fetch, or FetchFrom if the origin has to bring the content itself.
func (s *Store) fetch(origin string, d oci.Digest, size int64, from Source, itself bool) *Content {
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return &Content{store: s, err: err, how: Miss}
	}
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return &Content{store: s, err: ErrClosed, how: Miss}
		}
		if itself {
			if c := s.fetchApart(origin, d, size, from); c != nil {
				s.mu.Unlock()
				return c
			}
		}
		if gone := s.index.leaving[d]; gone != nil {
			s.mu.Unlock()
			<-gone
			continue
		}
		e := s.index.entries[d]
		if e == nil {
			e = &entry{digest: d, used: time.Now()}
			s.index.entries[d] = e
		}
		s.hold(e)
		if !e.whole {
			c := s.joinOrBegin(e, markOf(origin), size, from)
			s.mu.Unlock()
			return c
		}
		s.mu.Unlock()
		c, err := s.openWhole(e)
		if err == nil {
			return c
		}
		if !errors.Is(err, errCorrupt) && !isGone(err) {
			return &Content{store: s, err: err, how: Miss}
		}
	}
}

// Join returns content that is on its way from an origin by a download under way; false:
// there is none.
func (s *Store) Join(origin string, d oci.Digest, from Source) (*Content, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.apart[apartKey{d, origin}]
	if e == nil {
		e = s.index.entries[d]
	}
	if s.closed || e == nil || e.whole || e.download == nil || e.apart == nil && e.mark != markOf(origin) {
		return nil, false
	}
	s.hold(e)
	return s.joinOrBegin(e, e.mark, -1, from), true
}

// Put keeps content that is at hand already, and returns when it is on disk. The
// errors are ErrMismatch when the digest does not name it, ErrNotKept when there is no
// room for it, ErrBusy when it is on its way for longer than the caller is to wait, and
// ErrClosed: the caller has the content nevertheless.
func (s *Store) Put(d oci.Digest, body []byte) error {
	c := s.Fetch("", d, int64(len(body)), func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		size := int64(len(body))
		return io.NopCloser(bytes.NewReader(body[min(offset, size):])), size, nil
	})
	defer c.Close()
	ctx, cancel := context.WithTimeoutCause(context.Background(), putPatience, ErrBusy)
	defer cancel()
	return c.wait(ctx)
}

// joinOrBegin returns the content of an entry that is not whole. The caller holds mu
// and the entry.
func (s *Store) joinOrBegin(e *entry, mark string, size int64, from Source) *Content {
	c := &Content{store: s, entry: e, from: from, how: Miss}
	if e.download == nil {
		e.download = newDownload(s, e, mark, size, from)
		s.downloads++
		s.work.Go(e.download.run)
	} else if c.late = e.download.streamed(); !c.late {
		c.how = Joined
	}
	c.download = e.download
	return c
}

// hold keeps an entry from being evicted. The caller holds mu.
func (s *Store) hold(e *entry) {
	if e.users == 0 && e.downloading() {
		s.abandoned--
	}
	s.index.hold(e)
}

// letGo takes back one hold; a time says that the content was used then.
func (s *Store) letGo(e *entry, used time.Time) {
	s.mu.Lock()
	if used.After(e.used) {
		e.used = used
	}
	save := e.whole && !s.closed && e.used.Sub(e.saved) >= savedEvery
	if save {
		e.saved = e.used
		used = e.used
	}
	s.index.letGo(e)
	after := s.left(e)
	s.mu.Unlock()
	if save {
		setUsed(s.root, blobPath(e.digest), used)
	}
	after()
	s.trim()
}

// left sees what becomes of a download when its last reader has gone: it goes on,
// unless too many do, and what is only streamed ends. It returns what is to be done
// without mu, which the caller holds.
func (s *Store) left(e *entry) func() {
	d := e.download
	switch {
	case e.users > 0 || d == nil:
	case !d.streamed() && !e.spent:
		s.abandoned++
		if s.abandoned > maxAbandoned {
			d.cancel(errAbandoned)
		}
	case s.closed: // the directory may be another's
		return d.dropSpare
	case e.apart != nil:
		e.download = nil
		return func() {
			d.dropSpare()
			d.cancel(nil)
			s.discardApart(e)
		}
	default:
		e.download = nil
		gone := s.index.take(e)
		return func() {
			d.dropSpare()
			d.cancel(nil)
			_ = s.discard(e, gone)
		}
	}
	return func() {}
}
