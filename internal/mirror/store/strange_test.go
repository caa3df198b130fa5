//go:build unix

package store

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"sluice/internal/mirror/oci"
)

// inTheWay are things that are no file of content, made where one should be.
var inTheWay = []struct {
	name string
	make func(path string) error
}{
	{"a pipe", func(path string) error { return syscall.Mkfifo(path, 0o600) }},
	{"a link out of the directory", func(path string) error { return os.Symlink("/etc/passwd", path) }},
	{"a link to itself", func(path string) error { return os.Symlink(filepath.Base(path), path) }},
	{"a link to nothing", func(path string) error { return os.Symlink("nothing", path) }},
	{"a link to the lock", func(path string) error { return os.Symlink("../"+lockName, path) }},
	{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }},
	{"a directory that cannot be removed", func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) }},
	{"a longer file", func(path string) error { return os.WriteFile(path, make([]byte, 400<<10), 0o600) }},
}

func TestABlobThatIsNoFileAnyMoreIsFetchedAgain(t *testing.T) {
	content := noise(1, 200<<10)
	d := oci.FromBytes(content)
	for _, c := range inTheWay {
		for name, use := range map[string]func(*Store) bool{
			"Get":  func(s *Store) bool { _, ok := s.Get(d); return ok },
			"Peek": func(s *Store) bool { _, ok := s.Peek(d, 1<<20); return ok },
			"Verify": func(s *Store) (ok bool) {
				err := s.Verify(t.Context(), func(v Verified) { ok = v.Err == nil })
				return ok || err != nil
			},
			"Fetch": func(*Store) bool { return false },
		} {
			t.Run(c.name+", "+name, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir, 1<<20)
				if err := s.Put(d, content); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, blobPath(d))
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				if err := c.make(path); err != nil {
					t.Fatal(err)
				}
				if use(s) {
					t.Error("it passes for what it was")
				}
				o := &origin{content: content}
				if got, err := whole(s.Fetch("", d, -1, o.fetch)); err != nil || !bytes.Equal(got, content) || o.calls.Load() != 1 {
					t.Errorf("fetched again: %d bytes, %v, %d requests", len(got), err, o.calls.Load())
				}
			})
		}
	}
}

func TestWhatHasTheNameOfAPartIsNotWrittenInto(t *testing.T) {
	content := noise(1, 200<<10)
	d := oci.FromBytes(content)
	for _, c := range inTheWay {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 1<<20)
			if err := c.make(filepath.Join(dir, partialPath(d, ""))); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if got, err := whole(s.Fetch("", d, -1, (&origin{content: content}).fetch)); err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				settled(t, s)
			}
			if info, err := os.Stat(filepath.Join(dir, lockName)); err != nil || info.Size() != 0 {
				t.Errorf("the lock has %d bytes, %v", info.Size(), err)
			}
			if s.Stats().Uncached == 0 {
				agree(t, s, dir)
			}
		})
	}
}

func TestAPartThatGrowsBeyondWhatWasWrittenIsNotKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	content := noise(1, 200<<10)
	d := oci.FromBytes(content)
	o := &origin{content: content, body: func(_ int64, rest []byte) io.Reader {
		longer := readerFunc(func([]byte) (int, error) { // while the file is open
			path := filepath.Join(dir, partialPath(d, ""))
			if err := os.Truncate(path, 400<<10); err != nil {
				t.Error(err)
			}
			return 0, io.EOF
		})
		return io.MultiReader(bytes.NewReader(rest[:100<<10]), longer, bytes.NewReader(rest[100<<10:]))
	}}
	if got, err := whole(s.Fetch("", d, -1, o.fetch)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	settled(t, s)
	if c, ok := s.Get(d); ok {
		got, err := whole(c)
		t.Errorf("%d bytes are kept, %v", len(got), err)
	}
	agree(t, s, dir)
}

func TestADirectoryOfPartsThatWasRemovedIsMadeAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	for _, name := range []string{blobsDir, partialDir, repositoriesDir} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	mustFetch(t, s, noise(1, 200<<10))
	agree(t, s, dir)
}
