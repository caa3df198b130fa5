//go:build unix

package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

// tellers are origins, by what they send for content.
var tellers = map[string]func(content []byte) []byte{
	"a.example":     bytes.Clone,
	"b.example":     bytes.Clone,
	"c.example":     bytes.Clone,
	"zeros.example": func(content []byte) []byte { return make([]byte, len(content)) },
	"half.example": func(content []byte) []byte {
		half := len(content) / 2
		return append(bytes.Clone(content[:half]), make([]byte, len(content)-half)...)
	},
	"short.example": func(content []byte) []byte { return content[:len(content)/2] },
	"long.example":  func(content []byte) []byte { return append(bytes.Clone(content), 1, 2, 3) },
}

// TestWhateverHappensAnOriginsReadersGetWhatItSends has origins that are right, wrong,
// slow and away bring the same few contents, for readers who stay and who leave, while
// content is removed and the room for it changes.
func TestWhateverHappensAnOriginsReadersGetWhatItSends(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 4<<20)
	s.times.idle = 20 * time.Millisecond
	var all sync.WaitGroup
	for range 24 {
		all.Go(func() {
			for range 15 {
				content := noise(uint64(rand.N(5)), 1+rand.N(5)*200<<10)
				switch rand.N(20) {
				case 0:
					_ = s.Put(oci.FromBytes(content), content)
				case 1:
					_, _ = s.Remove(oci.FromBytes(content))
				case 2:
					s.Resize(rand.N[int64](5 << 20))
				case 3:
					s.Prune(rand.N[int64](4 << 20))
				default:
					for name, sends := range tellers { // whichever comes first
						teller{t, s, name, content, sends(content)}.read()
						break
					}
				}
			}
		})
	}
	all.Wait()
	s.work.Wait()
	agree(t, s, dir)
	if n := len(s.apart); n > 0 {
		t.Errorf("%d grow apart, by no download", n)
	}
	for d, e := range s.index.entries {
		if e.users != 0 || e.download != nil || e.place == nil {
			t.Errorf("%s is not to be evicted: %+v", d, e)
		}
	}
	if err := s.Verify(t.Context(), func(v Verified) {
		if v.Err != nil {
			t.Error(v.Err)
		}
	}); err != nil {
		t.Error(err)
	}
}

// teller is an origin that is asked for content.
type teller struct {
	t             *testing.T
	s             *Store
	name          string
	content, says []byte
}

func (o teller) read() {
	c, ok := o.s.Join(o.name, oci.FromBytes(o.content), o.fetch)
	if !ok {
		c = o.s.FetchFrom(o.name, oci.FromBytes(o.content), -1, o.fetch)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if rand.N(5) == 0 {
		time.AfterFunc(rand.N(5*time.Millisecond), cancel)
	}
	if rand.N(4) == 0 { // it opens its file late, or never
		time.Sleep(rand.N(20 * time.Millisecond))
	}
	var b bytes.Buffer
	at := max(0, rand.N(2*len(o.content))-len(o.content))
	_, err := c.CopyTo(ctx, &b, int64(at), -1, nil)
	if end := at + b.Len(); b.Len() > 0 && (end > len(o.says) || !bytes.Equal(b.Bytes(), o.says[at:end])) {
		o.t.Errorf("%s: %d bytes from %d on are not what it sends", o.name, b.Len(), at)
	}
	if err == nil && !bytes.Equal(b.Bytes(), o.content[at:]) {
		o.t.Errorf("%s: %d bytes from %d on are other content, and there is no error", o.name, b.Len(), at)
	}
	ended := c.Ended()
	c.Close()
	if ended != nil && rand.N(4) == 0 {
		if <-ended; c.Kept() && !bytes.Equal(o.says, o.content) {
			o.t.Errorf("%s: content that it does not have is said to be kept", o.name)
		}
	}
}

// fetch is a Source.
func (o teller) fetch(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	switch {
	case rand.N(12) == 0 || offset > int64(len(o.says)):
		return nil, 0, errors.New("away")
	case offset > 0 && rand.N(3) == 0:
		return nil, -1, ErrNoRange
	}
	rest := o.says[offset:]
	piece := rest[:rand.N(len(rest)+1)]
	stalls := rand.N(8) == 0
	pause := readerFunc(func([]byte) (int, error) {
		if stalls {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		}
		time.Sleep(rand.N(10 * time.Millisecond))
		return 0, io.EOF
	})
	if rand.N(6) == 0 { // it breaks off
		rest = piece
	}
	size := []int64{-1, int64(len(o.says)), int64(len(o.content))}[rand.N(3)]
	return io.NopCloser(io.MultiReader(bytes.NewReader(piece), pause, bytes.NewReader(rest[len(piece):]))), size, nil
}
