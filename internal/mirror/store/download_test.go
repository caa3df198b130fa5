package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"sluice/internal/mirror/oci"
)

func TestAnInterruptedDownloadGoesOnWhereItWas(t *testing.T) {
	content := noise(11, 3<<20)
	for name, o := range map[string]*origin{
		"by Range":                     {content: content},
		"by an upstream without Range": {content: content, noRange: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.body = func(call int64, rest []byte) io.Reader {
				switch call {
				case 1:
					return cut(rest, 1<<20)
				case 2: // less than was announced, and no error
					return bytes.NewReader(rest[:min(2<<20, len(rest)-1)])
				}
				return bytes.NewReader(rest)
			}
			dir := t.TempDir()
			s := open(t, dir, 100<<20)
			c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
			got, err := whole(c)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if o.calls.Load() < 2 || !o.noRange && !slices.Contains(o.offsets, 1<<20) {
				t.Errorf("asked from %v", o.offsets)
			}
			settled(t, s)
			agree(t, s, dir)
		})
	}
}

func TestADownloadGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	content := noise(13, 2<<20)
	o := &origin{content: content, body: func(_ int64, rest []byte) io.Reader { return newHanging(rest[:1<<20]) }}
	s := open(t, dir, 100<<20)
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	var b bytes.Buffer
	if _, err := c.CopyTo(context.Background(), &b, 0, 1<<19, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CopyTo(context.Background(), &b, 1<<19, -1, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("reading on from a store that was closed: %v", err)
	}
	c.Close()
	if _, err := whole(s.Fetch("", oci.FromBytes(content), -1, o.fetch)); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}

	s = open(t, dir, 100<<20)
	agree(t, s, dir)
	before := s.Stats().PartialBytes
	if before < 1<<19 {
		t.Fatalf("%d bytes are kept", before)
	}
	o = &origin{content: content}
	if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, o.fetch)); err != nil || !bytes.Equal(got, content) {
		t.Fatal(len(got), err)
	}
	if !slices.Equal(o.offsets, []int64{before}) || o.served.Load() != int64(len(content))-before {
		t.Errorf("asked from %v, got %d bytes", o.offsets, o.served.Load())
	}
	settled(t, s)
	agree(t, s, dir)
}

func TestWhatWasAllThereAtARestartIsNotAskedFor(t *testing.T) {
	dir := t.TempDir()
	content := noise(14, 1<<20)
	d := oci.FromBytes(content)
	open(t, dir, 100<<20).Close()
	if err := os.WriteFile(filepath.Join(dir, partialPath(d, "")), content, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, 100<<20)
	o := &origin{content: content}
	if got, err := whole(s.Fetch("", d, -1, o.fetch)); err != nil || !bytes.Equal(got, content) || o.calls.Load() != 0 {
		t.Fatal(len(got), err, o.calls.Load())
	}
}

func TestAPartThatWentBadOnDiskIsFetchedAnew(t *testing.T) {
	dir := t.TempDir()
	content := noise(15, 1<<20)
	d := oci.FromBytes(content)
	for name, part := range map[string][]byte{
		"zeros":    make([]byte, 1<<19),
		"too long": make([]byte, 2<<20),
	} {
		open(t, dir, 100<<20).Close()
		if err := os.WriteFile(filepath.Join(dir, partialPath(d, "")), part, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, 100<<20)
		o := &origin{content: content}
		_, err := whole(s.Fetch("", d, int64(len(content)), o.fetch))
		if err != nil && !errors.Is(err, ErrMismatch) {
			t.Fatalf("%s: %v", name, err)
		}
		settled(t, s)
		if got, err := whole(s.Fetch("", d, int64(len(content)), o.fetch)); err != nil || !bytes.Equal(got, content) {
			t.Fatal(name, len(got), err)
		}
		settled(t, s)
		agree(t, s, dir)
		if _, err := s.Remove(d); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

func TestADownloadGoesOnWhenItsReadersLeave(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	content := noise(16, 1<<20)
	rest := make(chan struct{})
	o := &origin{content: content, body: func(int64, []byte) io.Reader {
		return io.MultiReader(bytes.NewReader(content[:1000]), readerFunc(func([]byte) (int, error) { <-rest; return 0, io.EOF }), bytes.NewReader(content[1000:]))
	}}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := c.CopyTo(ctx, io.Discard, 0, -1, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.Close()
	close(rest)
	settled(t, s)
	got, ok := s.Get(oci.FromBytes(content))
	if !ok {
		t.Fatal("it is not there")
	}
	if b, err := whole(got); err != nil || !bytes.Equal(b, content) {
		t.Fatal(err)
	}
	agree(t, s, dir)
}

func TestOnlySoManyDownloadsGoOnWithoutReaders(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	const downloads = maxAbandoned + 10
	var bodies []*hanging
	var mu sync.Mutex
	for i := range downloads {
		content := noise(uint64(1000+i), 10<<10)
		o := &origin{content: content, body: func(int64, []byte) io.Reader {
			mu.Lock()
			defer mu.Unlock()
			bodies = append(bodies, newHanging(content[:8<<10]))
			return bodies[len(bodies)-1]
		}}
		c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
		if _, err := c.CopyTo(context.Background(), io.Discard, 0, 100, nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	until(t, s, func(is Stats) bool { return is.Downloads <= maxAbandoned })
	if got := s.Stats(); got.Downloads != maxAbandoned || got.Partials != downloads {
		t.Errorf("%+v", got)
	}
	s.Close()
	agree(t, s, dir)
}

func TestASlowReaderHoldsUpNobody(t *testing.T) {
	s := open(t, t.TempDir(), 100<<20)
	content := noise(20, 4<<20)
	o := &origin{content: content}
	d := oci.FromBytes(content)
	slow, stop := make(chan struct{}), make(chan struct{})
	c := s.Fetch("", d, -1, o.fetch)
	var readers sync.WaitGroup
	readers.Go(func() {
		first := true
		got, err := io.Discard, error(nil)
		_, err = c.CopyTo(context.Background(), got, 0, -1, func() error {
			if first {
				first = false
				close(slow)
				<-stop
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		c.Close()
	})
	<-slow
	for range 3 {
		if got, err := whole(s.Fetch("", d, -1, o.fetch)); err != nil || !bytes.Equal(got, content) {
			t.Error(err)
		}
	}
	settled(t, s)
	close(stop)
	readers.Wait()
}

func TestContentLargerThanAllIsPassedOnButNotKept(t *testing.T) {
	dir := t.TempDir()
	logs, seen := observer.New(zapcore.WarnLevel)
	s, err := Open(Options{Dir: dir, MaxSize: 1 << 20, Log: zap.New(logs)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	small := noise(1, 1000)
	mustFetch(t, s, small)
	for i, size := range []int64{0, -1} { // said, not said
		content := noise(uint64(21+i), 3<<20)
		o := &origin{content: content, size: size}
		for range 2 {
			c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
			if got, err := whole(c); err != nil || !bytes.Equal(got, content) || c.How() != Miss {
				t.Fatal(len(got), err, c.How())
			}
		}
		if o.calls.Load() != 2 {
			t.Errorf("%d requests for two readers, one after the other", o.calls.Load())
		}
		settled(t, s)
		agree(t, s, dir)
		if got := s.Stats(); got.Uncached != 2*uint64(i+1) || got.Evictions != 0 || got.Bytes != int64(len(small)) {
			t.Errorf("%+v", got)
		}
	}
	if n := seen.FilterMessage("content is passed on but not kept").Len(); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestManyReadersOfWhatIsNotKeptEachGetAll(t *testing.T) {
	s := open(t, t.TempDir(), 1000)
	content := noise(23, 1<<20)
	o := &origin{content: content}
	var readers sync.WaitGroup
	for range 20 {
		c := s.Fetch("", oci.FromBytes(content), int64(len(content)), o.fetch)
		readers.Go(func() {
			if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
				t.Error(len(got), err)
			}
		})
	}
	readers.Wait()
	if n := o.calls.Load(); n > 20 {
		t.Errorf("%d requests for 20 readers", n)
	}
}

func TestAReaderWhoIsSlowIsNoUpstreamThatIs(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir(), MaxSize: 1, Idle: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	content := noise(24, 4*streamBuffer)
	o := &origin{content: content, body: func(_ int64, rest []byte) io.Reader { return &whileOpen{Reader: bytes.NewReader(rest)} }}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	defer c.Close()
	var b bytes.Buffer
	pieces := 0
	_, err = c.CopyTo(context.Background(), &b, 0, -1, func() error {
		if pieces++; pieces < 4 {
			time.Sleep(120 * time.Millisecond)
		}
		return nil
	})
	if err != nil || !bytes.Equal(b.Bytes(), content) || o.calls.Load() != 1 {
		t.Errorf("%d bytes, %v, %d requests", b.Len(), err, o.calls.Load())
	}
}

func TestWhoComesWhenContentIsPassedOnOnlyLeavesTheTransferToWhoWasThere(t *testing.T) {
	content := noise(5, 1<<20)
	s := open(t, t.TempDir(), int64(len(content))-1)
	began, later := &origin{content: content}, &origin{content: content}
	first := s.Fetch("", oci.FromBytes(content), -1, began.fetch)
	<-first.Ended()
	next := s.Fetch("", oci.FromBytes(content), -1, later.fetch)
	for _, c := range []*Content{next, first} {
		if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	if began.calls.Load() != 1 || later.calls.Load() != 1 {
		t.Errorf("%d requests of who was there, %d of who came", began.calls.Load(), later.calls.Load())
	}
}
