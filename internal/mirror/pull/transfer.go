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

// transfers are what is under way, and where each comes from: content of one registry
// is no business of another's clients while that has not shown that it has it too. The
// zero value is ready.
type transfers struct {
	mu    sync.Mutex
	under map[transferKey]*transfer
}

type transferKey struct {
	registry string
	digest   oci.Digest
}

// transfer is a download.
type transfer struct {
	key     transferKey
	holders map[oci.Repository]bool // of that registry, as it says; guarded by transfers.mu
	done    chan struct{}           // closed when it has ended, and who holds it is written
}

// of returns what is under way of content from a repository's registry, or nil, and
// whether that has said that the repository holds it.
func (t *transfers) of(r oci.Repository, d oci.Digest) (tr *transfer, holds bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tr = t.under[transferKey{r.Registry, d}]; tr == nil {
		return nil, false
	}
	return tr, tr.holders[r]
}

// enter makes a repository a holder of what is under way from its registry. begun tells
// that nothing was, and that the caller is to begin it.
func (t *transfers) enter(r oci.Repository, d oci.Digest) (tr *transfer, begun bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := transferKey{r.Registry, d}
	if tr = t.under[key]; tr == nil {
		if t.under == nil {
			t.under = make(map[transferKey]*transfer)
		}
		tr = &transfer{key: key, holders: make(map[oci.Repository]bool), done: make(chan struct{})}
		t.under[key] = tr
		begun = true
	}
	tr.holders[r] = true
	return tr, begun
}

// hold makes a repository a holder of what is under way; false: it has ended.
func (t *transfers) hold(r oci.Repository, tr *transfer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.under[tr.key] != tr {
		return false
	}
	tr.holders[r] = true
	return true
}

// leave removes what has ended, unless there are holders that its caller does not know
// yet, which it returns then.
func (t *transfers) leave(tr *transfer, known map[oci.Repository]bool) (others []oci.Repository) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for r := range tr.holders {
		if !known[r] {
			others = append(others, r)
		}
	}
	if others == nil {
		delete(t.under, tr.key)
		close(tr.done)
	}
	return others
}

// drop removes what has not begun.
func (t *transfers) drop(tr *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.under, tr.key)
	close(tr.done)
}

// begin downloads content, of which first is the answer to a request for the whole, and
// keeps who holds it once it is there. Call it when enter says so. The content is nil if
// it has come meanwhile; first is not used then.
func (m *Mirror) begin(a asking, tr *transfer, as []upstream.Identity, first *http.Response) opened {
	src := &source{m: m, a: a, as: as, first: first}
	c := m.store.FetchFrom(a.Repo.Registry, a.Ref.Digest, first.ContentLength, src.fetch)
	ended := c.Ended()
	if c.How() != store.Miss || ended == nil {
		m.transfers.drop(tr)
		src.close()
		if c.How() == store.Miss { // its error is told by all of its methods
			return opened{content: c}
		}
		c.Close()
		return opened{}
	}
	o := opened{content: c}
	select {
	case <-ended: // by finding no room, when another asked: the answer is this one's
		o.source = src
	default:
	}
	// The one who calls is a goroutine of work, so that Close waits for this one too.
	m.work.Go(func() {
		select {
		case <-ended:
		case <-m.ctx.Done():
		}
		if o.source == nil {
			src.close()
		}
		m.settle(tr, c.Kept())
	})
	return o
}

// settle ends a transfer, and links what it has brought to those who hold it: there is
// no moment when it is neither under way nor linked.
func (m *Mirror) settle(tr *transfer, kept bool) {
	var c *store.Content
	if kept {
		if c, kept = m.store.Get(tr.key.digest); kept {
			defer c.Close()
		}
	}
	known := make(map[oci.Repository]bool)
	for {
		holders := m.transfers.leave(tr, known)
		if holders == nil {
			return
		}
		for _, r := range holders {
			known[r] = true
			if !kept {
				continue
			}
			if size, err := c.Size(context.Background()); err == nil { // nothing is waited for
				m.link(r, tr.key.digest, store.Link{Size: size})
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
