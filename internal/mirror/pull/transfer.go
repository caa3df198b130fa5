package pull

import (
	"context"
	"io"
	"net/http"
	"sync"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// transfers are the downloads under way, and where each comes from: content of one
// registry is no business of another's clients while that has not shown that it has
// it too. The zero value is ready.
type transfers struct {
	mu    sync.Mutex
	under map[oci.Digest]*transfer
}

type transfer struct {
	registry string
	holders  map[oci.Repository]bool // of that registry, as it says; guarded by transfers.mu
	done     chan struct{}           // closed when it has ended, and who holds it is written
}

// of returns the download of content that is under way, or nil, and whether its
// registry has said that the repository holds it.
func (t *transfers) of(r oci.Repository, d oci.Digest) (tr *transfer, holds bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr = t.under[d]; tr == nil {
		return nil, false
	}
	return tr, tr.holders[r]
}

// enter makes a repository a holder of what is downloaded from its registry. begun
// tells that nothing was under way, and that the caller is to begin it; tr is nil if
// it comes from another registry.
func (t *transfers) enter(r oci.Repository, d oci.Digest) (tr *transfer, begun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tr = t.under[d]
	switch {
	case tr == nil:
		if t.under == nil {
			t.under = make(map[oci.Digest]*transfer)
		}
		tr = &transfer{registry: r.Registry, holders: make(map[oci.Repository]bool), done: make(chan struct{})}
		t.under[d] = tr
		begun = true
	case tr.registry != r.Registry:
		return nil, false
	}
	tr.holders[r] = true
	return tr, begun
}

// leave removes a download that has ended, unless there are holders that its caller
// does not know yet, which it returns then.
func (t *transfers) leave(d oci.Digest, tr *transfer, known map[oci.Repository]bool) (others []oci.Repository) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range tr.holders {
		if !known[r] {
			others = append(others, r)
		}
	}
	if others == nil {
		delete(t.under, d)
		close(tr.done)
	}
	return others
}

// drop removes a download that was none.
func (t *transfers) drop(d oci.Digest, tr *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, d)
	close(tr.done)
}

// begin downloads content, of which first is the answer to a request for the whole,
// and keeps who holds it once it is there. Call it when enter says so. The content is
// nil if it has come from elsewhere meanwhile; first is not used then.
func (m *Mirror) begin(a asking, tr *transfer, as []upstream.Identity, first *http.Response) *store.Content {
	d := a.Ref.Digest
	src := &source{m: m, a: a, as: as, first: first}
	c := m.store.Fetch(a.Repo.Registry, d, first.ContentLength, src.fetch)
	ended := c.Ended()
	if c.How() != store.Miss || ended == nil {
		m.transfers.drop(d, tr)    // nobody is linked to what has come from elsewhere
		if c.How() == store.Miss { // its error is told by all of its methods
			src.close()
			return c
		}
		c.Close()
		return nil
	}
	// The one who calls is a goroutine of work, so that Close waits for this one too.
	m.work.Go(func() {
		select {
		case <-ended:
		case <-m.ctx.Done():
		}
		src.close()
		m.settle(d, tr)
	})
	return c
}

// settle links what was downloaded to those who hold it, if it is whole, and ends the
// transfer: there is no moment when it is neither under way nor linked.
func (m *Mirror) settle(d oci.Digest, tr *transfer) {
	c, whole := m.store.Get(d)
	if whole {
		defer c.Close()
	}
	known := make(map[oci.Repository]bool)
	for {
		holders := m.transfers.leave(d, tr, known)
		if holders == nil {
			return
		}
		for _, r := range holders {
			known[r] = true
			if !whole {
				continue
			}
			if size, err := c.Size(context.Background()); err == nil { // nothing is waited for
				m.link(r, d, store.Link{Size: size})
			}
		}
	}
}

// link keeps that a repository holds content. What is a manifest stays one.
func (m *Mirror) link(r oci.Repository, d oci.Digest, l store.Link) {
	if old, ok := m.store.Linked(r, d); ok && (old == l || l.MediaType == "" && old.MediaType != "") {
		return
	}
	if err := m.store.Link(r, d, l); err != nil {
		m.complain(r, "that a repository holds content cannot be written", err)
	}
}

func (m *Mirror) complain(r oci.Repository, what string, err error) {
	m.log.Warn(what, zap.String("repository", r.String()), zap.Error(err))
}

// source is where a download comes from.
type source struct {
	m  *Mirror
	a  asking
	as []upstream.Identity

	mu    sync.Mutex
	first *http.Response // of a request for the whole, to be used once; nil: none, or used
}

func (s *source) take() *http.Response {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.first
	s.first = nil
	return first
}

// close gives the first answer back if it was not used.
func (s *source) close() {
	if first := s.take(); first != nil {
		first.Body.Close()
	}
}

// fetch is a store.Source.
func (s *source) fetch(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	if first := s.take(); first != nil {
		if offset == 0 {
			return first.Body, first.ContentLength, nil
		}
		first.Body.Close() // what is here of it is not asked for again
	}
	if err := s.m.ctx.Err(); err != nil {
		return nil, -1, err
	}
	r := s.a.get("")
	r.Offset = offset
	resp, err := s.m.open(ctx, s.a, r, s.as)
	if kindOf(err) == upstream.NoRange && offset > 0 {
		return nil, -1, store.ErrNoRange
	}
	if err != nil {
		return nil, -1, err
	}
	return resp.Body, wholeSize(resp), nil
}
