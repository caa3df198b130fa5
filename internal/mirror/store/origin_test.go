//go:build unix

package store

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"sluice/internal/mirror/oci"
)

// interrupted leaves a part of content in a store: about half of it, from an origin.
func interrupted(t *testing.T, s *Store, from string, content []byte) {
	t.Helper()
	o := &origin{content: content, body: func(call int64, rest []byte) io.Reader {
		return cut(rest, len(content)/2)
	}, fails: func(call int64) error {
		if call > 1 {
			return errors.New("gone")
		}
		return nil
	}}
	c := s.Fetch(from, oci.FromBytes(content), -1, o.fetch)
	ended := c.Ended()
	if _, err := whole(c); err == nil {
		t.Fatal("the download was not interrupted")
	}
	<-ended
	if s.Stats().PartialBytes == 0 {
		t.Fatal("nothing of it was kept")
	}
}

func TestAPartIsGoneOnWithByItsOriginAlone(t *testing.T) {
	content := noise(1, 3<<20)
	for name, c := range map[string]struct {
		next    string
		restart bool
		resumed bool
	}{
		"the same":                  {"a.example", false, true},
		"the same after a restart":  {"a.example", true, true},
		"another":                   {"b.example", false, false},
		"another after a restart":   {"b.example", true, false},
		"none that is told":         {"", false, false},
		"none told after a restart": {"", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 1<<30)
			interrupted(t, s, "a.example", content)
			if c.restart {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				s = open(t, dir, 1<<30)
			}
			// What the next origin has is nothing like the content: whoever reads from it
			// must get nothing that the first origin gave.
			o := &origin{content: make([]byte, len(content))}
			got, err := whole(s.Fetch(c.next, oci.FromBytes(content), -1, o.fetch))
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("zeros passed for content: %v", err)
			}
			// Nor need a reader get any of what turns out to be wrong.
			if len(got) > 0 && bytes.HasPrefix(content, got[:min(len(got), 1<<20)]) && !c.resumed {
				t.Errorf("the first of %d bytes are the first origin's", len(got))
			}
			if first := o.offsets[0]; (first > 0) != c.resumed {
				t.Errorf("the next origin was asked for byte %d first", first)
			}
			mustFetch(t, s, content)
			if st := s.Stats(); st.Bytes != int64(len(content)) || st.Partials != 0 {
				t.Errorf("at the end: %+v", st)
			}
		})
	}
}

func TestWhoOnlyJoinsBeginsNothing(t *testing.T) {
	s := open(t, t.TempDir(), 1<<30)
	content := noise(2, 1<<20)
	d := oci.FromBytes(content)
	if _, ok := s.Join("", d, nil); ok {
		t.Fatal("there was nothing to join")
	}
	slow, feed := io.Pipe()
	o := &origin{content: content, body: func(int64, []byte) io.Reader { return slow }}
	first := s.Fetch("", d, -1, o.fetch)
	joined, ok := s.Join("", d, o.fetch)
	if !ok || joined.How() != Joined {
		t.Fatalf("a download under way is not joined: %v", ok)
	}
	go func() {
		_, _ = feed.Write(content)
		feed.Close()
	}()
	for _, c := range []*Content{first, joined} {
		if got, err := whole(c); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", len(got), err)
		}
	}
	<-first.Ended()
	if c, ok := s.Join("", d, nil); ok {
		c.Close()
		t.Error("whole content is joined")
	}
	if o.calls.Load() != 1 {
		t.Errorf("%d requests", o.calls.Load())
	}
}

func TestARegistryHoldsWhatOneOfItsRepositoriesHolds(t *testing.T) {
	s := open(t, t.TempDir(), 1<<30)
	content := noise(3, 1000)
	mustFetch(t, s, content)
	d := oci.FromBytes(content)
	if s.HeldIn("a.example", d) {
		t.Error("nobody said so")
	}
	if err := s.Link(oci.Repository{Registry: "a.example", Name: "x"}, d, Link{Size: 1000}); err != nil {
		t.Fatal(err)
	}
	if !s.HeldIn("a.example", d) || s.HeldIn("b.example", d) {
		t.Error("a link counts for its registry, and for no other")
	}
	if _, err := s.Remove(d); err != nil {
		t.Fatal(err)
	}
	if s.HeldIn("a.example", d) {
		t.Error("it is held still after it was removed")
	}
}
