package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

func TestACorruptFileIsNeverServedAndFetchedAgain(t *testing.T) {
	content := noise(1, 200<<10)
	d := oci.FromBytes(content)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		spoil   func(path string)
		restart bool
	}{
		{"a byte is another", func(path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(err)
			_, err = f.WriteAt([]byte{content[100] ^ 1}, 100)
			must(err)
			must(f.Close())
			must(os.Chtimes(path, time.Time{}, time.Now().Add(time.Second)))
		}, false},
		{"it was cut off", func(path string) { must(os.Truncate(path, 1000)) }, false},
		{"it is empty", func(path string) { must(os.Truncate(path, 0)) }, false},
		{"it is gone", func(path string) { must(os.Remove(path)) }, false},
		{"it is longer", func(path string) {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			must(err)
			_, err = f.Write([]byte{0})
			must(err)
			must(f.Close())
		}, false},
		{"another file has its name", func(path string) {
			info, err := os.Stat(path)
			must(err)
			must(os.WriteFile(path+"x", make([]byte, len(content)), 0o600))
			must(os.Chtimes(path+"x", time.Time{}, info.ModTime()))
			must(os.Rename(path+"x", path))
		}, false},
		{"a byte was another before the start, and no time tells", func(path string) {
			info, err := os.Stat(path)
			must(err)
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(err)
			_, err = f.WriteAt([]byte{content[100] ^ 1}, 100)
			must(err)
			must(f.Close())
			must(os.Chtimes(path, time.Time{}, info.ModTime()))
		}, true},
	} {
		for _, way := range []string{"Get", "Fetch"} {
			t.Run(c.name+", "+way, func(t *testing.T) {
				dir := t.TempDir()
				s := open(t, dir, 1<<20)
				must(s.Put(d, content))
				use, ok := s.Get(d)
				if !ok {
					t.Fatal("it is not there")
				}
				use.Close()
				if c.restart {
					s.Close()
				}
				c.spoil(filepath.Join(dir, blobPath(d)))
				if c.restart {
					s = open(t, dir, 1<<20)
				}
				if way == "Get" {
					if _, ok := s.Get(d); ok {
						t.Fatal("it is served")
					}
					agree(t, s, dir)
				}
				o := &origin{content: content}
				fetched := s.Fetch("", d, -1, o.fetch)
				if got, err := whole(fetched); err != nil || !bytes.Equal(got, content) || fetched.How() != Miss || o.calls.Load() != 1 {
					t.Errorf("fetched again: %d bytes, %v, %s, %d requests", len(got), err, fetched.How(), o.calls.Load())
				}
				if n := s.Stats().Corrupt; n != 1 {
					t.Errorf("%d corrupt files are counted", n)
				}
				settled(t, s)
				agree(t, s, dir)
			})
		}
	}
}

func TestAFileThatIsCutWhileItIsReadIsAFailure(t *testing.T) {
	s := open(t, t.TempDir(), 10<<20)
	content := noise(2, 4<<20)
	d := oci.FromBytes(content)
	if err := s.Put(d, content); err != nil {
		t.Fatal(err)
	}
	c, ok := s.Get(d)
	if !ok {
		t.Fatal("it is not there")
	}
	pieces := 0
	n, err := c.CopyTo(context.Background(), io.Discard, 0, -1, func() error {
		if pieces++; pieces == 2 {
			return os.Truncate(filepath.Join(s.root.Name(), blobPath(d)), 3<<19)
		}
		return nil
	})
	if !errors.Is(err, ErrMismatch) || n >= 4<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
	c.Close()
	if _, ok := s.Get(d); ok {
		t.Error("it is served again")
	}
}

func TestAFileIsCheckedOnceHoweverManyComeAtTheStart(t *testing.T) {
	dir := t.TempDir()
	content := noise(3, 1<<20)
	d := oci.FromBytes(content)
	s := open(t, dir, 10<<20)
	if err := s.Put(d, content); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, dir, 10<<20)
	var readers sync.WaitGroup
	for range 50 {
		readers.Go(func() {
			c, ok := s.Get(d)
			if !ok {
				t.Error("it is not there")
				return
			}
			if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	if n := s.Stats().Checked; n != 1 {
		t.Errorf("it was read %d times", n)
	}
}

func TestVerifyFindsAndRemovesWhatIsCorrupt(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	good, bad := put(t, s, 1, 1000), put(t, s, 2, 1000)
	before := make(map[oci.Digest]time.Time)
	for _, item := range s.List() {
		before[item.Digest] = item.LastUsed
	}
	if err := os.WriteFile(filepath.Join(dir, blobPath(bad)), make([]byte, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	found := make(map[oci.Digest]error)
	if err := s.Verify(context.Background(), func(v Verified) { found[v.Digest] = v.Err }); err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found[good] != nil || !errors.Is(found[bad], ErrMismatch) {
		t.Errorf("%v", found)
	}
	agree(t, s, dir)
	if list := s.List(); len(list) != 1 || list[0].Digest != good || !list[0].LastUsed.Equal(before[good]) {
		t.Errorf("%+v", list)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	stop(io.ErrClosedPipe)
	if err := s.Verify(ctx, func(Verified) { t.Error("after its end") }); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestAFileThatTheDiskCannotReadIsCheckedAnew(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	d := put(t, s, 1, 1000)
	for _, c := range []struct {
		err    error
		checks uint64
	}{{syscall.EPIPE, 0}, {syscall.EIO, 1}} { // of the client, of the disk
		content, ok := s.Get(d)
		if !ok {
			t.Fatal("it is not there")
		}
		if err := content.unreadable(os.NewSyscallError("sendfile", c.err)); !errors.Is(err, c.err) {
			t.Error(err)
		}
		content.Close()
		if content, ok = s.Get(d); !ok || s.Stats().Checked != c.checks {
			t.Errorf("after %v: %t, %d checks", c.err, ok, s.Stats().Checked)
		}
		content.Close()
	}
}

func TestWhatCannotBePutInItsPlaceIsServedAndNotKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	content := noise(5, 100<<10)
	d := oci.FromBytes(content)
	inTheWay := filepath.Join(dir, blobPath(d))
	if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := whole(s.Fetch("", d, -1, (&origin{content: content}).fetch)); err != nil || !bytes.Equal(got, content) {
		t.Error(len(got), err)
	}
	settled(t, s)
	if err := s.Put(d, content); !errors.Is(err, ErrNotKept) {
		t.Error(err)
	}
	if _, ok := s.Get(d); ok || s.Stats().Uncached != 2 {
		t.Errorf("%t, %+v", ok, s.Stats())
	}
	agree(t, s, dir)
}
