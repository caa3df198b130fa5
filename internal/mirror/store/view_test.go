package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/mirror/oci"
)

func TestOperatorsSeeWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	manifest, layer, index, loose := put(t, s, 1, 100), put(t, s, 2, 2000), put(t, s, 3, 50), put(t, s, 4, 10)
	for _, err := range []error{
		s.Link(alpine, manifest, Link{oci.TypeDocker, 100}), s.Link(alpine, layer, Link{"application/vnd.oci.image.layer.v1.tar+gzip", 2000}),
		s.Link(local, layer, Link{"", 2000}), s.Link(alpine, index, Link{oci.TypeIndex, 50}),
		s.SetTag(alpine, "3", Tag{Digest: index}), s.SetTag(alpine, "latest", Tag{Digest: index}), s.SetTag(local, "x", Tag{Digest: manifest}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	use, _ := s.Get(layer)
	use.Close()
	got := s.List()
	view, err := OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := []Item{
		{Digest: layer, Size: 2000, Kind: KindBlob, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Repositories: []oci.Repository{alpine, local}},
		{Digest: loose, Size: 10, Kind: KindBlob},
		{Digest: index, Size: 50, Kind: KindIndex, MediaType: oci.TypeIndex, Repositories: []oci.Repository{alpine}, Tags: []string{"docker.io/library/alpine:3", "docker.io/library/alpine:latest"}},
		{Digest: manifest, Size: 100, Kind: KindManifest, MediaType: oci.TypeDocker, Repositories: []oci.Repository{alpine, local}, Tags: []string{"reg.example:5000/a/b:x"}},
	}
	noTime := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".LastUsed" }, cmp.Ignore())
	if diff := cmp.Diff(want, got, noTime); diff != "" {
		t.Error(diff)
	}
	byDigest := func(items []Item) []Item {
		items = slices.Clone(items)
		slices.SortFunc(items, func(a, b Item) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
		return items
	}
	if diff := cmp.Diff(byDigest(got), byDigest(view.List()), noTime); diff != "" {
		t.Errorf("from outside: %s", diff)
	}
	if stats := view.Stats(); stats.Bytes != 2160 || stats.Blobs != 4 {
		t.Errorf("from outside: %+v", stats)
	}
	if _, err := s.Remove(oci.FromBytes([]byte("what was never there"))); !errors.Is(err, ErrNotCached) {
		t.Error(err)
	}
	if freed, err := s.RemoveRepository(alpine); err != nil || freed != (Freed{1, 50}) {
		t.Errorf("%+v, %v", freed, err) // the others are another repository's, too
	}
	if _, err := OpenReadOnly(t.TempDir()); !errors.Is(err, ErrNotCached) {
		t.Error(err)
	}
}

func TestALookFromOutsideChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 100)
	if err := s.Link(alpine, d, Link{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, blobPath(d))); err != nil {
		t.Fatal(err)
	}
	before := recordFiles(t, dir)
	if _, err := OpenReadOnly(dir); err != nil {
		t.Fatal(err)
	}
	if after := recordFiles(t, dir); !slices.Equal(before, after) {
		t.Errorf("%q, then %q", before, after)
	}
}
