//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/internal/crash"
	"sluice/internal/mirror/oci"
)

const (
	// downloadBuffer is how much is read, hashed and written at a time.
	downloadBuffer = 256 << 10
	// Readers are woken for so many bytes, or after so long: a thousand of them for
	// each TLS record would keep a processor busy. What is kept from them for a
	// moment is no content without what follows.
	tellBytes = 128 << 10
	tellEvery = 10 * time.Millisecond
	// reserveStep is how much room is made at a time for content of unknown size.
	reserveStep = 4 << 20
	// roomTries is how often one write is tried again after room was made on a full
	// disk.
	roomTries = 3
)

var (
	errAbandoned = errors.New("too many downloads that nobody waits for")
	errTooLarge  = errors.New("it is larger than all that may be kept")
	errInUse     = errors.New("all that is kept is in use")
	errStreamed  = errors.New("what another registry sends of it finds no room")
)

// progress is how far a download has come.
type progress struct {
	size     int64 // of the whole content; -1: not known
	got      int64 // bytes in the file
	verified bool  // all is there, and is what the digest names
	streamed bool  // no more is kept: readers fetch the rest themselves
	err      error // it has failed
}

// download brings content into a file that grows.
type download struct {
	store  *Store
	entry  *entry
	from   Source
	ctx    context.Context
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when nothing more happens on disk

	// The downloading goroutine's own; once streamed is set, hash is only cloned.
	hash   hash.Hash // of all that the file has
	file   *os.File
	untold int64 // bytes in the file that readers do not know of
	toldAt time.Time

	reserved int64 // bytes of the index's that are this download's; guarded by the store's mu

	naming sync.RWMutex // held while the file gets another name
	name   string

	foreign string // a file with a part of another origin, which is to be removed; "": there is none

	mu      sync.Mutex
	is      progress
	changed chan struct{} // closed at the next change; nil: nobody waits
	spare   *transfer     // what was under way when streamed was set, for the first reader
}

// newDownload returns a download for run. The caller holds the store's mu.
func newDownload(s *Store, e *entry, mark string, size int64, from Source) *download {
	d := &download{store: s, entry: e, from: from, ended: make(chan struct{}), hash: e.digest.New(), name: partialPath(e.digest, mark)}
	if e.mark != mark {
		d.foreign, e.mark = partialPath(e.digest, e.mark), mark
	}
	d.ctx, d.cancel = context.WithCancelCause(s.ctx)
	d.is.size = max(size, -1)
	return d
}

// run does all until the content is kept, is streamed only, or has failed.
func (d *download) run() {
	defer close(d.ended)
	t := &transfer{ctx: d.ctx, from: d.from, times: d.store.times, size: d.is.size}
	err := d.guarded(t)
	defer d.close()
	var room *noRoom
	if errors.As(err, &room) {
		d.giveUpKeeping(room, t)
		return
	}
	t.disconnect()
	keep := true
	if err == nil && d.entry.apart != nil {
		keep, err = d.reunite()
	}
	switch {
	case errors.As(err, &room):
		d.giveUpKeeping(room, nil)
	case err != nil:
		d.fail(err)
	case keep:
		d.keep()
	}
}

// guarded makes an error of a panic in the Source, which would end the process.
func (d *download) guarded(t *transfer) (err error) {
	defer func() {
		if p := crash.Recovered(recover()); p != nil {
			d.store.log.Error("a download has panicked", zap.String("digest", string(d.entry.digest)), zap.Error(p))
			err = p
		}
	}()
	return d.fetch(t)
}

// noRoom says why content is not kept.
type noRoom struct{ err error }

func (n *noRoom) Error() string { return n.err.Error() }
func (n *noRoom) Unwrap() error { return n.err }

// fetch brings all content into the file, and checks it.
func (d *download) fetch(t *transfer) error {
	at, err := d.resume()
	if err != nil {
		return err
	}
	if t.at = at; at == 0 || !d.matches() {
		if err := d.transfer(t); err != nil {
			return err
		}
	}
	d.tell()
	if !d.matches() {
		return fmt.Errorf("%w: it has another digest than %s", ErrMismatch, d.entry.digest)
	}
	d.change(func(is *progress) { is.size, is.verified = is.got, true })
	return nil
}

func (d *download) matches() bool {
	return oci.FromHash(d.entry.digest.Algorithm(), d.hash) == d.entry.digest
}

// transfer brings what is missing.
func (d *download) transfer(t *transfer) error {
	if err := t.connect(); err != nil {
		return err
	}
	if t.size >= 0 {
		d.change(func(is *progress) { is.size = t.size })
		if t.size < t.at {
			return fmt.Errorf("%w: it has %d bytes, of which %d are here", ErrMismatch, t.size, t.at)
		}
		if err := d.store.reserve(d, t.size-t.at); err != nil {
			return err
		}
	}
	if err := d.create(); err != nil {
		return &noRoom{err}
	}
	buf := make([]byte, downloadBuffer)
	for {
		n, err := t.read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if stored, err := d.write(buf[:n], t.size-t.at); err != nil {
			t.giveBack(buf[stored:n])
			return err
		}
	}
}

// resume reads what is there of the content, so that the hash knows it, and returns
// how much that is.
func (d *download) resume() (int64, error) {
	if d.foreign != "" {
		return 0, d.remove(d.foreign)
	}
	d.store.mu.Lock()
	there := d.entry.stored
	d.store.mu.Unlock()
	if there == 0 {
		return 0, nil
	}
	if size := d.is.size; size >= 0 && there > size {
		return 0, d.clear()
	}
	if err := d.open(); err != nil {
		return 0, d.clear()
	}
	buf := make([]byte, downloadBuffer)
	at := int64(0)
	for {
		if err := context.Cause(d.ctx); err != nil {
			return 0, err
		}
		n, err := d.file.Read(buf)
		d.hash.Write(buf[:n])
		at += int64(n)
		d.change(func(is *progress) { is.got = at })
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("%w: what is here of it cannot be read: %w", ErrMismatch, err)
		}
	}
	d.store.mu.Lock()
	d.store.index.resize(d.entry, at)
	d.store.mu.Unlock()
	return at, nil
}

// open opens the file that has a part of the content, at its beginning.
func (d *download) open() error {
	f, err := d.store.root.OpenFile(d.name, os.O_RDWR|nonblocking, 0)
	if err != nil {
		return err
	}
	if err := regular(f); err != nil {
		f.Close()
		return err
	}
	d.file = f
	return nil
}

// create makes the file, unless it is open. What has its name is none of the index's,
// and goes: it may have more bytes than the content, be a pipe, or lead elsewhere.
func (d *download) create() error {
	if d.file != nil {
		return nil
	}
	flag := os.O_RDWR | os.O_CREATE | os.O_EXCL
	f, err := d.store.root.OpenFile(d.name, flag, fileMode)
	if errors.Is(err, fs.ErrExist) && d.clear() == nil || isGone(err) && mkdirAll(d.store.root, partialDir) == nil {
		f, err = d.store.root.OpenFile(d.name, flag, fileMode)
	}
	d.file = f
	return err
}

func (d *download) close() {
	if d.file != nil {
		d.file.Close()
	}
}

// clear removes the file.
func (d *download) clear() error { return d.remove(d.name) }

func (d *download) remove(name string) error {
	if err := d.store.root.Remove(name); err != nil && !isGone(err) {
		return err
	}
	d.store.mu.Lock()
	d.store.index.resize(d.entry, 0)
	d.store.mu.Unlock()
	return nil
}

// write puts p at the file's end and into the hash, and returns how much of it. Left
// is what follows, as far as that is known.
func (d *download) write(p []byte, left int64) (int, error) {
	if left < 0 {
		if err := d.store.reserve(d, int64(len(p))); err != nil {
			return 0, err
		}
	}
	done := 0
	for try := 0; ; try++ {
		n, err := d.file.Write(p[done:])
		d.hash.Write(p[done : done+n])
		d.wrote(n)
		done += n
		if err == nil {
			return done, nil
		}
		if !full(err) || try == roomTries || !d.store.evict(int64(len(p)-done)+max(left, reserveStep)) {
			return done, &noRoom{err}
		}
	}
}
