//go:build unix

package store

import (
	"encoding/json"
	"errors"
	"maps"
	"path"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// edit changes what is known by f, and then the files, in the order of the changes.
// Who only asks never waits for a disk.
func (p *repositories) edit(f func()) error {
	p.disk.Lock()
	defer p.disk.Unlock()
	p.mu.Lock()
	f()
	later := p.later
	p.later = nil
	p.mu.Unlock()
	var errs []error
	for _, do := range later {
		errs = append(errs, do())
	}
	return errors.Join(errs...)
}

// write puts a record into a file, at the end of an edit.
func (p *repositories) write(name string, r record) {
	p.later = append(p.later, func() error { return p.writeNow(name, r) })
}

func (p *repositories) writeNow(name string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := path.Dir(name)
	if err := p.root.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	draft := path.Join(dir, unwritten)
	if err := p.root.WriteFile(draft, text, fileMode); err != nil {
		return err
	}
	return p.root.Rename(draft, name)
}

func (p *repositories) link(k *repository, d oci.Digest, l Link) {
	p.records -= k.records()
	k.links[d] = l
	p.records += k.records()
	p.hold(k, d)
}

func (p *repositories) tag(k *repository, tag string, t Tag) {
	if old, ok := k.tags[tag]; ok && old.Digest != t.Digest {
		delete(k.tags, tag)
		p.records--
		p.letGo(k, old.Digest)
	}
	p.records -= k.records()
	k.tags[tag] = t
	p.records += k.records()
	p.hold(k, t.Digest)
}

func (p *repositories) setState(k *repository, state State) {
	p.records -= k.records()
	k.state = state
	p.records += k.records()
}

// hold notes that something of a repository concerns a digest.
func (p *repositories) hold(k *repository, d oci.Digest) {
	if p.holders[d] == nil {
		p.holders[d] = make(map[*repository]bool)
	}
	p.holders[d][k] = true
}

// letGo takes that back, if nothing does any more.
func (p *repositories) letGo(k *repository, d oci.Digest) {
	if _, ok := k.links[d]; ok {
		return
	}
	for _, t := range k.tags {
		if t.Digest == d {
			return
		}
	}
	delete(p.holders[d], k)
	if len(p.holders[d]) == 0 {
		delete(p.holders, d)
	}
}

// bound forgets the tag of a repository that was checked least recently, and the
// repositories of which something was learnt least recently.
func (p *repositories) bound(k *repository) {
	if len(k.tags) > p.maxTags {
		p.dropOldestTag(k)
	}
	for p.records > p.maxRecords {
		p.drop(p.order.Front().Value.(*repository))
	}
}

func (p *repositories) dropOldestTag(k *repository) {
	oldest := ""
	for tag, t := range k.tags {
		if oldest == "" || t.Checked.Before(k.tags[oldest].Checked) {
			oldest = tag
		}
	}
	p.dropTag(k, oldest)
}

func (p *repositories) dropTag(k *repository, tag string) {
	t, ok := k.tags[tag]
	if !ok {
		return
	}
	delete(k.tags, tag)
	p.records--
	p.letGo(k, t.Digest)
	p.remove(path.Join(k.dir, tagsDir, tag))
}

// drop forgets a repository.
func (p *repositories) drop(k *repository) {
	p.records -= k.records()
	delete(p.all, k.name)
	p.order.Remove(k.place)
	digests := k.digests()
	clear(k.links)
	clear(k.tags)
	for d := range digests {
		p.letGo(k, d)
	}
	for _, name := range []string{tagsDir, linksDir, stateFile} {
		p.remove(path.Join(k.dir, name))
	}
	p.later = append(p.later, func() error {
		for dir := k.dir; dir != repositoriesDir && p.root.Remove(dir) == nil; { // if it is empty
			dir = path.Dir(dir)
		}
		return nil
	})
}

// digests are those that something of a repository concerns.
func (r *repository) digests() map[oci.Digest]bool {
	digests := make(map[oci.Digest]bool)
	for d := range r.links {
		digests[d] = true
	}
	for _, t := range r.tags {
		digests[t.Digest] = true
	}
	return digests
}

// remove removes a record's file, or a directory of them, at the end of an edit.
func (p *repositories) remove(name string) {
	p.later = append(p.later, func() error {
		err := p.root.RemoveAll(name)
		if err != nil {
			p.log.Error("what is known of a repository cannot be removed", zap.String("file", name), zap.Error(err))
		}
		return err
	})
}

// forget forgets all that concerns content that is gone.
func (p *repositories) forget(d oci.Digest) {
	_ = p.edit(func() { // what failed is logged
		for k := range maps.Clone(p.holders[d]) {
			for tag, t := range maps.Clone(k.tags) {
				if t.Digest == d {
					p.dropTag(k, tag)
				}
			}
			if _, ok := k.links[d]; ok {
				delete(k.links, d)
				p.records--
				p.letGo(k, d)
				p.remove(path.Join(k.dir, linksDir, digestFile(d)))
			}
			if k.records() == 0 {
				p.drop(k)
			}
		}
	})
}
