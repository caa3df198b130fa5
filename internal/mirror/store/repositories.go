//go:build unix

package store

import (
	"container/list"
	"fmt"
	"os"
	"path"
	"sync"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// What is known of repositories is bounded, for who pulls chooses their names. What
// is beyond is forgotten, and asked for again when it is needed.
const (
	// maxRecords is how many links, tags and states are kept, of all repositories; each
	// takes about 300 bytes of memory and a block on disk.
	maxRecords = 200_000
	// maxTags is how many tags of one repository are.
	maxTags = 10_000
)

// repositories is what is known of them: in memory, and written to small files, each
// by rename, so that a reader finds the old one or the new one. They are not waited
// for until they are on disk: what a power cut takes is asked for again.
type repositories struct {
	root *os.Root
	log  *zap.Logger

	maxRecords, maxTags int

	disk  sync.Mutex     // held by edits, ahead of mu
	later []func() error // what an edit has to do on disk

	mu      sync.RWMutex // never held while a disk is waited for
	all     map[oci.Repository]*repository
	order   *list.List // of *repository, least recently changed first
	holders map[oci.Digest]map[*repository]bool
	records int
}

type repository struct {
	name  oci.Repository
	dir   string
	state State
	links map[oci.Digest]Link
	tags  map[string]Tag
	place *list.Element
}

func (r *repository) records() int {
	n := len(r.links) + len(r.tags)
	if r.state != (State{}) {
		n++
	}
	return n
}

func newRepositories(root *os.Root, log *zap.Logger) *repositories {
	return &repositories{
		root: root, log: log, maxRecords: maxRecords, maxTags: maxTags, order: list.New(),
		all: make(map[oci.Repository]*repository), holders: make(map[oci.Digest]map[*repository]bool),
	}
}

// Link says that a repository holds content. A media type that is none is left out.
// It is forgotten with the content. The errors say that there is no such name, or are
// the file system's; what was said holds until the store is closed nevertheless, unless
// there is no such name.
func (s *Store) Link(r oci.Repository, d oci.Digest, l Link) error {
	l = Link{oci.MediaType(l.MediaType), max(l.Size, 0)}
	if _, err := oci.ParseDigest(string(d)); err != nil {
		return err
	}
	return s.known.change(r, func(k *repository) (string, record, bool) {
		if old, ok := k.links[d]; ok && old == l {
			return "", record{}, false
		}
		s.known.link(k, d, l)
		return path.Join(linksDir, digestFile(d)), record{MediaType: l.MediaType, Size: l.Size}, true
	})
}

// Linked returns what is known of content in a repository; false: not that the
// repository holds it.
func (s *Store) Linked(r oci.Repository, d oci.Digest) (Link, bool) {
	s.known.mu.RLock()
	defer s.known.mu.RUnlock()
	k := s.known.all[r]
	if k == nil {
		return Link{}, false
	}
	l, ok := k.links[d]
	return l, ok
}

// HeldIn tells whether some repository of a registry holds content.
func (s *Store) HeldIn(registry string, d oci.Digest) bool {
	s.known.mu.RLock()
	defer s.known.mu.RUnlock()
	for k := range s.known.holders[d] {
		if k.name.Registry == registry {
			return true
		}
	}
	return false
}

// SetTag says what a tag names. It is forgotten with the manifest that it names. The
// errors are Link's.
func (s *Store) SetTag(r oci.Repository, tag string, t Tag) error {
	if err := oci.ParseTag(tag); err != nil {
		return err
	}
	if _, err := oci.ParseDigest(string(t.Digest)); err != nil {
		return err
	}
	t.MediaType = oci.MediaType(t.MediaType)
	return s.known.change(r, func(k *repository) (string, record, bool) {
		s.known.tag(k, tag, t)
		return path.Join(tagsDir, tag), record{Digest: t.Digest, MediaType: t.MediaType, Checked: t.Checked}, true
	})
}

// Tag returns what a tag names; false: that is not known.
func (s *Store) Tag(r oci.Repository, tag string) (Tag, bool) {
	s.known.mu.RLock()
	defer s.known.mu.RUnlock()
	k := s.known.all[r]
	if k == nil {
		return Tag{}, false
	}
	t, ok := k.tags[tag]
	return t, ok
}

// DeleteTag forgets a tag.
func (s *Store) DeleteTag(r oci.Repository, tag string) error {
	return s.known.edit(func() {
		if k := s.known.all[r]; k != nil {
			s.known.dropTag(k, tag)
		}
	})
}

// SetState says what is known of a repository. The errors are Link's.
func (s *Store) SetState(r oci.Repository, state State) error {
	if !isVisibility(state.Visibility) {
		return fmt.Errorf("%q is no visibility", state.Visibility)
	}
	return s.known.change(r, func(k *repository) (string, record, bool) {
		s.known.setState(k, state)
		return stateFile, record{Visibility: state.Visibility, Checked: state.Checked}, true
	})
}

// State returns what is known of a repository.
func (s *Store) State(r oci.Repository) State {
	s.known.mu.RLock()
	defer s.known.mu.RUnlock()
	if k := s.known.all[r]; k != nil {
		return k.state
	}
	return State{}
}

// change changes what is known of a repository, and writes the record that the change
// returns with its name; false: there is nothing to write.
func (p *repositories) change(r oci.Repository, f func(*repository) (string, record, bool)) error {
	dir, ok := repositoryPath(r)
	if !ok {
		return fmt.Errorf("%q is no repository", r)
	}
	err := p.edit(func() {
		k := p.get(r, dir)
		p.order.MoveToBack(k.place)
		if name, what, write := f(k); write {
			p.write(path.Join(dir, name), what)
		}
		p.bound(k)
	})
	if err != nil {
		return fmt.Errorf("write what is known of %s: %w", r, err)
	}
	return nil
}

func (p *repositories) get(r oci.Repository, dir string) *repository {
	k := p.all[r]
	if k == nil {
		k = &repository{name: r, dir: dir, links: make(map[oci.Digest]Link), tags: make(map[string]Tag)}
		k.place = p.order.PushBack(k)
		p.all[r] = k
	}
	return k
}
