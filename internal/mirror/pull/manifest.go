package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// errLie says that an upstream sent other content than the digest that it was asked
// for, or that it gave, or no manifest.
var errLie = errors.New("the upstream sent what was not asked for")

// defaultWhole is that of Options.
const defaultWhole = time.Minute

var errSlowManifest = errors.New("a manifest takes too long")

// typeJSON is the type of JSON that does not say what it is.
const typeJSON = "application/json"

// schema1 are the types of Docker's first schema.
var schema1 = []string{"application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws"}

// Manifest returns what a repository's tag or digest names. Errors are *oci.Error.
func (m *Mirror) Manifest(ctx context.Context, r Request) (*Manifest, error) {
	a, err := m.asking(&r)
	if err != nil {
		return nil, err
	}
	if r.Ref.Digest != "" {
		mf, err := m.byDigest(ctx, a)
		if err != nil {
			return nil, a.failure("manifest "+string(r.Ref.Digest), err)
		}
		return mf, nil
	}
	mf, err := m.byTag(ctx, a)
	if err != nil {
		return nil, a.failure(fmt.Sprintf("manifest %s:%s", r.Repo.Name, r.Ref.Tag), err)
	}
	return mf, nil
}

// kept returns a manifest that is in the store and that the repository is known to
// hold.
func (m *Mirror) kept(ctx context.Context, r oci.Repository, d oci.Digest, how string) (*Manifest, bool) {
	link, ok := m.store.Linked(r, d)
	if !ok || link.MediaType == "" { // a blob
		return nil, false
	}
	c, ok := m.store.Get(d)
	if !ok {
		return nil, false
	}
	defer c.Close()
	body, err := c.Bytes(ctx, oci.MaxManifest)
	if err != nil {
		return nil, false
	}
	return &Manifest{Digest: d, MediaType: link.MediaType, Size: int64(len(body)), Body: body, How: how}, true
}

func (m *Mirror) byDigest(ctx context.Context, a asking) (*Manifest, error) {
	d := a.Ref.Digest
	path := "manifests/" + string(d)
	_, linked := m.store.Linked(a.Repo, d)
	var by who
	var err error
	switch {
	case linked:
		if by, err = m.authorise(ctx, a, path); err != nil {
			return nil, err
		}
		if mf, ok := m.kept(ctx, a.Repo, d, Hit); ok {
			return mf, nil
		}
	case a.up.Registry.HasCredentials():
		// A HEAD request as anybody tells whether it is public; the GET request, which
		// counts for the rate limit, is the mirror's.
		if _, by, _, err = reach(ctx, m, a, m.headStep(a, path, false)); err != nil {
			return nil, err
		}
	default:
		mf, _, shared, err := reach(ctx, m, a, step[*Manifest]{kind: "manifest", what: path, told: (*Manifest).told, do: func(ctx context.Context, as upstream.Identity, by who) (*Manifest, error) {
			if mf, ok := m.keptFor(ctx, a, d, by); ok {
				return mf, nil
			}
			return m.fetchManifest(ctx, a, path, d, as)
		}})
		return mf.forOthers(shared), err
	}
	mf, shared, err := m.obtain(ctx, a, d, by)
	return mf.forOthers(shared), err
}

// keptFor returns what is kept if it was found out since the question was put that
// the client may have it.
func (m *Mirror) keptFor(ctx context.Context, a asking, d oci.Digest, by who) (*Manifest, bool) {
	if by == client || by == anyone && !m.isPublic(a.Repo, a.up.TagTTL) {
		return nil, false
	}
	return m.kept(ctx, a.Repo, d, Hit)
}

// told tells that an answer is from what was known: the registry was not asked.
func (mf *Manifest) told() bool { return mf != nil && mf.How == Hit }

// obtain fetches a manifest by digest for those who may have it through by.
func (m *Mirror) obtain(ctx context.Context, a asking, d oci.Digest, by who) (*Manifest, bool, error) {
	path := "manifests/" + string(d)
	as := "mirror"
	if by == client {
		g := m.grant(a)
		as = string(g.who[:])
	}
	return ask(ctx, m, question{a.Repo, "obtain", path, as}, func(ctx context.Context) (*Manifest, error) {
		if mf, ok := m.kept(ctx, a.Repo, d, Hit); ok {
			return mf, nil
		}
		return m.fetchManifest(ctx, a, path, d, a.identities(by)...)
	}, nil)
}

// forOthers returns the answer for those who did not ask first.
func (mf *Manifest) forOthers(shared bool) *Manifest {
	if mf == nil || !shared || mf.How != Miss {
		return mf
	}
	other := *mf
	other.How = Joined
	return &other
}

// fetchManifest fetches, checks and keeps a manifest. want is the digest that it must
// have; "": the one that the upstream says, or any.
func (m *Mirror) fetchManifest(ctx context.Context, a asking, path string, want oci.Digest, as ...upstream.Identity) (*Manifest, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, m.whole, &upstream.Error{Upstream: a.Repo.Registry, Kind: upstream.Unreachable, Err: errSlowManifest})
	defer cancel()
	resp, err := m.open(ctx, a, upstream.Request{Method: http.MethodGet, Repository: a.Repo.Name, Path: path, Accept: oci.ManifestTypes()}, as)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, oci.MaxManifest+1))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	if want == "" {
		if want, err = oci.ParseDigest(resp.Header.Get("Docker-Content-Digest")); err != nil {
			want = oci.FromBytes(body)
		}
	}
	if len(body) > oci.MaxManifest {
		return nil, fmt.Errorf("%w: more than %d bytes for a manifest", errLie, oci.MaxManifest)
	}
	if !want.Matches(body) {
		return nil, fmt.Errorf("%w: another digest than %s", errLie, want)
	}
	mediaType, err := typeOf(resp.Header.Get("Content-Type"), body)
	if err != nil {
		return nil, err
	}
	mf := &Manifest{Digest: want, MediaType: mediaType, Size: int64(len(body)), Body: body, How: Miss}
	return mf, m.keep(a.Repo, mf)
}

// keep puts a manifest into the store. One that there is no room for is served all
// the same.
func (m *Mirror) keep(r oci.Repository, mf *Manifest) error {
	if err := m.store.Put(mf.Digest, mf.Body); err != nil {
		m.complain(r, "a manifest cannot be kept", err)
		return nil
	}
	m.link(r, mf.Digest, store.Link{MediaType: mf.MediaType, Size: mf.Size})
	return nil
}

// typeOf returns the type of a manifest that was checked: what it says itself, or its
// form does, and only for other JSON what the upstream says.
func typeOf(header string, body []byte) (string, error) {
	c, err := oci.Manifest("", body)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errLie, err)
	}
	var version struct {
		Schema int `json:"schemaVersion"`
	}
	if json.Unmarshal(body, &version) == nil && version.Schema == 1 {
		return "", errSchema1
	}
	if c.MediaType == typeJSON {
		if t := oci.MediaType(header); t != "" {
			c.MediaType = t
		}
	}
	if slices.Contains(schema1, c.MediaType) {
		return "", errSchema1
	}
	return c.MediaType, nil
}

// open asks in the name of each of as until one is let have the answer, or the
// trouble is not the name's. Close the answer's body.
func (m *Mirror) open(ctx context.Context, a asking, r upstream.Request, as []upstream.Identity) (resp *http.Response, err error) {
	up, err := m.upstream(a.Repo) // the one in force now
	if err != nil {
		return nil, err
	}
	for _, r.As = range as {
		resp, err = up.Registry.Do(ctx, r)
		switch kindOf(err) {
		case upstream.Unauthorized, upstream.RateLimited, upstream.NoCredentials:
		default:
			return resp, err
		}
	}
	return nil, err
}

// head is what an upstream says of something.
type head struct {
	digest    oci.Digest // "": it does not say
	mediaType string
	size      int64 // -1: it does not say
}

func (m *Mirror) headStep(a asking, path string, known bool) step[head] {
	return step[head]{kind: "head", what: path, known: known, do: func(ctx context.Context, as upstream.Identity, _ who) (head, error) {
		return m.head(ctx, a.up, a.Repo, path, as)
	}}
}

func (m *Mirror) head(ctx context.Context, up Upstream, r oci.Repository, path string, as upstream.Identity) (head, error) {
	resp, err := up.Registry.Do(ctx, upstream.Request{Method: http.MethodHead, Repository: r.Name, Path: path, Accept: oci.ManifestTypes(), As: as})
	if err != nil {
		return head{}, err
	}
	defer resp.Body.Close()
	h := head{mediaType: oci.MediaType(resp.Header.Get("Content-Type")), size: resp.ContentLength}
	if d, err := oci.ParseDigest(resp.Header.Get("Docker-Content-Digest")); err == nil {
		h.digest = d
	}
	return h, nil
}
