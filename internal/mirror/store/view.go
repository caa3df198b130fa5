//go:build unix

package store

import (
	"fmt"
	"os"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// View is a look at a cache directory that changes nothing in it, and needs no lock: a
// mirror may be at work in it. It shows what was there when it was taken.
type View struct {
	items []Item
	stats Stats
}

// OpenReadOnly looks at a directory. The errors are ErrNotCached for a directory that
// is not a cache's, and those of the file system.
func OpenReadOnly(dir string) (*View, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the cache directory: %w", err)
	}
	defer root.Close()
	if _, err := root.Lstat(lockName); err != nil {
		if isGone(err) {
			err = fmt.Errorf("%s is no cache directory: %w", dir, ErrNotCached)
		}
		return nil, err
	}
	found, err := scan(root)
	if err != nil {
		return nil, err
	}
	v, whole := new(View), make(map[oci.Digest]bool)
	for _, f := range found.files {
		v.items = append(v.items, Item{Digest: f.digest, Size: f.size, LastUsed: f.used, Kind: kindOf(f.whole)})
		v.stats.Bytes += f.size
		if f.whole {
			whole[f.digest] = true
			v.stats.Blobs++
		} else {
			v.stats.Partials++
			v.stats.PartialBytes += f.size
		}
	}
	known, err := loadRepositories(root, zap.NewNop(), func(d oci.Digest) bool { return whole[d] }, false)
	if err != nil {
		return nil, err
	}
	known.describe(v.items)
	return v, nil
}

// List returns every file of content, those used last first.
func (v *View) List() []Item { return v.items }

// Stats returns the figures that a directory shows; the others are 0.
func (v *View) Stats() Stats { return v.stats }
