//go:build unix

package store

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"sluice/internal/mirror/oci"
)

// file is a file of content, as a scan finds it.
type file struct {
	digest oci.Digest
	whole  bool
	mark   string // of a part
	size   int64  // bytes
	used   time.Time
}

func (f file) path() string {
	if f.whole {
		return blobPath(f.digest)
	}
	return partialPath(f.digest, f.mark)
}

// inventory is what a scan finds, blobs ahead of parts.
type inventory struct {
	files        files
	strange      int // names that the store does not give
	firstStrange string
}

type files []file

func (f files) sortByUse() {
	slices.SortFunc(f, func(a, b file) int { return a.used.Compare(b.used) })
}

// scan looks at every file of content. What goes away meanwhile is left out.
func scan(root *os.Root) (*inventory, error) {
	found := new(inventory)
	for _, algorithm := range []string{oci.SHA256, oci.SHA512} {
		if err := found.blobs(root, path.Join(blobsDir, algorithm), algorithm); err != nil {
			return nil, fmt.Errorf("scan the cache: %w", err)
		}
	}
	err := each(root, partialDir, func(_ *os.Root, name string, info fs.FileInfo) error {
		d, mark, ok := parsePartial(name)
		found.add(path.Join(partialDir, name), info, file{digest: d, mark: mark}, ok)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("scan the cache: %w", err)
	}
	return found, nil
}

// blobs looks at the directories of one algorithm.
func (found *inventory) blobs(root *os.Root, dir, algorithm string) error {
	return each(root, dir, func(in *os.Root, digits string, info fs.FileInfo) error {
		if !info.IsDir() || len(digits) != shard {
			found.add(path.Join(dir, digits), info, file{}, false)
			return nil
		}
		return each(in, digits, func(_ *os.Root, name string, info fs.FileInfo) error {
			d, err := oci.ParseDigest(algorithm + ":" + name)
			found.add(path.Join(dir, digits, name), info, file{digest: d, whole: true}, err == nil && name[:shard] == digits)
			return nil
		})
	})
}

func (found *inventory) add(name string, info fs.FileInfo, f file, ok bool) {
	if !ok || !info.Mode().IsRegular() {
		if found.strange++; found.strange == 1 {
			found.firstStrange = name
		}
		return
	}
	f.size, f.used = info.Size(), usedAt(info)
	found.files = append(found.files, f)
}

// each calls f for all that a directory has, with the directory, in which a name is
// found without walking all the way again. F may remove any of it. A directory that
// does not exist has nothing.
func each(root *os.Root, dir string, f func(in *os.Root, name string, info fs.FileInfo) error) error {
	in, err := root.OpenRoot(dir)
	if err != nil {
		if isGone(err) {
			return nil
		}
		return err
	}
	defer in.Close()
	names, err := namesIn(in)
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := in.Lstat(name)
		if isGone(err) {
			continue
		}
		if err == nil {
			err = f(in, name, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func namesIn(dir *os.Root) ([]string, error) {
	d, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
