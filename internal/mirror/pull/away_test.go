package pull_test

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
)

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "http://" + l.Addr().String()
}

func TestWhileTheUpstreamIsAwayTheLastAnswerIsServedAndMarked(t *testing.T) {
	for name, c := range map[string]struct {
		away   func(t *testing.T, hub *registry, s *site)
		reason string
		cold   string // the answer for what is not known
	}{
		"429":                {func(_ *testing.T, hub *registry, _ *site) { hub.fails(http.StatusTooManyRequests) }, "rate limited", "429 TOOMANYREQUESTS"},
		"503":                {func(_ *testing.T, hub *registry, _ *site) { hub.fails(http.StatusServiceUnavailable) }, "broken answer", "50"},
		"gone":               {func(t *testing.T, _ *registry, s *site) { s.add("docker.io", nobody(t), false) }, "unreachable", "504 UNAVAILABLE"},
		"may not be dialled": {func(_ *testing.T, _ *registry, s *site) { s.add("docker.io", "http://169.254.169.254", false) }, "not to be asked", "502 UNKNOWN"},
		"no credentials, and 429": {func(_ *testing.T, hub *registry, s *site) {
			hub.fails(http.StatusTooManyRequests)
			s.add("docker.io", hub.URL, true)
			hub.do(func() { hub.users["mirror"] = "changed" })
		}, "rate limited", "429 TOOMANYREQUESTS"},
	} {
		t.Run(name, func(t *testing.T) {
			hub := newRegistry(t)
			layer := noise(1, 100_000)
			m, d := hub.image("library/alpine", "3", layer)
			s := newSite(t, hub, false)
			s.manifest("alpine:3")
			s.blob("alpine@" + string(d))
			s.keeps(d)
			since := s.now()
			s.pass(2 * ttl)
			c.away(t, hub, s)
			for range 3 { // the second time a breaker or a pause may answer
				got, how := s.manifest("alpine:3")
				if how != pull.Stale || got.Digest != m || got.StaleReason != c.reason || got.StaleSince.Sub(since).Abs() > ttl/2 {
					t.Errorf("by tag: %s %+v", how, got)
				}
			}
			if got, how := s.manifest("alpine:3", head); how != pull.Stale || got.Digest != m {
				t.Errorf("HEAD by tag: %s", how)
			}
			if _, how := s.manifest("alpine@" + string(m)); how != pull.Hit {
				t.Errorf("by digest: %s", how)
			}
			if content, how := s.blob("alpine@" + string(d)); how != pull.Hit || !bytes.Equal(content, layer) {
				t.Errorf("blob: %s", how)
			}
			if content, how := s.blob("alpine@"+string(d), part("bytes=5-")); how != pull.Hit || content == nil {
				t.Errorf("part of a blob: %s", how)
			}
			for what, how := range map[string]string{"another tag": first(s.manifest("alpine:4")), "another repository": first(s.manifest("busybox:1")), "another blob": first(s.blob("alpine@" + string(oci.FromBytes([]byte("x")))))} {
				if !strings.HasPrefix(how, c.cold) { // 502, or 504 once a breaker is open
					t.Errorf("%s: %s, want %s", what, how, c.cold)
				}
			}
		})
	}
}

func first[T any](_ T, how string) string { return how }

func TestAMirrorStartsWhileTheUpstreamIsAway(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 100_000)
	m, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.manifest("alpine:3")
	s.blob("alpine@" + string(d))
	s.keeps(d)
	s.pass(48 * time.Hour)
	s.add("docker.io", nobody(t), false)
	s.restart()
	if got, how := s.manifest("alpine:3"); how != pull.Stale || got.Digest != m {
		t.Errorf("tag: %s", how)
	}
	if content, how := s.blob("alpine@" + string(d)); how != pull.Hit || !bytes.Equal(content, layer) {
		t.Errorf("blob: %s", how)
	}
	if _, how := s.manifest("busybox:1"); how != "504 UNAVAILABLE" {
		t.Errorf("what is not known: %s", how)
	}
}

// Docker Hub counts GET requests for manifests, and lets HEAD requests pass.
func TestWhoseRateLimitIsUsedUpLearnsOfANewTagButGetsTheOldOne(t *testing.T) {
	hub := newRegistry(t)
	old, _ := hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	s.manifest("alpine:3")
	s.pass(2 * ttl)
	next, _ := hub.image("library/alpine", "3", noise(2, 1000))
	hub.image("library/alpine", "4", noise(3, 1000))
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return r.Method == http.MethodGet
	})
	if got, how := s.manifest("alpine:4", head); how != pull.Passed || got.Body != nil || got.MediaType != oci.TypeManifest || got.Size == 0 {
		t.Errorf("HEAD of what is not here: %s %+v", how, got)
	}
	if got, how := s.manifest("alpine:3"); how != pull.Stale || got.Digest != old || got.StaleReason != "rate limited" {
		t.Errorf("%s %+v", how, got)
	}
	hub.instead(nil)
	s.add("docker.io", hub.URL, false) // a client that is not paused
	if got, how := s.manifest("alpine:3"); how != pull.Miss || got.Digest != next {
		t.Errorf("when requests are taken again: %s %+v", how, got)
	}
}

func TestATagThatIsDeletedUpstreamIsDeletedHere(t *testing.T) {
	hub := newRegistry(t)
	m, _ := hub.image("library/alpine", "3", noise(1, 1000))
	hub.image("library/alpine", "4", noise(2, 1000))
	s := newSite(t, hub, false)
	s.manifest("alpine:3")
	s.pass(2 * ttl)
	r := hub.repo("library/alpine")
	hub.do(func() { delete(r.tags, "3") })
	if _, how := s.manifest("alpine:3"); how != "404 MANIFEST_UNKNOWN" {
		t.Errorf("deleted: %s", how)
	}
	s.manifest("alpine:4") // the repository is public still
	s.add("docker.io", nobody(t), false)
	if _, how := s.manifest("alpine:3"); how != "504 UNAVAILABLE" {
		t.Errorf("deleted, and the upstream away: %s", how)
	}
	if _, how := s.manifest("alpine@" + string(m)); how != pull.Hit {
		t.Errorf("by digest it is there still: %s", how)
	}
}

func TestTheMirrorsAccountPullsWhatEverybodyMay(t *testing.T) {
	hub := newRegistry(t)
	m, d := hub.image("library/alpine", "3", noise(1, 100_000))
	s := newSite(t, hub, true)
	s.manifest("alpine:3")
	if n := hub.askedAs(http.MethodGet, "library/alpine manifests/"+string(m), "mirror"); n != 1 {
		t.Errorf("the manifest was fetched %d times with the mirror's credentials", n)
	}
	if n := hub.askedAs(http.MethodHead, "library/alpine manifests/3", ""); n != 1 {
		t.Errorf("%d anonymous requests have shown that it is public", n)
	}
	s.blob("alpine@" + string(d))
	if n := hub.askedAs(http.MethodGet, "library/alpine blobs/"+string(d), ""); n != 1 {
		t.Errorf("%d anonymous requests for a blob that was not known to be the repository's", n)
	}
	// Those without credentials have used up their rate limit.
	s.pass(2 * ttl)
	next, _ := hub.image("library/alpine", "3", noise(2, 1000))
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		anonymous := bytes.HasPrefix([]byte(r.Header.Get("Authorization")), []byte("Bearer |"))
		if anonymous {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return anonymous
	})
	if got, how := s.manifest("alpine:3"); how != pull.Miss || got.Digest != next {
		t.Errorf("of a repository that was public when it could be asked last: %s", how)
	}
	hub.image("library/busybox", "1", noise(2, 1000))
	if _, how := s.manifest("busybox:1"); how != "429 TOOMANYREQUESTS" {
		t.Errorf("of one of which that is not known: %s", how)
	}
	if _, how := s.manifest("busybox:1", named); how != pull.Miss {
		t.Errorf("for whom a rule names: %s", how)
	}
	// That it was public was long ago: it may be private now.
	secret, _ := hub.image("library/alpine", "3", noise(4, 1000))
	hub.repo("library/alpine").private = []string{"mirror"}
	for range 2 {
		s.pass(24 * time.Hour)
		if got, how := s.manifest("alpine:3"); how != pull.Stale || got.Digest != next {
			t.Errorf("a day later: %s", how)
		}
		if _, how := s.manifest("alpine@" + string(secret)); how != "429 TOOMANYREQUESTS" {
			t.Errorf("a day later, by digest: %s", how)
		}
		s.restart()
	}
}

func TestWhatIsNotKeptIsPassedOn(t *testing.T) {
	hub := newRegistry(t)
	hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	r := s.request("alpine:3")
	resp, err := s.Passed(t.Context(), r, "tags/list", "n=5")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || body.String() != `{"name":"library/alpine","tags":["3"]}` || resp.Header.Get("Link") == "" {
		t.Errorf("%s %v, %v", body.String(), resp.Header, err)
	}
	if _, err := s.Passed(t.Context(), r, "referrers/"+string(oci.FromBytes(nil)), ""); status(t, err) != "404 NAME_UNKNOWN" {
		t.Errorf("a registry that knows no referrers: %v", err)
	}
}

func TestNamesLeadToConfiguredRegistriesAndNowhereElse(t *testing.T) {
	hub, other := newRegistry(t), newRegistry(t)
	s := newSite(t, hub, false)
	s.add("ghcr.io", other.URL, false)
	s.add("reg.example:5000", other.URL, false)
	for _, c := range []struct{ ns, path, want string }{
		{"", "alpine", "docker.io/library/alpine"},
		{"", "owner/image", "docker.io/owner/image"},
		{"", "ghcr.io/owner/image", "ghcr.io/owner/image"},
		{"", "ghcr.io/one", "ghcr.io/one"},
		{"", "docker.io/alpine", "docker.io/library/alpine"},
		{"", "index.docker.io/alpine", "docker.io/library/alpine"},
		{"", "reg.example:5000/one", "reg.example:5000/one"},
		{"docker.io", "alpine", "docker.io/library/alpine"},
		{"docker.io", "library/alpine", "docker.io/library/alpine"},
		{"registry-1.docker.io", "library/alpine", "docker.io/library/alpine"},
		{"GHCR.io", "owner/image", "ghcr.io/owner/image"},
		{"ghcr.io", "ghcr.io/owner/image", "ghcr.io/owner/image"}, // override_path
		{"docker.io", "ghcr.io/owner/image", "docker.io/ghcr.io/owner/image"},
		{"reg.example:5000", "one", "reg.example:5000/one"},

		{"", "quay.io/owner/image", "404 NAME_UNKNOWN"},
		{"", "localhost/image", "404 NAME_UNKNOWN"},
		{"", "127.0.0.1:5000/image", "404 NAME_UNKNOWN"},
		{"", "169.254.169.254/latest", "404 NAME_UNKNOWN"},
		{"", "reg.example/image", "404 NAME_UNKNOWN"},
		{"", "reg.example:5001/image", "404 NAME_UNKNOWN"},
		{"", "QUAY/image", "404 NAME_UNKNOWN"},
		{"quay.io", "owner/image", "404 NAME_UNKNOWN"},
		{"quay.io", "ghcr.io/owner/image", "404 NAME_UNKNOWN"},
		{"127.0.0.1:1", "owner/image", "404 NAME_UNKNOWN"},
		{"ghcr.io@evil.example", "owner/image", "404 NAME_UNKNOWN"},
		{"http://ghcr.io", "owner/image", "404 NAME_UNKNOWN"},
		{"ghcr.io/", "owner/image", "404 NAME_UNKNOWN"},
		{"ghcr.io", "", "400 NAME_INVALID"},
		{"", "", "400 NAME_INVALID"},
		{"", "ghcr.io/", "400 NAME_INVALID"},
		{"", "../etc/passwd", "404 NAME_UNKNOWN"},
		{"", "owner/../../image", "400 NAME_INVALID"},
		{"ghcr.io", "../x", "400 NAME_INVALID"},
		{"", "Owner", "400 NAME_INVALID"},
		{"", "ghcr.io/" + string(bytes.Repeat([]byte("a/"), 200)) + "a", "400 NAME_INVALID"},
	} {
		repo, err := s.Resolve(c.ns, c.path)
		got := repo.String()
		if err != nil {
			got = status(t, err)
		}
		if got != c.want {
			t.Errorf("ns=%s %s: %s, want %s", c.ns, c.path, got, c.want)
		}
	}
	s.Swap(&pull.Policy{Upstreams: s.upstreams})
	if _, err := s.Resolve("", "alpine"); status(t, err) != "404 NAME_UNKNOWN" {
		t.Errorf("without a default: %v", err)
	}
	if n := hub.total() + other.total(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestWithoutATimeTagsAreAlwaysAskedForAndContentIsStillFetchedOnce(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 100_000)
	_, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.upstreams["docker.io"] = pull.Upstream{Registry: s.upstreams["docker.io"].Registry}
	s.swap()
	for _, want := range []string{pull.Miss, pull.Revalidated, pull.Revalidated} {
		if _, how := s.manifest("alpine:3"); how != want {
			t.Errorf("tag: %s, want %s", how, want)
		}
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if content, how := s.blob("alpine@" + string(d)); !bytes.Equal(content, layer) {
				t.Errorf("blob: %s", how)
			}
		})
	}
	wg.Wait()
	if got := hub.asked("library/alpine blobs/" + string(d)); !strings.HasPrefix(got, "GET×1") {
		t.Errorf("upstream was asked %s", got)
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range [][2]string{{"", "alpine"}, {"ghcr.io", "a/b"}, {"", "ghcr.io/a/b"}, {"docker.io", "docker.io/x"}, {"", "127.0.0.1:5000/x"}, {"", "a/../b"}} {
		f.Add(seed[0], seed[1])
	}
	hub := newRegistry(f)
	s := newSite(f, hub, false)
	f.Fuzz(func(t *testing.T, ns, path string) {
		r, err := s.Resolve(ns, path)
		if err != nil {
			status(t, err)
			return
		}
		if name, err := oci.ParseName(r.Name); err != nil || name != r.Name || r.Registry != "docker.io" {
			t.Errorf("ns=%q %q leads to %q of %q", ns, path, r.Name, r.Registry)
		}
		if ns == "" && !strings.HasSuffix(path, r.Name) && r.Name != "library/"+path {
			t.Errorf("%q became %q", path, r.Name)
		}
	})
}
