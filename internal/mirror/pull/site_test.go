package pull_test

import (
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/internal/egress"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// newSite returns the mirror of one registry, docker.io.
func newSite(t testing.TB, hub *registry, own bool) *site {
	t.Helper()
	s := &site{t: t, clock: new(clock), dir: t.TempDir(), size: 1 << 30, timeout: 10 * time.Second, upstreams: make(map[string]pull.Upstream)}
	s.start()
	t.Cleanup(s.stop)
	s.add("docker.io", hub.URL, own)
	return s
}

func (s *site) start() {
	s.t.Helper()
	var err error
	if s.store, err = store.Open(store.Options{Dir: filepath.Join(s.dir, "cache"), MaxSize: s.size, Idle: 5 * time.Second}); err != nil {
		s.t.Fatal(err)
	}
	s.Mirror = pull.New(s.store, pull.Options{Log: zap.NewNop(), Now: s.now, Patience: s.patience, Whole: s.whole})
}

func (s *site) stop() {
	if err := s.Mirror.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
	for _, up := range s.upstreams {
		up.Registry.Close()
	}
}

// restart stops the mirror and starts it anew with the same cache and upstreams.
func (s *site) restart() {
	s.t.Helper()
	s.stop()
	s.start()
	s.swap()
}

// restartWithRoomFor does so with a cache of so many bytes.
func (s *site) restartWithRoomFor(size int64) {
	s.t.Helper()
	s.size = size
	s.restart()
}

// add adds a registry, or replaces it; own: with credentials of the mirror's own.
func (s *site) add(name, at string, own bool) {
	s.t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		s.t.Fatal(err)
	}
	o := upstream.Options{Name: name, URL: u, Timeout: s.timeout, Idle: 5 * time.Second,
		Dialer: &egress.Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	if own {
		o.Username, o.PasswordFile = "mirror", filepath.Join(s.dir, "password")
		if err := os.WriteFile(o.PasswordFile, []byte("own\n"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	r, err := upstream.New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	if old := s.upstreams[name].Registry; old != nil {
		old.Close()
	}
	s.upstreams[name] = pull.Upstream{Registry: r, TagTTL: ttl}
	s.swap()
}

func (s *site) swap() {
	s.Swap(&pull.Policy{Upstreams: maps.Clone(s.upstreams), Default: "docker.io",
		Aliases: map[string]string{"index.docker.io": "docker.io", "registry-1.docker.io": "docker.io"}})
}

// request is for "name:tag", "name@digest"; the registry is docker.io if the name has
// no host.
func (s *site) request(image string) pull.Request {
	s.t.Helper()
	name, ref, digest := strings.Cut(image, "@")
	if !digest {
		i := strings.LastIndexByte(image, ':')
		name, ref = image[:i], image[i+1:]
	}
	repo, err := s.Resolve("", name)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := oci.ParseReference(ref)
	if err != nil {
		s.t.Fatal(err)
	}
	return pull.Request{Repo: repo, Ref: r}
}

// settled waits until no download is under way.
func (s *site) settled() {
	s.t.Helper()
	for end := time.Now().Add(20 * time.Second); s.store.Stats().Downloads > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatal("a download does not end")
		}
	}
}

// keeps waits until a blob is kept, and known to be docker.io's.
func (s *site) keeps(d oci.Digest) {
	s.t.Helper()
	eventually(s.t, "the blob is not kept", func() bool { return s.store.HeldIn("docker.io", d) })
}
