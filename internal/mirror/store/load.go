//go:build unix

package store

import (
	"io/fs"
	"os"
	"path"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// loader reads what is known of repositories.
type loader struct {
	*repositories
	has   func(oci.Digest) bool // whether content is there
	tidy  bool                  // remove what is of no use
	wrong int                   // records that could not be read
}

// loadRepositories reads what is known of repositories; what concerns content that is
// not there is left out, and removed if it is to be tidied up.
func loadRepositories(root *os.Root, log *zap.Logger, has func(oci.Digest) bool, tidy bool) (*repositories, error) {
	l := &loader{repositories: newRepositories(root, log), has: has, tidy: tidy}
	var err error
	if failed := l.edit(func() { err = l.registries() }); err == nil {
		err = failed
	}
	if l.wrong > 0 {
		log.Warn("records of repositories in the cache directory could not be read", zap.Int("files", l.wrong))
	}
	return l.repositories, err
}

func (l *loader) registries() error {
	return each(l.root, repositoriesDir, func(_ *os.Root, registry string, info fs.FileInfo) error {
		if r, err := oci.ParseRegistry(registry); err == nil && r == registry && info.IsDir() {
			return l.below(oci.Repository{Registry: registry})
		}
		return nil
	})
}

// below reads the repositories whose names begin with that of one.
func (l *loader) below(r oci.Repository) error {
	dir := path.Join(repositoriesDir, r.Registry, r.Name)
	err := each(l.root, dir, func(_ *os.Root, name string, info fs.FileInfo) error {
		if name == unwritten && l.tidy {
			l.remove(path.Join(dir, name))
			return nil
		}
		// What a repository has of its own is no name of another.
		if inner, err := oci.ParseName(path.Join(r.Name, name)); err == nil && info.IsDir() {
			return l.below(oci.Repository{Registry: r.Registry, Name: inner})
		}
		return nil
	})
	if err != nil || r.Name == "" {
		return err
	}
	return l.load(r, dir)
}

// load reads one repository, if there is one.
func (l *loader) load(r oci.Repository, dir string) error {
	k := l.get(r, dir)
	if what, ok := l.read(l.root, path.Join(dir, stateFile)); ok {
		l.setState(k, State{Visibility: what.Visibility, Checked: what.Checked})
	}
	err := l.each(path.Join(dir, linksDir), func(name string, what record) bool {
		d, ok := parseDigestFile(name)
		if ok = ok && l.has(d); ok {
			l.link(k, d, Link{what.MediaType, what.Size})
		}
		return ok
	})
	if err != nil {
		return err
	}
	err = l.each(path.Join(dir, tagsDir), func(tag string, what record) bool {
		ok := oci.ParseTag(tag) == nil && what.Digest != "" && l.has(what.Digest)
		if ok {
			l.tag(k, tag, Tag{what.Digest, what.MediaType, what.Checked})
		}
		return ok
	})
	switch {
	case k.records() > 0:
		if l.tidy {
			l.bound(k)
		}
	case l.tidy:
		l.drop(k)
	default:
		delete(l.all, r)
	}
	return err
}

// each reads all records of a directory. Those that keep refuses, and those that cannot
// be read, are of no use.
func (l *loader) each(dir string, keep func(name string, what record) bool) error {
	var useless []string
	err := each(l.root, dir, func(in *os.Root, name string, _ fs.FileInfo) error {
		what, ok := l.read(in, name)
		if !ok || !keep(name, what) {
			useless = append(useless, name)
		}
		return nil
	})
	if l.tidy {
		for _, name := range useless {
			l.remove(path.Join(dir, name))
		}
	}
	return err
}

// read reads one record.
func (l *loader) read(in *os.Root, name string) (record, bool) {
	f, err := in.OpenFile(name, os.O_RDONLY|nonblocking, 0)
	if err != nil {
		if !isGone(err) {
			l.wrong++
		}
		return record{}, false
	}
	defer f.Close()
	text := make([]byte, maxRecord+1)
	n, _ := f.Read(text)
	what, err := parseRecord(text[:n])
	if err != nil {
		l.wrong++
	}
	return what, err == nil
}
