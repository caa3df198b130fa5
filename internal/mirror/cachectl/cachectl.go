//go:build unix

// Package cachectl is what an operator's commands do with a cache: look at it, take
// something out, check it. Where a mirror runs on the cache it is asked to do that, by
// its admin address; otherwise the directory is taken for the time, so that no mirror
// begins to use it meanwhile. How it is shown is left to the caller.
package cachectl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"sluice/internal/config/strict"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// Item is one content that is kept.
type Item struct {
	Digest       oci.Digest `json:"digest"`
	Kind         string     `json:"kind"` // index, manifest, blob or partial
	MediaType    string     `json:"media_type,omitempty"`
	Size         int64      `json:"size"` // bytes on disk
	LastUsed     time.Time  `json:"last_used"`
	Repositories []string   `json:"repositories"` // that hold it, as "docker.io/library/alpine"
	Tags         []string   `json:"tags"`         // that name it, as "docker.io/library/alpine:3.22"
}

// Freed says what was removed.
type Freed struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Checked says what was found of one content.
type Checked struct {
	Digest oci.Digest `json:"digest"`
	Size   int64      `json:"size"`
	Error  string     `json:"error,omitempty"` // "": it is what its name says; else it was removed, or cannot be read
}

// Cache is a cache at hand. Close must follow.
type Cache interface {
	// List returns what is kept, what was used last first.
	List(ctx context.Context) ([]Item, error)
	// Remove removes what a target names.
	Remove(ctx context.Context, t Target) (Freed, error)
	// Prune removes what was used least recently, until no more bytes are kept.
	Prune(ctx context.Context, toSize int64) (Freed, error)
	// Verify reads all that is kept, no faster than rate, and calls found for each.
	Verify(ctx context.Context, rate strict.Rate, found func(Checked)) error
	Close() error
}

// Place says where a cache is.
type Place struct {
	Directory string
	Admin     string // of the mirror that may run on it; "": it has none
}

// Look opens a cache to be listed. A mirror may be at work in it.
func Look(p Place) (Cache, error) {
	view, err := store.OpenReadOnly(p.Directory)
	switch {
	case err == nil:
		return looked{view}, nil
	case errors.Is(err, fs.ErrPermission):
		return ask(p, err)
	}
	return nil, sentence(err)
}

// Open opens a cache to be changed. Where root does that, and no mirror runs on it, the
// process is the owner of the directory from then on: what it writes the mirror must be
// able to read.
func Open(p Place) (Cache, error) {
	// A store would make a directory that is not there.
	if _, err := store.OpenReadOnly(p.Directory); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, sentence(err)
	}
	s, err := openStore(p.Directory)
	switch {
	case err == nil:
		return opened{s}, nil
	case errors.Is(err, store.ErrLocked), errors.Is(err, fs.ErrPermission):
		return ask(p, err)
	case !errors.Is(err, store.ErrUnsafe):
		return nil, sentence(err)
	}
	if c, err := ask(p, err); err == nil {
		return c, nil
	}
	dir, became := BecomeOwner(p.Directory)
	if became != nil {
		return nil, errors.Join(err, became)
	}
	if s, err = openStore(dir); err != nil {
		return nil, err
	}
	return opened{s}, nil
}

// openStore takes a directory. Nothing is to be evicted for its size here: that is for
// the mirror, by its own configuration.
func openStore(dir string) (*store.Store, error) {
	return store.Open(store.Options{Dir: dir, MaxSize: math.MaxInt64})
}

// sentence leaves out what the operating system adds to a path.
func sentence(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; is it the directory in [cache]?", err)
	}
	return err
}

// looked is a cache that is looked at.
type looked struct{ *store.View }

func (l looked) List(context.Context) ([]Item, error) { return items(l.View.List()), nil }
func (looked) Close() error                           { return nil }

// errLooked is not met: who changes something has opened the cache for that.
var errLooked = errors.New("the cache was opened to be looked at")

func (looked) Remove(context.Context, Target) (Freed, error)            { return Freed{}, errLooked }
func (looked) Prune(context.Context, int64) (Freed, error)              { return Freed{}, errLooked }
func (looked) Verify(context.Context, strict.Rate, func(Checked)) error { return errLooked }

// opened is a cache that no mirror has.
type opened struct{ *store.Store }

func (o opened) List(context.Context) ([]Item, error) { return items(o.Store.List()), nil }

func (o opened) Remove(_ context.Context, t Target) (Freed, error) {
	if t.Digest != "" {
		freed, err := o.Store.Remove(t.Digest)
		return Freed(freed), err
	}
	var sum Freed
	repositories := t.among(o.Store.List())
	if len(repositories) == 0 {
		return sum, store.ErrNotCached
	}
	for _, r := range repositories {
		freed, err := o.Store.RemoveRepository(r)
		sum.Files += freed.Files
		sum.Bytes += freed.Bytes
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

func (o opened) Prune(_ context.Context, toSize int64) (Freed, error) {
	return Freed(o.Store.Prune(toSize)), nil
}

func (o opened) Verify(ctx context.Context, rate strict.Rate, found func(Checked)) error {
	return o.Store.Verify(ctx, func(v store.Verified) {
		c := Checked{Digest: v.Digest, Size: v.Size}
		if v.Err != nil {
			c.Error = v.Err.Error()
		}
		found(c)
		pause(ctx, rate, v.Size)
	})
}

// pause waits as long as so many bytes take at a rate.
func pause(ctx context.Context, rate strict.Rate, bytes int64) {
	if rate == strict.Unlimited {
		return
	}
	timer := time.NewTimer(time.Duration(float64(bytes) / float64(rate) * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func items(list []store.Item) []Item {
	out := make([]Item, len(list))
	for i, item := range list {
		out[i] = Item{item.Digest, item.Kind, item.MediaType, item.Size, item.LastUsed.UTC(), make([]string, len(item.Repositories)), append([]string{}, item.Tags...)}
		for j, r := range item.Repositories {
			out[i].Repositories[j] = r.String()
		}
	}
	return out
}
