package pull_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry is an upstream on loopback, with tokens as Docker Hub has them. It counts
// what it is asked for.
type registry struct {
	*httptest.Server
	hides bool // it says 404 of what one may not see

	mu      sync.Mutex
	repos   map[string]*repo
	users   map[string]string // passwords
	revoked map[string]bool   // tokens
	counts  map[string]int    // "HEAD a/b manifests/latest as alice"
	auths   map[string]bool   // Authorization headers, the token server's included
	// answer, if not nil, answers instead, unless it returns false.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

type repo struct {
	private []string // users who may see it; nil: all
	blobs   map[oci.Digest][]byte
	types   map[oci.Digest]string // of manifests
	tags    map[string]oci.Digest
}

func newRegistry(t testing.TB) *registry {
	g := &registry{repos: make(map[string]*repo), users: map[string]string{"mirror": "own", "alice": "a", "bob": "b"}, revoked: make(map[string]bool), counts: make(map[string]int), auths: make(map[string]bool)}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *registry) do(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// instead sets what answers instead.
func (g *registry) instead(f func(w http.ResponseWriter, r *http.Request) bool) {
	g.do(func() { g.answer = f })
}

// fails answers everything with a status.
func (g *registry) fails(status int) {
	g.instead(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		return true
	})
}

func (g *registry) repo(name string) *repo {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.repos[name] == nil {
		g.repos[name] = &repo{blobs: make(map[oci.Digest][]byte), types: make(map[oci.Digest]string), tags: make(map[string]oci.Digest)}
	}
	return g.repos[name]
}

// image puts an image with one layer into a repository.
func (g *registry) image(name, tag string, layer []byte) (manifest, blob oci.Digest) {
	r := g.repo(name)
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","of":%q}`, name)
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		oci.TypeManifest, oci.FromBytes(config), len(config), oci.FromBytes(layer), len(layer))
	return g.manifest(name, tag, oci.TypeManifest, body), g.blob(r, layer, config)
}

func (g *registry) blob(r *repo, contents ...[]byte) oci.Digest {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range contents {
		r.blobs[oci.FromBytes(c)] = c
	}
	return oci.FromBytes(contents[0])
}

func (g *registry) manifest(name, tag, mediaType string, body []byte) oci.Digest {
	r := g.repo(name)
	d := g.blob(r, body)
	g.do(func() { r.types[d], r.tags[tag] = mediaType, d })
	return d
}

// asked returns how often something was asked for by methods and names of users ("" for
// anybody), sorted: "GET×1 HEAD×2".
func (g *registry) asked(what string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := make(map[string]int)
	for key, count := range g.counts {
		f := strings.Fields(key)
		if f[1]+" "+f[2] == what {
			n[f[0]] += count
		}
	}
	var list []string
	for _, method := range slices.Sorted(maps.Keys(n)) {
		list = append(list, fmt.Sprintf("%s×%d", method, n[method]))
	}
	return strings.Join(list, " ")
}

func (g *registry) total() (n int) {
	g.do(func() {
		for _, count := range g.counts {
			n += count
		}
	})
	return n
}

func (g *registry) askedAs(method, what, user string) (n int) {
	g.do(func() { n = g.counts[method+" "+what+" as "+user] })
	return n
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	auth := r.Header.Get("Authorization")
	g.mu.Lock()
	g.auths[auth] = true
	answer := g.answer
	g.mu.Unlock()
	if r.URL.Path == "/token" {
		g.token(w, r)
		return
	}
	name, what, ok := split(strings.TrimPrefix(r.URL.Path, "/v2/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	user, scope, _ := strings.Cut(strings.TrimPrefix(auth, "Bearer "), "|")
	if auth == "" || scope != name || g.isRevoked(auth) {
		g.challenge(w, name)
		return
	}
	g.do(func() { g.counts[r.Method+" "+name+" "+what+" as "+user]++ })
	if answer != nil && answer(w, r) {
		return
	}
	g.serve(w, r, name, what, user)
}

func (g *registry) isRevoked(auth string) (yes bool) {
	g.do(func() { yes = g.revoked[auth] })
	return yes
}

func (g *registry) challenge(w http.ResponseWriter, name string) {
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:%s:pull"`, g.URL, name))
	w.WriteHeader(http.StatusUnauthorized)
}

func (g *registry) token(w http.ResponseWriter, r *http.Request) {
	user, password, ok := r.BasicAuth()
	g.mu.Lock()
	defer g.mu.Unlock()
	if ok && g.users[user] != password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	name := strings.TrimSuffix(strings.TrimPrefix(r.FormValue("scope"), "repository:"), ":pull")
	fmt.Fprintf(w, `{"token":"%s|%s","expires_in":3600}`, user, name)
}

func split(path string) (name, what string, ok bool) {
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if i := strings.Index(path, kind); i > 0 {
			return path[:i], path[i+1:], true
		}
	}
	return "", "", false
}

func (g *registry) serve(w http.ResponseWriter, r *http.Request, name, what, user string) {
	g.mu.Lock()
	repo := g.repos[name]
	if repo != nil && repo.private != nil && !slices.Contains(repo.private, user) {
		g.mu.Unlock()
		if g.hides {
			http.NotFound(w, r)
			return
		}
		g.challenge(w, name)
		return
	}
	kind, ref, _ := strings.Cut(what, "/")
	var body []byte
	mediaType, found := oci.TypeOctetStream, false
	d := oci.Digest(ref)
	switch {
	case repo == nil:
	case kind == "tags":
		body, _ = json.Marshal(map[string]any{"name": name, "tags": slices.Sorted(maps.Keys(repo.tags))})
		mediaType, found = "application/json", true
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?last=z>; rel="next"`, name))
	case kind == "manifests":
		if tagged, ok := repo.tags[ref]; ok {
			d = tagged
		}
		mediaType, found = repo.types[d]
		body = repo.blobs[d]
	default:
		body, found = repo.blobs[d]
	}
	g.mu.Unlock()
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	if kind != "tags" {
		w.Header().Set("Docker-Content-Digest", string(d))
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// clock is what the mirror takes for the time.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

const ttl = time.Minute

// site is a mirror of registries, with its cache.
type site struct {
	t testing.TB
	*pull.Mirror
	*clock
	store     *store.Store
	dir       string
	size      int64
	patience  time.Duration
	whole     time.Duration
	timeout   time.Duration // of registries that are added
	upstreams map[string]pull.Upstream
}

// manifest asks for one and returns how it came, or the status of the error.
func (s *site) manifest(image string, change ...func(*pull.Request)) (*pull.Manifest, string) {
	s.t.Helper()
	r := s.request(image)
	for _, f := range change {
		f(&r)
	}
	m, err := s.Manifest(context.Background(), r)
	if err != nil {
		return nil, status(s.t, err)
	}
	if m.Body != nil && (!m.Digest.Matches(m.Body) || m.Size != int64(len(m.Body))) {
		s.t.Errorf("%s: the body is not that of %s with %d bytes", image, m.Digest, m.Size)
	}
	return m, m.How
}

// blob asks for one and returns its content and how it came, or the status of the
// error. An error that comes while the content is read is "broken".
func (s *site) blob(image string, change ...func(*pull.Request)) ([]byte, string) {
	s.t.Helper()
	r := s.request(image)
	for _, f := range change {
		f(&r)
	}
	b, err := s.Blob(context.Background(), r)
	if err != nil {
		return nil, status(s.t, err)
	}
	defer b.Close()
	content, err := read(b)
	if err != nil {
		return content, "broken"
	}
	return content, b.How
}

func read(b *pull.Blob) ([]byte, error) {
	var out bytes.Buffer
	var err error
	switch {
	case b.Content != nil:
		_, err = b.Content.CopyTo(context.Background(), &out, 0, -1, nil)
	case b.Passed != nil:
		_, err = io.Copy(&out, b.Passed.Body)
	}
	return out.Bytes(), err
}

func status(t testing.TB, err error) string {
	t.Helper()
	var e *oci.Error
	if !errors.As(err, &e) {
		t.Errorf("not an error for a client: %v", err)
		return "?"
	}
	if e.Message == "" || strings.Contains(e.Message, "127.0.0.1") && e.Code != oci.NameUnknown {
		t.Errorf("the client is told %q", e.Message)
	}
	return fmt.Sprintf("%d %s", e.Status, e.Identifier())
}

func head(r *pull.Request) { r.Head = true }

func named(r *pull.Request) { r.Private = true }

func bearer(r *pull.Request) { r.Bearer = true }

func with(authorization string) func(*pull.Request) {
	return func(r *pull.Request) { r.Authorization = authorization }
}

func part(header string) func(*pull.Request) {
	return func(r *pull.Request) { r.Range = header }
}

func noise(seed byte, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// eventually waits for what goes on without a client.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func asError(err error, e **oci.Error) bool { return errors.As(err, e) }
