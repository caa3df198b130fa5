package store

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"sluice/internal/lab"
	"sluice/internal/mirror/oci"
)

// smallDisk makes a file system of so many bytes that has no place in the tree of
// names: it can be reached by the descriptor alone, and goes with it.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		lab.LeaveOut(t, fmt.Sprintf("a disk that is full, for want of the right to make a small one (fsopen: %v)", err))
	}
	defer unix.Close(fs)
	for key, value := range map[string]string{"size": fmt.Sprint(size), "mode": "0700"} {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		t.Fatal(err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(mount) })
	return fmt.Sprintf("/proc/self/fd/%d/.", mount)
}

func TestAFullDiskIsStreamedPast(t *testing.T) {
	for _, said := range []int64{0, -1} { // the size, by the upstream
		dir := smallDisk(t, 2<<20)
		logs, seen := observer.New(zapcore.WarnLevel)
		s, err := Open(Options{Dir: dir, MaxSize: 100 << 20, Log: zap.New(logs)})
		if err != nil {
			t.Fatal(err)
		}
		content := noise(1, 3<<20)
		d := oci.FromBytes(content)
		for range 2 {
			o := &origin{content: content, size: said}
			c := s.Fetch("", d, -1, o.fetch)
			if got, err := whole(c); err != nil || !bytes.Equal(got, content) || o.calls.Load() != 1 {
				t.Fatalf("%d bytes, %v, %d requests", len(got), err, o.calls.Load())
			}
			agree(t, s, dir)
			if stats := s.Stats(); stats.Bytes != 0 {
				t.Errorf("%+v", stats)
			}
		}
		o := &origin{content: content, size: said}
		var readers sync.WaitGroup
		for i := range 10 {
			c := s.Fetch("", d, -1, o.fetch)
			readers.Go(func() {
				if i%2 == 0 { // some want the end only
					defer c.Close()
					var b bytes.Buffer
					if _, err := c.CopyTo(t.Context(), &b, 2<<20+5, -1, nil); err != nil || !bytes.Equal(b.Bytes(), content[2<<20+5:]) {
						t.Error(b.Len(), err)
					}
				} else if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
					t.Error(len(got), err)
				}
			})
		}
		readers.Wait()
		if n := o.calls.Load(); n > 10 {
			t.Errorf("%d requests for 10 readers", n)
		}
		liar := &origin{content: append(bytes.Clone(content[:len(content)-1]), content[len(content)-1]^1), size: said}
		if got, err := whole(s.Fetch("", d, -1, liar.fetch)); err == nil || len(got) >= len(content) {
			t.Errorf("other content: %d bytes, %v", len(got), err)
		}
		if n := seen.FilterMessage("content is passed on but not kept").Len(); n != 1 || s.Stats().Uncached < 3 {
			t.Errorf("said %d times: %v, %+v", n, seen.All(), s.Stats())
		}
		if err := s.Put(oci.FromBytes(content[:1<<20]), content[:1<<20]); err != nil {
			t.Errorf("what there is room for: %v", err)
		}
		agree(t, s, dir)
		s.Close()
	}
}

func TestOnAFullDiskTheOldMakesRoomForTheNew(t *testing.T) {
	dir := smallDisk(t, 4<<20)
	s, err := Open(Options{Dir: dir, MaxSize: 100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	old, inUse := put(t, s, 1, 1<<20), put(t, s, 2, 1<<20)
	use, ok := s.Get(inUse)
	if !ok {
		t.Fatal("it is not there")
	}
	defer use.Close()
	if err := os.WriteFile(dir+"/others", make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	content := noise(3, 3<<19)
	if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, (&origin{content: content}).fetch)); err != nil || !bytes.Equal(got, content) {
		t.Fatal(err)
	}
	settled(t, s)
	if got := there(s, old, inUse, oci.FromBytes(content)); got != "011" {
		t.Errorf("%s, %+v", got, s.Stats())
	}
	agree(t, s, dir)
}

func TestWhatCannotBeWrittenAtAllIsPassedOn(t *testing.T) {
	dir := smallDisk(t, 64<<10)
	s, err := Open(Options{Dir: dir, MaxSize: 100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.WriteFile(dir+"/others", make([]byte, 128<<10), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	content := noise(1, 100<<10)
	if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, (&origin{content: content}).fetch)); err != nil || !bytes.Equal(got, content) {
		t.Error(err)
	}
	if err := s.Put(oci.FromBytes(content), content); err == nil {
		t.Error("kept on a full disk")
	}
	_ = s.SetTag(alpine, "latest", Tag{Digest: oci.FromBytes(content)}) // may fail, must not end anything
	agree(t, s, dir)
}
