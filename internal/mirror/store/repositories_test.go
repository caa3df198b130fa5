package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/mirror/oci"
)

var (
	alpine = oci.Repository{Registry: "docker.io", Name: "library/alpine"}
	local  = oci.Repository{Registry: "reg.example:5000", Name: "a/b"}
	above  = oci.Repository{Registry: "reg.example:5000", Name: "a"}
	six    = oci.Repository{Registry: "[2001:db8::1]:5000", Name: "x"}
)

func TestWhatIsKnownOfRepositoriesOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	link := Link{MediaType: oci.TypeManifest, Size: 1000}
	tag := Tag{Digest: d, MediaType: oci.TypeManifest, Checked: at}
	state := State{Visibility: Private, Checked: at}
	all := []oci.Repository{alpine, local, above, six}
	for _, r := range all {
		if _, ok := s.Linked(r, d); ok {
			t.Error("linked before it was said")
		}
		if _, ok := s.Tag(r, "latest"); ok || s.State(r) != (State{}) {
			t.Error("known before it was said")
		}
		for _, err := range []error{s.Link(r, d, link), s.SetTag(r, "latest", tag), s.SetTag(r, "_old.1-x", tag), s.SetState(r, state)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	look := func(when string) {
		t.Helper()
		for _, r := range all {
			gotLink, _ := s.Linked(r, d)
			gotTag, _ := s.Tag(r, "latest")
			if gotLink != link || !cmp.Equal(gotTag, tag) || !cmp.Equal(s.State(r), state) {
				t.Errorf("%s, %s: %+v, %+v, %+v", when, r, gotLink, gotTag, s.State(r))
			}
		}
	}
	look("at once")
	s.Close()
	s = open(t, dir, 1<<20)
	look("after a restart")
	if err := s.DeleteTag(alpine, "latest"); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Tag(alpine, "latest"); ok {
		t.Error("the tag is still there")
	}
	s.Close()
	s = open(t, dir, 1<<20)
	if _, ok := s.Tag(alpine, "latest"); ok {
		t.Error("the tag is there again")
	}
	if _, ok := s.Tag(alpine, "_old.1-x"); !ok {
		t.Error("the other tag is gone")
	}
}

func TestWhatConcernsContentThatIsGoneIsForgotten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d, other := put(t, s, 1, 1000), put(t, s, 2, 1000)
	for _, r := range []oci.Repository{alpine, local} {
		for _, err := range []error{
			s.Link(r, d, Link{Size: 1000}), s.SetTag(r, "gone", Tag{Digest: d}), s.SetTag(r, "moved", Tag{Digest: d}),
			s.SetTag(r, "moved", Tag{Digest: other}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Link(above, d, Link{Size: 1000}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Remove(d); err != nil {
		t.Fatal(err)
	}
	for _, r := range []oci.Repository{alpine, local, above} {
		if _, ok := s.Linked(r, d); ok {
			t.Errorf("%s is said to hold it", r)
		}
		if _, ok := s.Tag(r, "gone"); ok {
			t.Errorf("a tag of %s names it", r)
		}
		if _, ok := s.Tag(r, "moved"); ok != (r != above) {
			t.Errorf("the tag of %s that names other content: %t", r, ok)
		}
	}
	if files := recordFiles(t, dir); !slices.Equal(files, []string{"docker.io/library/alpine/_tags/moved", "reg.example:5000/a/b/_tags/moved"}) {
		t.Errorf("on disk: %q", files)
	}
	if _, err := s.RemoveRepository(local); err != nil {
		t.Fatal(err)
	}
	if there(s, other) != "1" {
		t.Error("content that another repository's tag names is gone")
	}
	if freed, err := s.RemoveRepository(alpine); err != nil || freed != (Freed{1, 1000}) {
		t.Error(freed, err)
	}
	if _, err := s.RemoveRepository(alpine); !errors.Is(err, ErrNotCached) {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, repositoriesDir, "docker.io")); err == nil {
		t.Errorf("directories are left: %v", left)
	}
	agree(t, s, dir)
}

// recordFiles are the files below repositories.
func recordFiles(t testing.TB, dir string) (names []string) {
	t.Helper()
	root := filepath.Join(dir, repositoriesDir)
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestRecordsOfNoUseAreGoneAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d, gone := put(t, s, 1, 1000), put(t, s, 2, 1000)
	for _, x := range []oci.Digest{d, gone} {
		if err := s.Link(alpine, x, Link{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Link(local, gone, Link{}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.Remove(filepath.Join(dir, blobPath(gone))); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, repositoriesDir, "docker.io/library/alpine")
	if err := os.MkdirAll(filepath.Join(base, tagsDir), 0o700); err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(record{Digest: d})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"_tags/good": string(good), "_tags/broken": "{", "_tags/.new": string(good), ".new": "{}", "_tags/empty": "", "_tags/none": "{}",
		"_tags/long": string(good) + strings.Repeat(" ", maxRecord), "_state": `{"visibility":"open"}`, "_links/sha256-12": "{}",
	} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, 1<<20)
	if _, ok := s.Tag(alpine, "good"); !ok || s.State(alpine) != (State{}) {
		t.Error("what is good is not known, or what is bad is")
	}
	want := []string{"docker.io/library/alpine/_links/" + digestFile(d), "docker.io/library/alpine/_state", "docker.io/library/alpine/_tags/good"}
	if files := recordFiles(t, dir); !slices.Equal(files, want) {
		t.Errorf("on disk: %q", files)
	}
}

func TestWhatIsKnownOfRepositoriesIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	s.known.maxRecords, s.known.maxTags = 20, 5
	for i := range 9 {
		if err := s.SetTag(alpine, fmt.Sprint("v", i), Tag{Digest: d, Checked: time.Unix(int64(100-i), 0)}); err != nil {
			t.Fatal(err)
		}
	}
	if files := recordFiles(t, dir); len(files) != 5 || len(s.known.all[alpine].tags) != 5 {
		t.Errorf("%d tags of one repository are kept: %q", len(s.known.all[alpine].tags), files)
	}
	for i := range 100 {
		r := oci.Repository{Registry: "docker.io", Name: fmt.Sprint("many/", i)}
		if err := s.SetState(r, State{Visibility: Public}); err != nil {
			t.Fatal(err)
		}
		if err := s.Link(r, d, Link{}); err != nil {
			t.Fatal(err)
		}
	}
	if files := recordFiles(t, dir); len(files) != 20 || s.known.records != 20 || len(s.known.all) != 10 || s.State(oci.Repository{Registry: "docker.io", Name: "many/99"}).Visibility != Public {
		t.Errorf("%d records, %d repositories; on disk: %q", s.known.records, len(s.known.all), files)
	}
	if n := len(s.known.holders[d]); n != 10 {
		t.Errorf("%d repositories are said to hold what 10 do", n)
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range []record{{}, {Digest: oci.FromBytes(nil), MediaType: oci.TypeIndex, Checked: time.Unix(1, 2)}, {Size: 5, Visibility: Public}} {
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRecord(text)
		if err != nil {
			return
		}
		if r.Size < 0 || strings.ContainsFunc(r.MediaType, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%+v", r)
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseRecord(again); err != nil || !cmp.Equal(back, r) {
			t.Errorf("%+v, then %+v: %v", r, back, err)
		}
	})
}

func TestWhoAsksDoesNotWaitForADisk(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	d := put(t, s, 1, 1000)
	if err := s.Link(alpine, d, Link{Size: 1000}); err != nil {
		t.Fatal(err)
	}
	hangs, goOn := make(chan struct{}), make(chan struct{})
	var edits sync.WaitGroup
	edits.Go(func() {
		err := s.known.edit(func() {
			s.known.later = append(s.known.later, func() error { close(hangs); <-goOn; return nil })
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-hangs
	edits.Go(func() {
		if err := s.SetTag(alpine, "latest", Tag{Digest: d}); err != nil {
			t.Error(err)
		}
	})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		if _, ok := s.Linked(alpine, d); !ok {
			t.Error("what was linked is not")
		}
		if _, ok := s.Tag(alpine, "latest"); ok || s.State(alpine) != (State{}) || !s.HeldIn("docker.io", d) || len(s.List()) != 1 {
			t.Error("what was not said is known, or the other way round")
		}
	}()
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Error("who asks waits for a disk")
	}
	close(goOn)
	edits.Wait()
	<-asked
	if _, ok := s.Tag(alpine, "latest"); !ok {
		t.Error("the tag is not known")
	}
}
