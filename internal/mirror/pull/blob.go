package pull

import (
	"context"
	"io"
	"net/http"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// Blob returns content of a repository. It waits until the first bytes are certain to
// come, or what keeps them. Errors are *oci.Error.
func (m *Mirror) Blob(ctx context.Context, r Request) (*Blob, error) {
	a, err := m.asking(&r)
	if err != nil {
		return nil, err
	}
	b, err := m.blob(ctx, a)
	if err != nil {
		return nil, a.failure("blob "+string(r.Ref.Digest), err)
	}
	return b, nil
}

func (m *Mirror) blob(ctx context.Context, a asking) (*Blob, error) {
	_, linked := m.store.Linked(a.Repo, a.Ref.Digest)
	if linked { // so it is here, but for a file that somebody has removed
		if _, err := m.authorise(ctx, a, a.blobPath()); err != nil {
			return nil, err
		}
		if c, ok := m.store.Get(a.Ref.Digest); ok {
			return m.serve(ctx, a, c, Hit)
		}
	}
	switch {
	case a.Head:
		return m.headBlob(ctx, a, linked)
	case beginsLater(a.Range):
		if _, holds := m.transfers.of(a.Repo, a.Ref.Digest); !holds {
			return m.part(ctx, a)
		}
	}
	return m.newBlob(ctx, a)
}

func (a asking) blobPath() string { return "blobs/" + string(a.Ref.Digest) }

// get is the request for a blob, or with a Range header for a part of it.
func (a asking) get(part string) upstream.Request {
	return upstream.Request{Method: http.MethodGet, Repository: a.Repo.Name, Path: a.blobPath(), Range: part}
}

// serve makes an answer of content, once it is certain that it comes.
func (m *Mirror) serve(ctx context.Context, a asking, c *store.Content, how string) (*Blob, error) {
	size, err := c.Size(ctx)
	if err != nil || a.Head {
		c.Close()
		return &Blob{Digest: a.Ref.Digest, Size: size, How: how}, err
	}
	return &Blob{Digest: a.Ref.Digest, Size: size, How: how, Content: c}, nil
}

func (m *Mirror) headBlob(ctx context.Context, a asking, known bool) (*Blob, error) {
	h, _, _, err := reach(ctx, m, a, m.headStep(a, a.blobPath(), known))
	if err != nil {
		return nil, err
	}
	if h.size < 0 {
		return nil, oci.Errorf(http.StatusBadGateway, oci.Unknown, "%s does not say how long blob %s is", a.Repo.Registry, a.Ref.Digest)
	}
	return &Blob{Digest: a.Ref.Digest, Size: h.size, How: Passed}, nil
}

// opened is what came of asking for content of which it was not known that the
// repository holds it. At most one of its fields is set; none: it does, and it is
// kept or under way.
type opened struct {
	content *store.Content // for the first who asked
	// apart is the upstream's answer, for the first who asked, where the content that
	// is here came from another registry: it may not be served for this one, which has
	// not shown yet that it has it.
	apart *http.Response
}

func (o opened) drop() {
	switch {
	case o.content != nil:
		o.content.Close()
	case o.apart != nil:
		o.apart.Body.Close()
	}
}

// triesToJoin is how often a client asks that found what it was to join gone again.
const triesToJoin = 3

// newBlob serves content that the repository is not known to hold.
func (m *Mirror) newBlob(ctx context.Context, a asking) (*Blob, error) {
	s := step[opened]{kind: "blob", what: a.blobPath(), drop: opened.drop, do: func(ctx context.Context, as upstream.Identity, by who) (opened, error) {
		return m.openBlob(ctx, a, as, by)
	}}
	for range triesToJoin {
		o, by, shared, err := reach(ctx, m, a, s)
		switch {
		case err != nil:
			return nil, err
		case o.apart != nil && shared:
			return m.proven(ctx, a)
		case o.apart != nil:
			return m.pass(a, o.apart), nil
		case o.content != nil && !shared:
			return m.serve(ctx, a, o.content, Miss)
		}
		if b, ok, err := m.join(ctx, a, by); ok || err != nil {
			return b, err
		}
	}
	return nil, oci.Errorf(http.StatusServiceUnavailable, oci.Unavailable, "%s breaks off again and again while it sends blob %s", a.Repo.Registry, a.Ref.Digest)
}

// proven serves what is here from another registry to those who ask while one is given
// the upstream's own answer, at that one's pace: all of them wait until the mirror has
// read it once, and so knows that this registry has it too. A request of its own for each
// would have it sent as often as there are clients.
func (m *Mirror) proven(ctx context.Context, a asking) (*Blob, error) {
	r := a.get("")
	s := step[struct{}]{kind: "proof", what: a.blobPath(), do: func(ctx context.Context, as upstream.Identity, _ who) (struct{}, error) {
		r.As = as
		resp, err := a.up.Registry.Do(ctx, r)
		if err != nil {
			return struct{}{}, err
		}
		body := m.pass(a, resp).Passed.Body
		defer body.Close()
		_, err = io.Copy(io.Discard, body)
		return struct{}{}, err
	}}
	if _, by, _, err := reach(ctx, m, a, s); err == nil {
		if b, ok, err := m.join(ctx, a, by); ok || err != nil {
			return b, err
		}
	}
	return m.part(ctx, a) // it has gone meanwhile, or is none of this registry's
}

// join serves what is under way or kept, after the upstream has let the client have
// it; ok is false if there is neither any more.
func (m *Mirror) join(ctx context.Context, a asking, by who) (b *Blob, ok bool, err error) {
	d := a.Ref.Digest
	if tr, holds := m.transfers.of(a.Repo, d); holds {
		src := &source{m: m, a: a, as: a.identities(by)}
		if c, ok := m.store.Join(d, src.fetch); ok {
			b, err = m.serve(ctx, a, c, c.How())
			return b, true, err
		}
		select { // it has ended: a moment until what came of it is written
		case <-tr.done:
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
	if _, linked := m.store.Linked(a.Repo, d); linked {
		if c, ok := m.store.Get(d); ok {
			b, err = m.serve(ctx, a, c, Hit)
			return b, true, err
		}
	}
	return nil, false, nil
}

// openBlob asks for content in one name. It goes on without the client.
func (m *Mirror) openBlob(ctx context.Context, a asking, as upstream.Identity, by who) (opened, error) {
	d := a.Ref.Digest
	tr, holds := m.transfers.of(a.Repo, d)
	if _, linked := m.store.Linked(a.Repo, d); holds || linked {
		if by == mirror || by == anyone && m.isPublic(a.Repo, a.up.TagTTL) {
			return opened{}, nil // another has asked meanwhile
		}
	}
	if tr != nil && tr.registry == a.Repo.Registry || tr == nil && m.store.HeldIn(a.Repo.Registry, d) {
		// It is here, and the registry's: does this repository hold it?
		if _, err := m.head(ctx, a.up, a.Repo, a.blobPath(), as); err != nil {
			return opened{}, err
		}
		if m.hold(a, tr) || tr != nil && m.hold(a, nil) { // it may have come to its end meanwhile
			return opened{}, nil
		}
	}
	r := a.get("")
	r.As = as
	resp, err := beyond(ctx, m, func(ctx context.Context) (*http.Response, error) { return a.up.Registry.Do(ctx, r) })
	if err != nil {
		return opened{}, err
	}
	tr, begun := m.transfers.enter(a.Repo, d)
	switch {
	case begun:
		if c := m.begin(a, tr, a.fetchAs(as, by), resp); c != nil {
			return opened{content: c}, nil
		}
		if m.store.HeldIn(a.Repo.Registry, d) && m.hold(a, nil) {
			resp.Body.Close()
			return opened{}, nil
		}
		return opened{apart: resp}, nil
	case tr != nil:
		resp.Body.Close()
		return opened{}, nil
	}
	return opened{apart: resp}, nil
}

// hold keeps that a repository holds what is kept, or under way by tr, after its
// registry has said so.
func (m *Mirror) hold(a asking, tr *transfer) bool {
	d := a.Ref.Digest
	if tr != nil {
		m.transfers.mu.Lock()
		defer m.transfers.mu.Unlock()
		if m.transfers.under[d] == tr {
			tr.holders[a.Repo] = true
			return true
		}
		return false
	}
	c, ok := m.store.Get(d)
	if !ok || !m.store.HeldIn(a.Repo.Registry, d) {
		return false
	}
	defer c.Close()
	size, err := c.Size(m.ctx)
	if err == nil {
		m.link(a.Repo, d, store.Link{Size: size})
	}
	return err == nil
}

// fetchAs returns in whose names to go on with a download that one has begun.
func (a asking) fetchAs(as upstream.Identity, by who) []upstream.Identity {
	if by == client {
		return []upstream.Identity{as}
	}
	return a.identities(by)
}
