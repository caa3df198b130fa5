package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
)

func TestNoNameLeavesTheDirectory(t *testing.T) {
	outside := t.TempDir()
	dir := filepath.Join(outside, "cache")
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	for _, r := range []oci.Repository{
		{Registry: "..", Name: "x"}, {Registry: ".", Name: "x"}, {Registry: "", Name: "x"}, {Registry: "docker.io", Name: ""},
		{Registry: "docker.io", Name: ".."}, {Registry: "docker.io", Name: "../../x"}, {Registry: "docker.io", Name: "a/../b"},
		{Registry: "docker.io", Name: "/etc"}, {Registry: "docker.io", Name: "a//b"}, {Registry: "docker.io", Name: "a/"},
		{Registry: "docker.io", Name: "_tags"}, {Registry: "docker.io", Name: "a/_links/x"}, {Registry: "docker.io", Name: ".new"},
		{Registry: "docker.io/../..", Name: "x"}, {Registry: "a/b", Name: "x"}, {Registry: "docker.io", Name: "a\x00b"},
		{Registry: "Docker.io", Name: "x"}, {Registry: "docker.io", Name: "Alpine"}, {Registry: "docker.io", Name: "a\\..\\b"},
		{Registry: "docker.io", Name: strings.Repeat("a", 256)}, {Registry: "_links", Name: "x"},
	} {
		if s.Link(r, d, Link{}) == nil || s.SetTag(r, "x", Tag{Digest: d}) == nil || s.SetState(r, State{}) == nil {
			t.Errorf("%q is taken", r)
		}
	}
	for _, tag := range []string{"", "..", ".new", "../x", "a/b", "a\x00", strings.Repeat("a", 129)} {
		if s.SetTag(alpine, tag, Tag{Digest: d}) == nil {
			t.Errorf("the tag %q is taken", tag)
		}
	}
	for _, bad := range []oci.Digest{"", "sha256:", "sha256:../../x", "md5:00"} {
		if s.Link(alpine, bad, Link{}) == nil || s.SetTag(alpine, "x", Tag{Digest: bad}) == nil {
			t.Errorf("the digest %q is taken", bad)
		}
		if _, ok := s.Get(bad); ok {
			t.Errorf("the digest %q is there", bad)
		}
		if c := s.Fetch("", bad, -1, (&origin{}).fetch); c.err == nil {
			t.Errorf("the digest %q is fetched", bad)
		}
	}
	if s.SetState(alpine, State{Visibility: "open"}) == nil {
		t.Error("a visibility that is none is taken")
	}
	if files := recordFiles(t, dir); len(files) != 0 {
		t.Errorf("on disk: %q", files)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("beside the directory: %v, %v", left, err)
	}
}

func TestSymbolicLinksLeadNowhere(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	if err := os.Symlink(outside, filepath.Join(dir, repositoriesDir, "docker.io")); err != nil {
		t.Fatal(err)
	}
	if s.Link(alpine, d, Link{}) == nil {
		t.Error("a link to elsewhere was followed")
	}
	content := noise(2, 1000)
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, content, 0o600); err != nil {
		t.Fatal(err)
	}
	e := oci.FromBytes(content)
	path := filepath.Join(dir, blobPath(e))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, path); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, 1<<20)
	if _, ok := s.Get(e); ok {
		t.Error("a link to elsewhere is served")
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 1 {
		t.Errorf("elsewhere: %v, %v", left, err)
	}
}

func FuzzNamesOnDisk(f *testing.F) {
	for _, name := range []string{digestFile(oci.FromBytes(nil)), "sha512-00", "../x", "docker.io", "_tags"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if d, ok := parseDigestFile(name); ok && (digestFile(d) != name || !filepath.IsLocal(partialPath(d, "")) || !filepath.IsLocal(blobPath(d))) {
			t.Errorf("%q is read as %s", name, d)
		}
		for _, r := range []oci.Repository{{Registry: name, Name: "x"}, {Registry: "docker.io", Name: name}} {
			if path, ok := repositoryPath(r); ok && (!filepath.IsLocal(path) || path != repositoriesDir+"/"+r.Registry+"/"+r.Name) {
				t.Errorf("%q is kept at %q", r, path)
			}
		}
	})
}
