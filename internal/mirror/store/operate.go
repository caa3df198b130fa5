//go:build unix

package store

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"

	"sluice/internal/mirror/oci"
)

// List returns every file of content, those used last first.
func (s *Store) List() []Item {
	s.mu.Lock()
	items := make([]Item, 0, len(s.index.entries))
	for _, e := range s.index.entries {
		if e.whole || e.stored > 0 {
			items = append(items, Item{Digest: e.digest, Size: e.stored, LastUsed: e.used, Kind: kindOf(e.whole)})
		}
	}
	for _, e := range s.apart {
		if e.stored > 0 {
			items = append(items, Item{Digest: e.digest, Size: e.stored, LastUsed: e.used, Kind: KindPartial})
		}
	}
	s.mu.Unlock()
	s.known.describe(items)
	return items
}

func kindOf(whole bool) string {
	if whole {
		return KindBlob
	}
	return KindPartial
}

// describe adds to items what repositories say of them, and sorts them.
func (p *repositories) describe(items []Item) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	tags := make(map[oci.Digest][]string)
	for _, k := range p.all {
		for tag, t := range k.tags {
			tags[t.Digest] = append(tags[t.Digest], k.name.String()+":"+tag)
		}
	}
	for i := range items {
		item := &items[i]
		for k := range p.holders[item.Digest] {
			item.Repositories = append(item.Repositories, k.name)
			if l := k.links[item.Digest]; l.MediaType != "" {
				item.MediaType = max(item.MediaType, l.MediaType) // the same one in whatever order
			}
		}
		if item.Kind == KindBlob {
			item.Kind = kindOfType(item.MediaType)
		}
		slices.SortFunc(item.Repositories, func(a, b oci.Repository) int { return strings.Compare(a.String(), b.String()) })
		item.Tags = tags[item.Digest]
		slices.Sort(item.Tags)
	}
	slices.SortFunc(items, func(a, b Item) int {
		if c := b.LastUsed.Compare(a.LastUsed); c != 0 {
			return c
		}
		return strings.Compare(string(a.Digest), string(b.Digest))
	})
}

func kindOfType(mediaType string) string {
	switch {
	case oci.Content{MediaType: mediaType}.IsIndex():
		return KindIndex
	case slices.Contains(oci.ManifestTypes(), mediaType):
		return KindManifest
	}
	return KindBlob
}

// Remove removes content, and all that is known of repositories for its sake; whoever
// is reading it reads on. The errors are ErrNotCached, ErrBusy while it is being
// fetched, and the file system's.
func (s *Store) Remove(d oci.Digest) (Freed, error) {
	s.mu.Lock()
	e := s.index.entries[d]
	switch {
	case e == nil && s.growsApart(d):
		s.mu.Unlock()
		return Freed{}, ErrBusy
	case e == nil || !e.whole && e.stored == 0 && e.download == nil:
		s.mu.Unlock()
		return Freed{}, ErrNotCached
	case e.download != nil || s.closed:
		s.mu.Unlock()
		return Freed{}, ErrBusy
	}
	gone := s.index.take(e)
	s.mu.Unlock()
	if err := s.discard(e, gone); err != nil {
		return Freed{}, err
	}
	return Freed{1, e.stored}, nil
}

// RemoveRepository forgets a repository, and removes the content that no other one is
// known to hold. Content that is being fetched stays. The errors are ErrNotCached for
// a repository of which nothing is known, and the file system's.
func (s *Store) RemoveRepository(r oci.Repository) (Freed, error) {
	digests, ok := s.known.removeRepository(r)
	if !ok {
		return Freed{}, ErrNotCached
	}
	var freed Freed
	var errs []error
	for _, d := range digests {
		one, err := s.Remove(d)
		freed.Files += one.Files
		freed.Bytes += one.Bytes
		if err != nil && !errors.Is(err, ErrNotCached) && !errors.Is(err, ErrBusy) {
			errs = append(errs, err)
		}
	}
	return freed, errors.Join(errs...)
}

// removeRepository forgets a repository, and returns the digests that no other one
// holds; false: it is not known.
func (p *repositories) removeRepository(r oci.Repository) ([]oci.Digest, bool) {
	var digests []oci.Digest
	known := false
	_ = p.edit(func() { // what failed is logged
		k := p.all[r]
		if known = k != nil; !known {
			return
		}
		all := k.digests()
		p.drop(k)
		maps.DeleteFunc(all, func(d oci.Digest, _ bool) bool { return p.holders[d] != nil })
		digests = slices.Sorted(maps.Keys(all))
	})
	return digests, known
}

// Prune evicts what was used least recently, until no more than so many bytes are
// kept. What is in use stays.
func (s *Store) Prune(toSize int64) Freed {
	s.mu.Lock()
	defer s.mu.Unlock()
	var freed Freed
	for !s.closed && s.index.bytes() > toSize {
		size, ok := s.evictOldest()
		if !ok {
			break
		}
		freed.Files++
		freed.Bytes += size
	}
	return freed
}

// Verify reads every blob and calls found for each. Corrupt ones are removed. It
// returns the error of ctx when that ends it; what Verify does is no use of content,
// and disturbs nobody who uses it but for the disk's time.
func (s *Store) Verify(ctx context.Context, found func(Verified)) error {
	s.mu.Lock()
	digests := make([]oci.Digest, 0, s.index.blobs)
	for d, e := range s.index.entries {
		if e.whole {
			digests = append(digests, d)
		}
	}
	s.mu.Unlock()
	slices.Sort(digests)
	for _, d := range digests {
		if result, ok := s.verify(ctx, d); ctx.Err() == nil && ok {
			found(result)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// verify reads one blob; false: it is gone. It may be evicted meanwhile.
func (s *Store) verify(ctx context.Context, d oci.Digest) (Verified, bool) {
	s.mu.Lock()
	e := s.index.entries[d]
	if e == nil || !e.whole || s.closed {
		s.mu.Unlock()
		return Verified{}, false
	}
	used, size := e.used, e.stored
	s.mu.Unlock()
	f, err := s.root.OpenFile(blobPath(d), os.O_RDONLY|nonblocking, 0)
	if err == nil {
		defer f.Close()
		err = s.check(ctx, d, f)
		setUsed(s.root, blobPath(d), used) // reading it may have changed that
	}
	if errors.Is(err, ErrMismatch) || f == nil && !starved(err) {
		if !s.corrupt(e, err) {
			return Verified{}, false
		}
	}
	return Verified{Digest: d, Size: size, Err: err}, true
}
