package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

// put keeps content of a size that its seed names, and returns the digest.
func put(t testing.TB, s *Store, seed uint64, size int) oci.Digest {
	t.Helper()
	content := noise(seed, size)
	d := oci.FromBytes(content)
	if err := s.Put(d, content); err != nil {
		t.Fatal(err)
	}
	return d
}

// there tells which of some contents are, as a list of ones and zeros. It looks at no
// file, so that it is no use of them.
func there(s *Store, digests ...oci.Digest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	for _, d := range digests {
		if e := s.index.entries[d]; e != nil && e.whole {
			text += "1"
		} else {
			text += "0"
		}
	}
	return text
}

func TestWhatWasUsedLeastRecentlyMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 3000)
	a, b, c := put(t, s, 1, 1000), put(t, s, 2, 1000), put(t, s, 3, 1000)
	use, _ := s.Get(a)
	use.Close()
	d := put(t, s, 4, 1000)
	if got := there(s, a, b, c, d); got != "1011" {
		t.Errorf("after the fourth: %s", got)
	}
	e := put(t, s, 5, 2000)
	if got := there(s, a, b, c, d, e); got != "00011" {
		t.Errorf("after one of twice the size: %s", got)
	}
	agree(t, s, dir)
	if got := s.Stats(); got.Evictions != 3 || got.EvictedBytes != 3000 || got.Bytes != 3000 {
		t.Errorf("%+v", got)
	}
	s.Resize(2500)
	s.work.Wait()
	if got := there(s, d, e); got != "01" {
		t.Errorf("after there is less room: %s", got)
	}
	if got := s.Prune(1999); got != (Freed{1, 2000}) {
		t.Errorf("%+v", got)
	}
	agree(t, s, dir)
}

func TestWhatIsInUseIsNeverEvicted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 2000)
	a, b := put(t, s, 1, 1000), put(t, s, 2, 1000)
	reader, ok := s.Get(a)
	if !ok {
		t.Fatal("it is not there")
	}
	c := put(t, s, 3, 1000)
	if got := there(s, a, b, c); got != "101" {
		t.Errorf("%s", got)
	}
	other, _ := s.Get(c)
	content := noise(4, 1000)
	o := &origin{content: content}
	if got, err := whole(s.Fetch("", oci.FromBytes(content), 1000, o.fetch)); err != nil || !bytes.Equal(got, content) {
		t.Error(err)
	}
	if got := there(s, a, c, oci.FromBytes(content)); got != "110" {
		t.Errorf("all in use: %s", got)
	}
	s.Resize(0)
	s.work.Wait()
	s.Prune(0)
	if got := there(s, a, c); got != "11" {
		t.Errorf("all in use, and no room: %s", got)
	}
	if got, err := whole(reader); err != nil || !bytes.Equal(got, noise(1, 1000)) {
		t.Error(err)
	}
	if got := there(s, a, c); got != "01" {
		t.Errorf("after one was given back: %s", got)
	}
	other.Close()
	agree(t, s, dir)
	if got := s.Stats().Bytes; got != 0 {
		t.Errorf("%d bytes are left", got)
	}
}

func TestWhatIsFetchedIsNotEvictedAndHasItsRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<10)
	content := noise(1, 90<<10)
	d := oci.FromBytes(content)
	rest := make(chan struct{})
	o := &origin{content: content, body: func(int64, []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(content[:50<<10]), readerFunc(func([]byte) (int, error) { <-rest; return 0, io.EOF }), bytes.NewReader(content[50<<10:]))
	}}
	c := s.Fetch("", d, -1, o.fetch)
	if _, err := c.CopyTo(context.Background(), io.Discard, 0, 1000, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := s.Put(oci.FromBytes(noise(2, 20<<10)), noise(2, 20<<10)); err == nil {
		t.Error("the room of a download went to other content")
	}
	put(t, s, 3, 10<<10)
	close(rest)
	settled(t, s)
	if got := there(s, d, oci.FromBytes(noise(3, 10<<10))); got != "11" {
		t.Errorf("%s", got)
	}
	agree(t, s, dir)
}

func TestTheOrderOfUseOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	var digests []oci.Digest
	for i := range 5 {
		digests = append(digests, put(t, s, uint64(i), 1000))
	}
	for _, i := range []int{3, 1, 4, 0, 2} {
		c, _ := s.Get(digests[i])
		c.Close()
	}
	s.Close()
	s = open(t, dir, 1<<20)
	for i, want := range []string{"11101", "10101", "10100", "00100", "00000"} { // 3, 1, 4, 0, 2
		if !usedTimesAreKept && i < 4 {
			continue
		}
		s.Prune(int64(4-i) * 1000)
		if got := there(s, digests...); got != want {
			t.Errorf("with room for %d: %s, not %s", 4-i, got, want)
		}
	}
}

func TestAStoreThatIsTooLargeAtTheStartIsMadeSmaller(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	for i := range 10 {
		put(t, s, uint64(i), 1000)
	}
	s.Close()
	s = open(t, dir, 4500)
	agree(t, s, dir)
	if got := s.Stats(); got.Blobs != 4 {
		t.Errorf("%+v", got)
	}
}

func TestPartsThatNobodyFetchesOnAreEvictedToo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	content := noise(1, 600<<10)
	o := &origin{content: content, body: func(int64, []byte) io.Reader { return cut(content, 500<<10) }, fails: func(call int64) error {
		if call > 1 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}}
	if _, err := whole(s.Fetch("", oci.FromBytes(content), -1, o.fetch)); err == nil {
		t.Error("no error")
	}
	settled(t, s)
	agree(t, s, dir)
	if got := s.Stats(); got.PartialBytes != 500<<10 || got.Partials != 1 {
		t.Errorf("%+v", got)
	}
	put(t, s, 2, 600<<10)
	agree(t, s, dir)
	if got := s.Stats(); got.PartialBytes != 0 || got.Evictions != 1 {
		t.Errorf("%+v", got)
	}
}

func TestTheTimeOfUseIsWrittenOnceInAWhile(t *testing.T) {
	if !usedTimesAreKept {
		t.Skip("this system's files do not tell it")
	}
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	path := filepath.Join(dir, blobPath(d))
	used := func() time.Time {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return usedAt(info)
	}
	long := time.Now().Add(-time.Hour)
	s.mu.Lock()
	e := s.index.entries[d]
	e.saved, e.used = long, long
	s.mu.Unlock()
	if err := os.Chtimes(path, long, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c, ok := s.Get(d)
		if !ok {
			t.Fatal("it is not there")
		}
		c.Close()
	}
	first := used()
	if first.Sub(long) < 30*time.Minute {
		t.Errorf("the use is not on disk: %s", first)
	}
	if n := s.Stats().Corrupt; n != 0 {
		t.Error(fmt.Sprint(n, " files are taken for corrupt"))
	}
	c, _ := s.Get(d)
	c.Close()
	if got := used(); !got.Equal(first) {
		t.Errorf("written at each use: %s, then %s", first, got)
	}
}

func TestATimeOfUseThatIsYetToComeKeepsNothingForGood(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 300<<10)
	old := put(t, s, 1, 100<<10)
	s.Close()
	if err := os.Chtimes(filepath.Join(dir, blobPath(old)), time.Now().AddDate(50, 0, 0), time.Time{}); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 300<<10)
	a, b, c := put(t, s, 2, 100<<10), put(t, s, 3, 100<<10), put(t, s, 4, 100<<10)
	if got := there(s, old, a, b, c); got != "0111" {
		t.Error(got)
	}
}

func TestAStoreThatIsMadeSmallerHoldsUpNobody(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	var digests []oci.Digest
	for i := range 3 {
		digests = append(digests, put(t, s, uint64(i), 1000))
	}
	used, _ := s.Get(digests[2])
	goOn := make(chan struct{})
	s.known.disk.Lock() // a disk that hangs: nothing is removed to its end
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Resize(0)
		used.Close()
	}()
	go func() {
		<-goOn
		s.known.disk.Unlock()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("who makes it smaller, or has read something, waits until all is gone")
	}
	close(goOn)
	<-done
	s.work.Wait()
	if got := there(s, digests...); got != "000" {
		t.Error(got)
	}
}
