package pull

import (
	"context"
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
			return m.serve(ctx, a, opened{content: c}, Hit)
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
func (m *Mirror) serve(ctx context.Context, a asking, o opened, how string) (*Blob, error) {
	size, err := o.content.Size(ctx)
	if err != nil || a.Head {
		o.drop()
		return &Blob{Digest: a.Ref.Digest, Size: size, How: how}, err
	}
	return &Blob{Digest: a.Ref.Digest, Size: size, How: how, Content: o.content, source: o.source}, nil
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
// repository holds it: the content, for the first who asked; nil: it does, and it is kept
// or under way.
type opened struct {
	content *store.Content
	source  *source // to be closed with it; nil: there is no need
	told    bool    // from what was known: the registry was not asked
}

func (o opened) drop() {
	if o.content != nil {
		o.content.Close()
	}
	if o.source != nil {
		o.source.close()
	}
}

// triesToJoin is how often a client asks that found what it was to join gone again.
const triesToJoin = 3

// newBlob serves content that the repository is not known to hold.
func (m *Mirror) newBlob(ctx context.Context, a asking) (*Blob, error) {
	s := step[opened]{kind: "blob", what: a.blobPath(), drop: opened.drop, told: func(o opened) bool { return o.told }, do: func(ctx context.Context, as upstream.Identity, by who) (opened, error) {
		return m.openBlob(ctx, a, as, by)
	}}
	for range triesToJoin {
		o, by, shared, err := reach(ctx, m, a, s)
		switch {
		case err != nil:
			return nil, err
		case o.content != nil && !shared:
			return m.serve(ctx, a, o, Miss)
		}
		if b, ok, err := m.join(ctx, a, by); ok || err != nil {
			return b, err
		}
	}
	return nil, oci.Errorf(http.StatusServiceUnavailable, oci.Unavailable, "%s breaks off again and again while it sends blob %s", a.Repo.Registry, a.Ref.Digest)
}

// join serves what is under way or kept, after the upstream has let the client have
// it; ok is false if there is neither any more.
func (m *Mirror) join(ctx context.Context, a asking, by who) (b *Blob, ok bool, err error) {
	d := a.Ref.Digest
	if tr, holds := m.transfers.of(a.Repo, d); holds {
		src := &source{m: m, a: a, as: a.identities(by)}
		if c, ok := m.store.Join(a.Repo.Registry, d, src.fetch); ok {
			b, err = m.serve(ctx, a, opened{content: c}, c.How())
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
			b, err = m.serve(ctx, a, opened{content: c}, Hit)
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
			return opened{told: true}, nil // another has asked meanwhile
		}
	}
	if tr != nil || m.store.HeldIn(a.Repo.Registry, d) {
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
	if begun && m.store.HeldIn(a.Repo.Registry, d) && m.hold(a, nil) { // it has come meanwhile
		m.transfers.drop(tr)
		begun = false
	}
	if !begun {
		resp.Body.Close()
		return opened{}, nil
	}
	return m.begin(a, tr, a.fetchAs(as, by), resp), nil
}

// hold keeps that a repository holds what is kept, or under way by tr, after its
// registry has said so.
func (m *Mirror) hold(a asking, tr *transfer) bool {
	d := a.Ref.Digest
	if tr != nil {
		return m.transfers.hold(a.Repo, tr)
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
