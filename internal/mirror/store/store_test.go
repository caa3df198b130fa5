package store

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// origin is where content comes from in these tests: one that answers as an upstream
// does, well or badly.
type origin struct {
	content  []byte
	size     int64 // that it says; 0: the right one
	noRange  bool
	calls    atomic.Int64
	served   atomic.Int64
	body     func(call int64, rest []byte) io.Reader // nil: the rest of the content
	fails    func(call int64) error                  // nil: never
	offsets  []int64
	offsetMu sync.Mutex
}

func (o *origin) fetch(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	call := o.calls.Add(1)
	o.offsetMu.Lock()
	o.offsets = append(o.offsets, offset)
	o.offsetMu.Unlock()
	if o.fails != nil {
		if err := o.fails(call); err != nil {
			return nil, 0, err
		}
	}
	size := o.size
	if size == 0 {
		size = int64(len(o.content))
	}
	var err error
	if o.noRange && offset > 0 {
		offset, err = 0, ErrNoRange
	}
	if offset > int64(len(o.content)) {
		return nil, 0, errors.New("416 range not satisfiable")
	}
	var r io.Reader = bytes.NewReader(o.content[offset:])
	if o.body != nil {
		r = o.body(call, o.content[offset:])
	}
	return &countedBody{r, o}, size, err
}

type countedBody struct {
	io.Reader
	o *origin
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.o.served.Add(int64(n))
	return n, err
}

func (b *countedBody) Close() error {
	if c, ok := b.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		churn(dir)
	}
	goleak.VerifyTestMain(m)
}

func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

func open(t testing.TB, dir string, max int64) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, MaxSize: max, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	s.times.pause = time.Millisecond
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// whole reads all of a content by CopyTo, and closes it.
func whole(c *Content) ([]byte, error) {
	defer c.Close()
	var b bytes.Buffer
	_, err := c.CopyTo(context.Background(), &b, 0, -1, nil)
	return b.Bytes(), err
}

func mustFetch(t testing.TB, s *Store, content []byte) {
	t.Helper()
	o := &origin{content: content}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	got, err := whole(c)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("fetched %d bytes of %d: %v", len(got), len(content), err)
	}
	if err := c.wait(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// agree compares the store's figures with what is on disk.
func agree(t testing.TB, s *Store, dir string) {
	t.Helper()
	var onDisk Stats
	for _, part := range []string{blobsDir, partialDir} {
		err := filepath.WalkDir(filepath.Join(dir, part), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			onDisk.Bytes += info.Size()
			if part == blobsDir {
				onDisk.Blobs++
			} else {
				onDisk.Partials++
				onDisk.PartialBytes += info.Size()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	got := s.Stats()
	if got.Bytes != onDisk.Bytes || got.Blobs != onDisk.Blobs || got.Partials != onDisk.Partials || got.PartialBytes != onDisk.PartialBytes {
		t.Fatalf("the store says %+v, on disk are %+v", got, onDisk)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	unused := int64(0)
	for at := s.index.unused.Front(); at != nil; at = at.Next() {
		unused += at.Value.(*entry).stored
	}
	if s.downloads == 0 && (s.index.reserved != 0 || s.abandoned != 0) || unused != s.index.unusedBytes {
		t.Fatalf("reserved %d, abandoned %d, unused %d of which are known %d", s.index.reserved, s.abandoned, unused, s.index.unusedBytes)
	}
}

func TestContentIsFetchedOnceAndThenAtHand(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	for _, size := range []int{0, 1, heldBack, heldBack + 1, 3 << 20} {
		content := noise(uint64(size), size)
		o := &origin{content: content}
		d := oci.FromBytes(content)
		if _, ok := s.Get(d); ok {
			t.Fatal("it is there before it was fetched")
		}
		c := s.Fetch("", d, int64(size), o.fetch)
		if c.How() != Miss {
			t.Error(c.How())
		}
		if n, err := c.Size(context.Background()); err != nil || n != int64(size) {
			t.Error(n, err)
		}
		if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: %d, %v", size, len(got), err)
		}
		c, ok := s.Get(d)
		if !ok || c.How() != Hit {
			t.Fatal("it is not there after it was fetched")
		}
		if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: %d, %v", size, len(got), err)
		}
		c = s.Fetch("", d, -1, o.fetch)
		if got, err := c.Bytes(context.Background(), int64(size)); err != nil || !bytes.Equal(got, content) || o.calls.Load() != 1 {
			t.Fatalf("%d bytes: %d, %v, %d calls", size, len(got), err, o.calls.Load())
		}
		if err := c.wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		c.Close()
		c.Close()
	}
	settled(t, s)
	agree(t, s, dir)
}

// settled waits until no download is under way.
func settled(t testing.TB, s *Store) {
	t.Helper()
	until(t, s, func(is Stats) bool { return is.Downloads == 0 })
}

// until waits for what the store's figures are to come to.
func until(t testing.TB, s *Store, enough func(Stats) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !enough(s.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to an end: %+v", s.Stats())
		}
	}
}

func TestBothAlgorithmsAreKept(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	content := noise(1, 9000)
	sum := sha512.Sum512(content)
	d, err := oci.ParseDigest("sha512:" + hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(d, content); err != nil {
		t.Fatal(err)
	}
	c, ok := s.Get(d)
	if !ok {
		t.Fatal("it is not there")
	}
	if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
		t.Fatal(err)
	}
}

func TestAThousandReadersOfOneColdBlobAreOneRequest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	content := noise(7, 256<<10)
	begin := make(chan struct{})
	o := &origin{content: content, body: func(_ int64, rest []byte) io.Reader {
		<-begin
		return bytes.NewReader(rest)
	}}
	var readers sync.WaitGroup
	var misses, wrong atomic.Int64
	sum := oci.FromBytes(content)
	for range 1000 {
		c := s.Fetch("", sum, -1, o.fetch)
		if c.How() == Miss {
			misses.Add(1)
		}
		readers.Go(func() {
			defer c.Close()
			h := sum.New()
			if _, err := c.CopyTo(context.Background(), h, 0, -1, nil); err != nil || oci.FromHash("sha256", h) != sum {
				wrong.Add(1)
			}
		})
	}
	close(begin)
	readers.Wait()
	if o.calls.Load() != 1 || misses.Load() != 1 || wrong.Load() != 0 {
		t.Fatalf("%d requests, %d misses, %d readers with an error or other content", o.calls.Load(), misses.Load(), wrong.Load())
	}
	settled(t, s)
	agree(t, s, dir)
}

func TestRangesOfWholeAndOfGrowingContent(t *testing.T) {
	content := noise(3, 300<<10)
	size := int64(len(content))
	for _, state := range []string{"growing", "whole", "streamed"} {
		max := size
		if state == "streamed" {
			max = size - 1
		}
		s := open(t, t.TempDir(), max)
		o := &origin{content: content}
		if state == "whole" {
			mustFetch(t, s, content)
		}
		for _, r := range [][2]int64{{0, 0}, {0, 1}, {5, 100 << 10}, {size - 1, 1}, {size - heldBack - 1, heldBack}, {100, -1}, {size, -1}, {0, size}} {
			t.Run(fmt.Sprint(state, r), func(t *testing.T) {
				c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
				defer c.Close()
				var b bytes.Buffer
				n, err := c.CopyTo(context.Background(), &b, r[0], r[1], nil)
				end := r[0] + r[1]
				if r[1] < 0 {
					end = size
				}
				if err != nil || n != end-r[0] || !bytes.Equal(b.Bytes(), content[r[0]:end]) {
					t.Errorf("%d bytes, %v", n, err)
				}
			})
		}
		c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
		if n, err := c.CopyTo(context.Background(), io.Discard, size-1, 2, nil); n != 1 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: beyond the end: %d, %v", state, n, err)
		}
		if _, err := c.Bytes(context.Background(), size-1); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: more bytes than are wanted: %v", state, err)
		}
		c.Close()
	}
}

func TestTheNamesOnDiskAreThoseOfTheDigests(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	content := []byte("hello")
	d := oci.FromBytes(content)
	if err := s.Put(d, content); err != nil {
		t.Fatal(err)
	}
	digits := d.Hex()
	path := filepath.Join(dir, "blobs", "sha256", digits[:2], digits)
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "hello" {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if path != dir && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", strings.TrimPrefix(path, dir), info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(oci.FromBytes([]byte("other")), content); !errors.Is(err, ErrMismatch) {
		t.Errorf("content of another digest: %v", err)
	}
	if err := s.Put(oci.FromBytes(noise(1, 2<<20)), noise(1, 2<<20)); !errors.Is(err, ErrNotKept) {
		t.Errorf("content larger than all: %v", err)
	}
}
