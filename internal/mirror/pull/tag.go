package pull

import (
	"context"
	"net/http"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// current is what came of asking for a tag.
type current struct {
	manifest *Manifest // nil: see failed
	head     head
	failed   error // the upstream told what the tag names, and did not give it
}

// told tells that the registry was not asked.
func (c current) told() bool { return c.head == (head{}) && c.manifest.told() }

func (m *Mirror) byTag(ctx context.Context, a asking) (*Manifest, error) {
	tag := a.Ref.Tag
	last, known := m.store.Tag(a.Repo, tag)
	if known && m.fresh(last.Checked, a.up.TagTTL) {
		if _, ok := m.may(a); ok {
			if mf, ok := m.kept(ctx, a.Repo, last.Digest, Hit); ok {
				return mf, nil
			}
		}
	}
	was := m.wasPublic(a.Repo)
	bounded, done := ctx, func(error) {}
	if known && m.mayHaveStale(a, last) {
		bounded, done = m.patient(ctx, a)
	}
	now, by, shared, err := reach(bounded, m, a, step[current]{kind: "tag", what: "manifests/" + tag, known: known, told: current.told, do: func(ctx context.Context, as upstream.Identity, by who) (current, error) {
		return m.revalidate(ctx, a, as, by)
	}})
	done(err)
	switch {
	case err != nil:
		if known && kindOf(err) == upstream.NotFound && (by == mirror || by == anyone && was) {
			m.forget(a.Repo, tag)
		}
		return m.stale(ctx, a, last, known, err)
	case now.failed == nil:
		return now.manifest.forOthers(shared), nil
	}
	if mf, err := m.stale(ctx, a, last, known, now.failed); err == nil {
		return mf, nil
	}
	if h := now.head; a.Head && away(now.failed) && h.mediaType != "" && h.size >= 0 {
		return &Manifest{Digest: h.digest, MediaType: h.mediaType, Size: h.size, How: Passed}, nil
	}
	return nil, now.failed
}

// revalidate asks what a tag names now, by a HEAD request, which Docker Hub does not
// count, and fetches that by its digest if it is not kept. It runs once for all who
// ask in the same name.
func (m *Mirror) revalidate(ctx context.Context, a asking, as upstream.Identity, by who) (current, error) {
	path := "manifests/" + a.Ref.Tag
	last, known := m.store.Tag(a.Repo, a.Ref.Tag)
	if known && m.fresh(last.Checked, a.up.TagTTL) {
		if mf, ok := m.keptFor(ctx, a, last.Digest, by); ok { // another has asked meanwhile
			return current{manifest: mf}, nil
		}
	}
	asked := m.now()
	h, err := m.head(ctx, a.up, a.Repo, path, as)
	if err != nil && !headUnsupported(err) {
		return current{}, err
	}
	if err != nil || h.digest == "" {
		mf, err := m.fetchManifest(ctx, a, path, "", as)
		if err != nil {
			return current{}, err
		}
		m.setTag(a, mf, store.Tag{Checked: asked})
		return current{manifest: mf}, nil
	}
	if by == anyone { // here already, so that who asks right behind this is not a first one again
		m.notePublic(a.Repo, a.up.TagTTL)
	}
	if mf, ok := m.kept(ctx, a.Repo, h.digest, Revalidated); ok {
		m.setTag(a, mf, store.Tag{Checked: asked})
		return current{manifest: mf, head: h}, nil
	}
	now := current{head: h}
	if now.manifest, _, now.failed = m.obtain(ctx, a, h.digest, by); now.failed == nil {
		m.setTag(a, now.manifest, store.Tag{Checked: asked})
	}
	return now, nil
}

// headUnsupported tells whether a registry knows no HEAD requests.
func headUnsupported(err error) bool {
	switch statusOf(err) {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// mayHaveStale tells whether there is an earlier answer that the client may have.
func (m *Mirror) mayHaveStale(a asking, last store.Tag) bool {
	if _, ok := m.may(a); !ok && !m.wasPublic(a.Repo) {
		return false
	}
	_, ok := m.store.Linked(a.Repo, last.Digest)
	return ok
}

// stale returns what a tag named last, if the error says that the upstream cannot be
// asked, and if the client may have it; or else the error.
func (m *Mirror) stale(ctx context.Context, a asking, last store.Tag, known bool, err error) (*Manifest, error) {
	reason := awayReason(err)
	if !known || reason == "" {
		return nil, err
	}
	if !m.mayHaveStale(a, last) {
		return nil, err
	}
	mf, ok := m.kept(ctx, a.Repo, last.Digest, Stale)
	if !ok {
		return nil, err
	}
	mf.StaleSince, mf.StaleReason = last.Checked, reason
	return mf, nil
}

func (m *Mirror) setTag(a asking, mf *Manifest, t store.Tag) {
	t.Digest, t.MediaType = mf.Digest, mf.MediaType
	if err := m.store.SetTag(a.Repo, a.Ref.Tag, t); err != nil {
		m.complain(a.Repo, "what a tag names cannot be written", err)
	}
}

func (m *Mirror) forget(r oci.Repository, tag string) {
	if err := m.store.DeleteTag(r, tag); err != nil {
		m.complain(r, "a tag cannot be removed", err)
	}
}
