//go:build unix

package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

// apart is a store that has content from one origin, and the same content at another.
type apart struct {
	t       *testing.T
	dir     string
	content []byte
	digest  oci.Digest
	*Store
}

func newApart(t *testing.T) *apart {
	content := noise(7, 3<<20)
	a := &apart{t: t, dir: t.TempDir(), content: content, digest: oci.FromBytes(content)}
	a.Store = open(t, a.dir, 100<<20)
	return a
}

// keep has the content kept, from the first origin.
func (a *apart) keep() {
	a.t.Helper()
	c := a.Fetch("a.example", a.digest, -1, (&origin{content: a.content}).fetch)
	if _, err := whole(c); err != nil {
		a.t.Fatal(err)
	}
	<-c.Ended()
}

// slow is an origin that sends half of the content, and the rest when it is told to.
func (a *apart) slow() (o *origin, rest func()) {
	more := make(chan struct{})
	rest = sync.OnceFunc(func() { close(more) })
	a.t.Cleanup(rest) // or a test that has failed waits for it
	return &origin{content: a.content, body: func(_ int64, rest []byte) io.Reader {
		half := len(a.content) / 2
		return io.MultiReader(bytes.NewReader(rest[:half]), readerFunc(func([]byte) (int, error) { <-more; return 0, io.EOF }), bytes.NewReader(rest[half:]))
	}}, rest
}

// reads tells whether a reader gets the content.
func (a *apart) reads(c *Content) {
	a.t.Helper()
	if got, err := whole(c); err != nil || !bytes.Equal(got, a.content) {
		a.t.Errorf("%d bytes: %v", len(got), err)
	}
}

// one says that there is one file of the content, and nothing else.
func (a *apart) one() {
	a.t.Helper()
	settled(a.t, a.Store)
	agree(a.t, a.Store, a.dir)
	if st := a.Stats(); st.Blobs != 1 || st.Bytes != int64(len(a.content)) || st.Partials != 0 {
		a.t.Errorf("there are %+v", st)
	}
	if got, ok := a.Get(a.digest); !ok {
		a.t.Error("it is not kept")
	} else {
		a.reads(got)
	}
}

func TestAnotherOriginBringsWhatIsKeptOnce(t *testing.T) {
	a := newApart(t)
	a.keep()
	o, rest := a.slow()
	first := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	second := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	third, ok := a.Join("b.example", a.digest, o.fetch)
	if !ok || first.How() != Miss || second.How() != Joined || third.How() != Joined {
		t.Fatal(first.How(), second.How(), ok)
	}
	if _, ok := a.Join("a.example", a.digest, o.fetch); ok {
		t.Error("what another brings is joined")
	}
	var b bytes.Buffer
	if _, err := first.CopyTo(context.Background(), &b, 0, 1<<20, nil); err != nil || !bytes.Equal(b.Bytes(), a.content[:1<<20]) {
		t.Errorf("while it comes: %d bytes, %v", b.Len(), err)
	}
	first.Close() // who leaves does not end it
	if st := a.Stats(); st.Partials != 1 || st.PartialBytes == 0 || len(a.List()) != 2 {
		t.Errorf("while it comes: %+v, %v", st, a.List())
	}
	rest()
	a.reads(second)
	<-third.Ended()
	if !third.Kept() {
		t.Error("it is not said to be kept")
	}
	a.reads(third) // from its own file, which goes then
	a.one()
	if n := o.calls.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAnOriginThatHasOnlyTheNameGetsNothingOfWhatIsKept(t *testing.T) {
	a := newApart(t)
	a.keep()
	for name, liar := range map[string]*origin{
		"nothing like it":       {content: make([]byte, len(a.content))},
		"its first half":        {content: append(bytes.Clone(a.content[:len(a.content)/2]), make([]byte, len(a.content)-len(a.content)/2)...)},
		"all but its last byte": {content: append(bytes.Clone(a.content[:len(a.content)-1]), ^a.content[len(a.content)-1])},
	} {
		c := a.FetchFrom("liar.example", a.digest, -1, liar.fetch)
		ended := c.Ended()
		got, err := whole(c)
		if !errors.Is(err, ErrMismatch) || len(got) == len(liar.content) || !bytes.HasPrefix(liar.content, got) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if <-ended; c.Kept() {
			t.Errorf("%s: it is said to be kept", name)
		}
		a.one()
	}
}

func TestOriginsThatBringContentAtTheSameTimeLeaveOneFile(t *testing.T) {
	for name, c := range map[string]struct{ fails, first bool }{
		"the first ahead":   {first: true},
		"the second ahead":  {},
		"the first in vain": {fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApart(t)
			one, oneOn := a.slow()
			two, twoOn := a.slow()
			if c.fails {
				one.content = append([]byte{^a.content[0]}, a.content[1:]...)
			}
			x := a.FetchFrom("a.example", a.digest, -1, one.fetch)
			y := a.FetchFrom("b.example", a.digest, -1, two.fetch)
			ended := []<-chan struct{}{x.Ended(), y.Ended()}
			read := make(chan error)
			go func() { _, err := whole(x); read <- err }()
			go func() { _, err := whole(y); read <- err }()
			// Whoever has all of it is served, whatever becomes of the other.
			if c.first {
				oneOn()
			} else {
				twoOn()
			}
			if err := <-read; err != nil {
				t.Error(err)
			}
			if c.first {
				twoOn()
			} else {
				oneOn()
			}
			if err := <-read; errors.Is(err, ErrMismatch) != c.fails || !c.fails && err != nil {
				t.Error(err)
			}
			<-ended[0]
			<-ended[1]
			if x.Kept() == c.fails || !y.Kept() {
				t.Errorf("kept: %v, %v", x.Kept(), y.Kept())
			}
			a.one()
		})
	}
}

func TestContentThatGoesWhileAnotherOriginBringsItIsKeptFromThere(t *testing.T) {
	a := newApart(t)
	a.keep()
	o, rest := a.slow()
	c := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	if _, err := a.Remove(a.digest); err != nil {
		t.Fatal(err)
	}
	interrupted(t, a.Store, "a.example", a.content) // a part of it, which is of no use then
	rest()
	a.reads(c)
	<-c.Ended()
	a.one()
}

func TestWhatGrewApartIsGoneAfterAKill(t *testing.T) {
	a := newApart(t)
	a.keep()
	o, rest := a.slow()
	c := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	if _, err := c.CopyTo(context.Background(), io.Discard, 0, 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(a.dir, partialDir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	left, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	rest()
	a.reads(c)
	a.Close()
	for name, remove := range map[string]bool{"beside the whole": false, "alone": true} {
		if err := os.WriteFile(names[0], left, fileMode); err != nil {
			t.Fatal(err)
		}
		if remove {
			if err := os.Remove(filepath.Join(a.dir, blobPath(a.digest))); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, a.dir, 100<<20)
		if st := s.Stats(); st.Partials != 0 {
			t.Errorf("%s: %+v", name, st)
		}
		agree(t, s, a.dir)
		s.Close()
	}
}

func TestWhatAnotherOriginBringsIsPassedOnWhereItFindsNoRoom(t *testing.T) {
	a := newApart(t)
	a.keep()
	hit, _ := a.Get(a.digest) // it is in use, and stays
	a.Resize(int64(len(a.content)))
	o := &origin{content: a.content}
	c := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	ended := c.Ended()
	a.reads(c)
	if <-ended; c.Kept() {
		t.Error("it is said to be kept")
	}
	hit.Close()
	a.one()
}

func TestOnlySoManyGrowApartWithoutReaders(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 100<<20)
	const many = maxAbandoned + 10
	for i := range many {
		content := noise(uint64(1000+i), 10<<10)
		mustFetch(t, s, content)
		o := &origin{content: content, body: func(int64, []byte) io.Reader { return newHanging(content[:8<<10]) }}
		c := s.FetchFrom("b.example", oci.FromBytes(content), -1, o.fetch)
		if _, err := c.CopyTo(context.Background(), io.Discard, 0, 100, nil); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	until(t, s, func(is Stats) bool { return is.Partials <= maxAbandoned })
	if got := s.Stats(); got.Downloads != maxAbandoned || got.Blobs != many {
		t.Errorf("%+v", got)
	}
	s.Close()
	if names, err := os.ReadDir(filepath.Join(dir, partialDir)); err != nil || len(names) > 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
	agree(t, s, dir)
}

func TestWhoWaitsForAFileToGoIsGivenNothingThatHasBegunElsewhereMeanwhile(t *testing.T) {
	a := newApart(t)
	a.keep()
	a.mu.Lock()
	e := a.index.entries[a.digest]
	gone := a.index.take(e)
	a.mu.Unlock()
	o := &origin{content: make([]byte, len(a.content))}
	waiting := make(chan *Content)
	go func() { waiting <- a.FetchFrom("liar.example", a.digest, -1, o.fetch) }()
	time.Sleep(10 * time.Millisecond) // for the file, most likely; the test holds if not
	slow, rest := a.slow()
	if err := a.removeFile(e); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	delete(a.index.leaving, a.digest)
	e = &entry{digest: a.digest, used: time.Now()}
	a.index.entries[a.digest] = e
	a.hold(e)
	first := a.joinOrBegin(e, markOf("a.example"), -1, slow.fetch)
	a.mu.Unlock()
	close(gone)
	c := <-waiting
	if c.How() != Miss {
		t.Errorf("it has %s what another sends", c.How())
	}
	rest()
	if got, err := whole(c); !errors.Is(err, ErrMismatch) || !bytes.HasPrefix(o.content, got) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	a.reads(first)
	a.one()
}

func TestAFileThatIsReadYetIsNotThatOfTheOriginsNextDownload(t *testing.T) {
	a := newApart(t)
	a.keep()
	read := a.FetchFrom("b.example", a.digest, -1, (&origin{content: a.content}).fetch)
	<-read.Ended()
	o, rest := a.slow()
	next := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	if _, err := next.CopyTo(context.Background(), io.Discard, 0, 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	a.reads(read)
	if st := a.Stats(); st.Partials != 1 {
		t.Errorf("when one is read: %+v", st)
	}
	rest()
	a.reads(next)
	<-next.Ended()
	a.one()
}

func TestWhatIsKeptNowhereIsNotSaidToBe(t *testing.T) {
	a := newApart(t)
	a.Resize(untoldShare*int64(len(a.content)) - 1)
	untold := &origin{content: a.content, size: -1}
	streamed := a.FetchFrom("a.example", a.digest, -1, untold.fetch) // has too many bytes for one of unknown length
	<-streamed.Ended()
	c := a.FetchFrom("b.example", a.digest, -1, (&origin{content: a.content}).fetch)
	<-c.Ended()
	if got, ok := a.Get(a.digest); c.Kept() != ok {
		t.Errorf("it is said to be kept: %v, is: %v", c.Kept(), ok)
		if ok {
			got.Close()
		}
	}
	a.reads(c)
	a.reads(streamed)
	if st := a.Stats(); st.Bytes != 0 || st.Uncached != 2 {
		t.Errorf("%+v", st)
	}
	agree(t, a.Store, a.dir)
}

func TestWhatGrowsApartIsBeingFetched(t *testing.T) {
	a := newApart(t)
	a.keep()
	o, rest := a.slow()
	c := a.FetchFrom("b.example", a.digest, -1, o.fetch)
	if freed, err := a.Remove(a.digest); err != nil || freed.Files != 1 {
		t.Errorf("what is whole: %+v, %v", freed, err)
	}
	if _, err := a.Remove(a.digest); !errors.Is(err, ErrBusy) {
		t.Errorf("what is on its way: %v", err)
	}
	rest()
	a.reads(c)
	a.one()
}

func TestWhatWaitsForAnothersDownloadTakesNoMoreRoomAndEndsWithTheStore(t *testing.T) {
	a := newApart(t)
	first := a.Fetch("a.example", a.digest, -1, (&origin{content: a.content, body: func(_ int64, rest []byte) io.Reader { return newHanging(rest[:1<<20]) }}).fetch)
	defer first.Close()
	if _, err := first.CopyTo(context.Background(), io.Discard, 0, 1<<19, nil); err != nil {
		t.Fatal(err)
	}
	c := a.FetchFrom("b.example", a.digest, -1, (&origin{content: a.content, size: -1}).fetch)
	a.reads(c)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		a.mu.Lock()
		reserved, missing := a.index.reserved, a.index.entries[a.digest].download.reserved
		a.mu.Unlock()
		if reserved == missing {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d bytes are reserved, the first lacks %d", reserved, missing)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if c.Kept() {
		t.Error("what waited is said to be kept")
	}
	agree(t, a.Store, a.dir)
	if st := a.Stats(); st.Partials != 1 {
		t.Errorf("there are %+v", st)
	}
}
