package console

import (
	"sync"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// images knows what manifests name. What a digest stands for does not change, so that
// each manifest is read once.
type images struct {
	peek func(d oci.Digest, most int64) ([]byte, bool)

	mu   sync.Mutex
	read map[oci.Digest][]oci.Digest // what each manifest names
}

// Bounds of what is read and kept of manifests.
const (
	mostImages   = 20_000 // manifests that are remembered
	mostChildren = 1000   // of one manifest
	// mostRead is how many manifests one answer may read: where there are more tags,
	// the rest get their sizes in the answers that follow.
	mostRead = 2000
)

// measure says of each tag how many bytes are kept of what it names.
func (m *images) measure(items []store.Item, list []Repository) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read == nil || len(m.read) > mostImages {
		m.read = make(map[oci.Digest][]oci.Digest)
	}
	kept := make(map[oci.Digest]*store.Item, len(items))
	for i := range items {
		kept[items[i].Digest] = &items[i]
	}
	left := mostRead
	for i := range list {
		for k := range list[i].Tags {
			tag := &list[i].Tags[k]
			seen := make(map[oci.Digest]bool)
			tag.Size = m.sum(tag.Digest, kept, seen, &left)
		}
	}
}

// sum returns the bytes that are kept of what a digest names, each content once.
func (m *images) sum(d oci.Digest, kept map[oci.Digest]*store.Item, seen map[oci.Digest]bool, left *int) int64 {
	item := kept[d]
	if item == nil || seen[d] {
		return 0
	}
	seen[d] = true
	size := item.Size
	if item.Kind != store.KindIndex && item.Kind != store.KindManifest {
		return size
	}
	for _, child := range m.children(item, left) {
		size += m.sum(child, kept, seen, left)
	}
	return size
}

func (m *images) children(item *store.Item, left *int) []oci.Digest {
	if list, known := m.read[item.Digest]; known || *left == 0 {
		return list
	}
	*left--
	body, ok := m.peek(item.Digest, oci.MaxManifest)
	if !ok {
		return nil
	}
	var list []oci.Digest
	if content, err := oci.Manifest(item.MediaType, body); err == nil {
		for _, child := range content.Children[:min(mostChildren, len(content.Children))] {
			list = append(list, child.Digest)
		}
	}
	m.read[item.Digest] = list
	return list
}
