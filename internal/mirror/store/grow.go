//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"go.uber.org/zap"
)

// wrote counts bytes that were put into the file, and tells readers of them from time
// to time.
func (d *download) wrote(n int) {
	d.untold += int64(n)
	if d.untold >= tellBytes || time.Since(d.toldAt) >= tellEvery {
		d.tell()
	}
}

// tell brings the index and the readers up to date.
func (d *download) tell() {
	n := d.untold
	if n == 0 {
		return
	}
	s := d.store
	s.mu.Lock()
	s.index.resize(d.entry, d.entry.stored+n)
	s.unreserve(d, n)
	s.mu.Unlock()
	d.change(func(is *progress) { is.got += n })
	d.untold, d.toldAt = 0, time.Now()
}

// change makes progress known.
func (d *download) change(f func(is *progress)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.is)
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

func (d *download) progress() progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.is
}

func (d *download) streamed() bool { return d.progress().streamed }

// await waits until the progress is enough for the caller, and returns it. It returns
// early with the error of a download that has failed, or with that of ctx.
func (d *download) await(ctx context.Context, enough func(progress) bool) (progress, error) {
	for {
		d.mu.Lock()
		is := d.is
		if is.err != nil || enough(is) {
			d.mu.Unlock()
			return is, is.err
		}
		if d.changed == nil {
			d.changed = make(chan struct{})
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return is, context.Cause(ctx)
		}
	}
}

// openFile opens the file for a reader, by the name that it has now.
func (d *download) openFile() (*os.File, error) {
	d.naming.RLock()
	defer d.naming.RUnlock()
	return d.store.root.OpenFile(d.name, os.O_RDONLY|nonblocking, 0)
}

// keep makes the checked file a blob. It is on disk then, whatever happens to the
// machine.
func (d *download) keep() {
	s, e := d.store, d.entry
	file, err := d.place()
	if err != nil {
		d.giveUpKeeping(err, nil)
		return
	}
	s.mu.Lock()
	s.ended(d)
	e.download = nil
	e.used = time.Now()
	e.saved = e.used
	s.index.complete(e)
	e.trusted = file
	s.index.settle(e)
	s.mu.Unlock()
	d.cancel(nil)
}

// place gives the file its name among the blobs. The order is that of a file system
// that may write later calls earlier: content, name.
func (d *download) place() (identity, error) {
	root, name := d.store.root, blobPath(d.entry.digest)
	if err := d.file.Sync(); err != nil {
		return identity{}, err
	}
	if err := mkdirAll(root, path.Dir(name)); err != nil {
		return identity{}, err
	}
	info, err := d.file.Stat()
	if err != nil {
		return identity{}, err
	}
	if got := d.progress().got; info.Size() != got {
		return identity{}, fmt.Errorf("%w: its file has %d bytes, of which %d were written", ErrMismatch, info.Size(), got)
	}
	d.naming.Lock()
	defer d.naming.Unlock()
	if err := root.Rename(d.name, name); err != nil {
		return identity{}, err
	}
	d.name = name
	// A name that a power cut takes away is found as that of a part, or not at all.
	_ = syncDir(root, path.Dir(name))
	return identityOf(info), nil
}

// fail ends a download that has failed. What is there of the content stays, for the
// next one to go on with, unless it is not the content that was asked for.
func (d *download) fail(err error) {
	s, e := d.store, d.entry
	d.tell()
	mismatch := errors.Is(err, ErrMismatch)
	if mismatch || e.apart != nil || d.progress().got == 0 {
		if err := d.clear(); err != nil {
			s.log.Error("what was fetched in vain cannot be removed", zap.String("file", d.name), zap.Error(err))
		}
	}
	s.mu.Lock()
	if mismatch {
		s.counters.mismatches++
	}
	s.ended(d)
	e.download = nil
	if e.apart != nil {
		delete(s.apart, *e.apart)
	}
	e.used = time.Now()
	s.index.settle(e)
	s.mu.Unlock()
	d.change(func(is *progress) { is.err = err })
	d.cancel(nil)
}

// giveUpKeeping ends a download that finds no room. Its readers have what is in the
// file, which goes with the last of them, and fetch the rest themselves; the first
// goes on with the transfer that is under way, if there is one.
func (d *download) giveUpKeeping(reason error, spare *transfer) {
	s, e := d.store, d.entry
	d.tell()
	s.complain(e.digest, reason)
	s.mu.Lock()
	s.counters.uncached++
	s.ended(d)
	if e.apart != nil {
		delete(s.apart, *e.apart)
	}
	d.change(func(is *progress) {
		is.streamed = true
		if d.spare = spare; spare != nil {
			is.size = spare.size
		}
	})
	after := s.left(e)
	s.mu.Unlock()
	time.AfterFunc(s.times.idle, d.dropSpare)
	after()
}

// takeSpare returns the transfer that was under way when the download ended, to the
// first who asks.
func (d *download) takeSpare() *transfer {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.spare
	d.spare = nil
	return t
}

// dropSpare ends that transfer if nobody has taken it.
func (d *download) dropSpare() {
	if t := d.takeSpare(); t != nil {
		t.disconnect()
	}
}
