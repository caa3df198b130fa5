package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

func TestAnUpstreamThatNeverSendsAllIsGivenUp(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	content := noise(12, 1<<20)
	o := &origin{content: content, body: func(int64, []byte) io.Reader { return cut(content, 0) }}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	if _, err := whole(c); !errors.Is(err, ErrInterrupted) || !strings.Contains(err.Error(), "connection reset by peer") {
		t.Error(err)
	}
	if o.calls.Load() != 1+triesWithoutProgress {
		t.Errorf("%d requests", o.calls.Load())
	}
	settled(t, s)
	agree(t, s, dir)
	if n := s.Stats().Partials; n != 0 {
		t.Errorf("%d parts are kept of nothing", n)
	}
}

func TestAnUpstreamThatLiesGetsNothingKept(t *testing.T) {
	content := noise(17, 2<<20)
	d := oci.FromBytes(content)
	flipped := bytes.Clone(content)
	flipped[len(flipped)-1] ^= 1
	early := bytes.Clone(content)
	early[0] ^= 1
	for _, c := range []struct {
		name  string
		o     *origin
		known int64
		want  error
	}{
		{"of the last byte", &origin{content: flipped}, -1, ErrMismatch},
		{"of the first byte", &origin{content: early}, -1, ErrMismatch},
		{"of the length: less than there is", &origin{content: content, size: 1 << 20}, -1, ErrMismatch},
		{"of the length: more than there is", &origin{content: content, size: 3 << 20}, -1, ErrInterrupted},
		{"of the length that is known", &origin{content: content, size: 3 << 20}, 2 << 20, ErrMismatch},
		{"with bytes behind the end", &origin{content: append(bytes.Clone(content), 1), size: -1}, 2 << 20, ErrMismatch},
		{"with less, and no length", &origin{content: content[:1<<20], size: -1}, -1, ErrMismatch},
		{"with nothing, and no length", &origin{content: nil, size: -1}, -1, ErrMismatch},
	} {
		for _, where := range []string{"kept", "streamed"} {
			t.Run(c.name+", "+where, func(t *testing.T) {
				dir := t.TempDir()
				most := int64(100 << 20)
				if where == "streamed" {
					most = 1000
				}
				s := open(t, dir, most)
				var readers sync.WaitGroup
				for range 5 {
					content := s.Fetch("", d, c.known, (&origin{content: c.o.content, size: c.o.size}).fetch)
					readers.Go(func() {
						got, err := whole(content)
						if !errors.Is(err, c.want) {
							t.Errorf("a reader sees %v", err)
						}
						if said := max(c.known, c.o.size, 2<<20); int64(len(got)) >= said {
							t.Errorf("a reader has %d bytes, all that were announced", len(got))
						}
					})
				}
				readers.Wait()
				settled(t, s)
				agree(t, s, dir)
				if _, ok := s.Get(d); ok || s.Stats().Blobs != 0 {
					t.Error("it is kept")
				}
				if c.want == ErrMismatch && (s.Stats().Mismatches == 0 || s.Stats().Bytes != 0) {
					t.Errorf("%+v", s.Stats())
				}
			})
		}
	}
}

func TestASourceThatFailsIsToldAsItIs(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	content := noise(18, 1000)
	unknown := errors.New("404 blob unknown")
	o := &origin{content: content, fails: func(call int64) error {
		if call == 1 {
			return unknown
		}
		return nil
	}}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	if _, err := c.Size(context.Background()); !errors.Is(err, unknown) {
		t.Error(err)
	}
	if _, err := whole(c); !errors.Is(err, unknown) || o.calls.Load() != 1 {
		t.Error(err, o.calls.Load())
	}
	if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, o.fetch)); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the next one: %v", err)
	}
}

func TestASourceThatPanicsEndsItsDownloadOnly(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	c := s.Fetch("", oci.FromBytes(nil), -1, func(context.Context, int64) (io.ReadCloser, int64, error) { panic("no such luck") })
	if _, err := whole(c); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Error(err)
	}
	settled(t, s)
	agree(t, s, dir)
}

func TestAnUpstreamThatFallsSilentIsAskedAnew(t *testing.T) {
	content := noise(19, 1<<20)
	for _, max := range []int64{2 << 20, 1} {
		s, err := Open(Options{Dir: t.TempDir(), MaxSize: max, Idle: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		o := &origin{content: content, body: func(call int64, rest []byte) io.Reader {
			if call == 1 {
				return newHanging(rest[:1000])
			}
			return bytes.NewReader(rest)
		}}
		if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, o.fetch)); err != nil || !bytes.Equal(got, content) || o.calls.Load() != 2 {
			t.Error(len(got), err, o.calls.Load())
		}
		s.Close()
	}
}

func TestTheLastBytesWaitForTheDigest(t *testing.T) {
	s := open(t, t.TempDir(), 1<<20)
	content := noise(25, 100<<10)
	size := int64(len(content))
	spoilt := bytes.Clone(content)
	spoilt[0] ^= 1
	h := newHanging(spoilt[1000:])
	o := &origin{content: spoilt, body: func(int64, []byte) io.Reader {
		pause := readerFunc(func([]byte) (int, error) { time.Sleep(2 * tellEvery); return 0, io.EOF })
		return closing{io.MultiReader(bytes.NewReader(spoilt[:1000]), pause, h), h}
	}}
	c := s.Fetch("", oci.FromBytes(content), -1, o.fetch)
	defer c.Close()
	if _, err := c.download.await(context.Background(), func(is progress) bool { return is.got == size }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if n, err := c.CopyTo(ctx, io.Discard, 0, -1, nil); n != size-heldBack || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("all is here and not checked, and a reader gets %d bytes of %d, %v", n, size, err)
	}
	h.Close()
	if n, err := c.CopyTo(context.Background(), io.Discard, size-heldBack, -1, nil); n != 0 || !errors.Is(err, ErrMismatch) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestAnUpstreamThatSaysALengthTooLateIsHeldToWhatItSent(t *testing.T) {
	content := noise(9, 3<<20)
	o := &origin{content: content, body: func(int64, []byte) io.Reader { return cut(content, 1<<20) }}
	from := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		body, _, err := o.fetch(ctx, offset)
		size := int64(-1)
		if offset > 0 { // fewer than it has sent
			size = 1 << 10
		}
		return body, size, err
	}
	s := open(t, t.TempDir(), 100<<20)
	if got, err := whole(s.Fetch("", oci.FromBytes(content), -1, from)); !errors.Is(err, ErrMismatch) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	settled(t, s)
	if st := s.Stats(); st.Bytes != 0 || st.Mismatches != 1 {
		t.Errorf("%+v", st)
	}
}
