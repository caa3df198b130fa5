package pull_test

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
)

// secret is the site of these tests: docker.io has a public repository and one that
// the mirror and alice may see, whose image is in the cache already.
type secret struct {
	*site
	hub      *registry
	layer    []byte
	manifest oci.Digest
	blob     oci.Digest
}

const (
	alice = "Bearer alice|acme/app"
	bob   = "Bearer bob|acme/app"
)

func newSecret(t *testing.T, hides bool) *secret {
	hub := newRegistry(t)
	hub.hides = hides
	s := &secret{site: newSite(t, hub, true), hub: hub, layer: noise(1, 300_000)}
	s.manifest, s.blob = hub.image("acme/app", "1", s.layer)
	hub.repo("acme/app").private = []string{"mirror", "alice"}
	hub.image("library/alpine", "3", noise(2, 1000))
	if _, how := s.site.manifest("acme/app:1", named); how != pull.Miss {
		t.Fatalf("whom a rule names: %s", how)
	}
	if content, how := s.site.blob("acme/app@"+string(s.blob), named); how != pull.Miss || !bytes.Equal(content, s.layer) {
		t.Fatalf("whom a rule names: %s", how)
	}
	s.keeps(s.blob)
	return s
}

// all asks for the secret in every way, and returns what came of each.
func (s *secret) all(change ...func(*pull.Request)) map[string]string {
	s.t.Helper()
	layer, manifest := "acme/app@"+string(s.blob), "acme/app@"+string(s.manifest)
	plus := func(f ...func(*pull.Request)) []func(*pull.Request) { return append(f, change...) }
	got := map[string]string{
		"tag":              first(s.site.manifest("acme/app:1", change...)),
		"HEAD tag":         first(s.site.manifest("acme/app:1", plus(head)...)),
		"manifest":         first(s.site.manifest(manifest, change...)),
		"HEAD manifest":    first(s.site.manifest(manifest, plus(head)...)),
		"blob":             first(s.site.blob(layer, change...)),
		"HEAD blob":        first(s.site.blob(layer, plus(head)...)),
		"part":             first(s.site.blob(layer, plus(part("bytes=5-"))...)),
		"manifest as blob": first(s.site.blob(manifest, change...)),
		"blob as manifest": first(s.site.manifest(layer, change...)),
	}
	r := s.request("acme/app:1")
	for _, f := range change {
		f(&r)
	}
	resp, err := s.Passed(context.Background(), r, "tags/list", "")
	if err != nil {
		got["tags"] = status(s.t, err)
	} else {
		resp.Body.Close()
		got["tags"] = pull.Passed
	}
	return got
}

// expect holds all against one answer, but for those that are named.
func (s *secret) expect(who string, got map[string]string, want string, but map[string]string) {
	s.t.Helper()
	for what, how := range got {
		w := want
		if b, ok := but[what]; ok {
			w = b
		}
		if how != w {
			s.t.Errorf("%s: %s: %s, want %s", who, what, how, w)
		}
	}
}

// served is what all finds for those who may have the secret while it is current.
var served = map[string]string{"tags": pull.Passed, "blob as manifest": "404 MANIFEST_UNKNOWN"}

// accepted is what all finds for a client whose credentials are new to the mirror.
var accepted = map[string]string{"tag": pull.Revalidated, "tags": pull.Passed, "blob as manifest": "404 MANIFEST_UNKNOWN"}

func TestPrivateContentGoesToWhomARuleNamesOrTheUpstreamAccepts(t *testing.T) {
	s := newSecret(t, false)
	s.expect("a rule names it", s.all(named), pull.Hit, served)
	s.expect("nobody", s.all(), "403 DENIED", nil)
	s.expect("nobody, who may be challenged", s.all(bearer), "401 UNAUTHORIZED", nil)
	s.expect("bob", s.all(with(bob)), "403 DENIED", nil)
	s.expect("a token for another repository", s.all(with("Bearer alice|library/alpine")), "403 DENIED", nil)
	s.expect("a made-up token", s.all(with("Bearer x")), "403 DENIED", nil)
	s.expect("a name and password", s.all(with("Basic YWxpY2U6YQ==")), "403 DENIED", nil)
	s.expect("alice", s.all(with(alice)), pull.Hit, accepted)
	s.expect("alice, who was accepted", s.all(with(alice)), pull.Hit, served)
	s.expect("nobody, after alice", s.all(), "403 DENIED", nil)

	s.hub.do(func() {
		for auth := range s.hub.auths {
			if strings.HasPrefix(auth, "Basic ") && auth != "Basic bWlycm9yOm93bg==" && auth != "Basic YWxpY2U6YQ==" {
				t.Errorf("credentials of a client went to the token server: %s", auth)
			}
		}
	})
}

func TestAClientIsToldOnlyChallengesThatAreForIt(t *testing.T) {
	s := newSecret(t, false)
	ask := func(change ...func(*pull.Request)) string {
		r := s.request("acme/app:1")
		for _, f := range change {
			f(&r)
		}
		_, err := s.Manifest(t.Context(), r)
		var e *oci.Error
		if !asError(err, &e) {
			t.Fatalf("%v", err)
		}
		return e.Challenge
	}
	if c := ask(); c != "" {
		t.Errorf("where clients log in to the mirror: %q", c)
	}
	if c := ask(bearer); !strings.HasPrefix(c, "Bearer realm=") {
		t.Errorf("where they do not: %q", c)
	}
	for _, challenge := range []string{`Basic realm="x"`, `Bearer realm="` + s.hub.URL + `/token", Basic realm="x"`, `Basic realm="x", Bearer realm="` + s.hub.URL + `/token"`, `bAsIc realm="x"`} {
		s.hub.instead(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		s.pass(2 * ttl)
		if c := ask(bearer); strings.Contains(strings.ToLower(c), "basic") {
			t.Errorf("dockerd would send the user's Docker Hub password: %q", c)
		}
		s.pass(2 * ttl)
		if c := ask(bearer, func(r *pull.Request) { r.Basic = true }); !strings.Contains(strings.ToLower(c), "basic") {
			t.Errorf("the transparent way: %q", c)
		}
	}
}

func TestWhatIsPrivateIsNotAskedForEachTimeItIsDenied(t *testing.T) {
	s := newSecret(t, false)
	s.all()
	before := s.hub.total()
	for range 10 {
		s.all()
	}
	if n := s.hub.total() - before; n != 0 {
		t.Errorf("%d requests for what was refused a moment ago", n)
	}
	s.hub.repo("acme/app").private = nil
	s.pass(2 * ttl)
	s.expect("nobody, of what has become public", s.all(), pull.Hit, map[string]string{"tag": pull.Revalidated, "HEAD tag": pull.Hit, "tags": pull.Passed, "blob as manifest": "404 MANIFEST_UNKNOWN"})
}

func TestABlobOfAPrivateRepositoryIsNotServedThroughAnother(t *testing.T) {
	s := newSecret(t, false)
	liar := newRegistry(t) // says that it has everything, and has nothing
	liar.instead(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", oci.TypeManifest)
		w.Header().Set("Docker-Content-Digest", string(s.blob))
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("Docker-Content-Digest", string(s.manifest))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(s.layer)))
		w.Write(make([]byte, len(s.layer)))
		return true
	})
	s.add("liar.example", liar.URL, false)
	s.site.manifest("alpine:3")
	for _, image := range []string{"alpine@" + string(s.blob), "docker.io/nobody/knows@" + string(s.blob)} {
		for _, who := range []func(*pull.Request){func(*pull.Request) {}, named, with(alice), with("Bearer alice|library/alpine"), head, part("bytes=5-")} {
			if content, how := s.site.blob(image, who); !strings.HasPrefix(how, "40") || content != nil {
				t.Errorf("%s: %s", image, how)
			}
		}
	}
	for range 3 { // also after it has been said to be there
		for _, who := range []func(*pull.Request){func(*pull.Request) {}, named, with("Bearer x")} {
			s.site.blob("liar.example/x@"+string(s.blob), head)
			if content, how := s.site.blob("liar.example/x@"+string(s.blob), who); bytes.Contains(s.layer, content[:min(len(content), 16)]) && len(content) > 0 || how == pull.Hit || how == pull.Joined {
				t.Errorf("through a registry that only says that it has it: %s, %d bytes", how, len(content))
			}
			if _, how := s.site.manifest("liar.example/x@"+string(s.manifest), who); how != "502 UNKNOWN" {
				t.Errorf("its manifest: %s", how)
			}
			if _, how := s.site.manifest("liar.example/x:1", who); how != "502 UNKNOWN" {
				t.Errorf("its manifest by a tag: %s", how)
			}
			part, _ := s.site.blob("liar.example/x@"+string(s.blob), who, part("bytes=100-"))
			if bytes.Contains(s.layer, part[:min(len(part), 16)]) && len(part) > 0 {
				t.Error("a part of it")
			}
		}
	}
	// One that has it shows that by sending it, once.
	honest := newRegistry(t)
	honest.image("x", "1", s.layer)
	s.add("honest.example", honest.URL, false)
	for _, want := range []string{pull.Miss, pull.Hit} {
		if content, how := s.site.blob("honest.example/x@" + string(s.blob)); how != want || !bytes.Equal(content, s.layer) {
			t.Errorf("through another registry that has it too: %s, want %s", how, want)
		}
	}
}

func TestAPrivateDownloadUnderWayOrInterruptedIsNobodyElses(t *testing.T) {
	t.Parallel()
	hub, liar := newRegistry(t), newRegistry(t)
	layer := noise(1, 1<<20)
	_, d := hub.image("acme/app", "1", layer)
	hub.repo("acme/app").private = []string{"mirror", "alice"}
	s := newSite(t, hub, true)
	s.add("liar.example", liar.URL, false)
	liar.instead(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		w.Write(make([]byte, len(layer)))
		return true
	})
	gate := make(chan struct{})
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer mirror|") {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		if r.Header.Get("Range") == "" {
			w.Write(layer[:len(layer)/2])
			w.(http.Flusher).Flush()
			<-gate
		}
		panic(http.ErrAbortHandler)
	})
	r := s.request("acme/app@" + string(d))
	r.Private = true
	b, err := s.Blob(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	steal := func(when string) {
		t.Helper()
		for _, image := range []string{"acme/app@", "liar.example/x@", "alpine@"} {
			for _, change := range []func(*pull.Request){func(*pull.Request) {}, head, part("bytes=5-"), with(bob)} {
				if content, how := s.blob(image+string(d), change); len(content) > 0 && bytes.Contains(layer, content[:min(len(content), 16)]) || how == pull.Joined || how == pull.Hit {
					t.Errorf("%s, through %s: %s, %d bytes", when, image, how, len(content))
				}
			}
		}
	}
	steal("under way")
	close(gate)
	if _, err := read(b); err == nil {
		t.Fatal("the download was not interrupted")
	}
	s.settled()
	steal("interrupted")
	hub.instead(nil)
	s.add("docker.io", hub.URL, true) // the client of before takes a pause after so much trouble
	// alice may go on with it.
	if content, how := s.blob("acme/app@"+string(d), with(alice)); how != pull.Miss || !bytes.Equal(content, layer) {
		t.Errorf("alice: %s, %d bytes", how, len(content))
	}
}

func TestARevokedTokenIsGoodForAMinuteMore(t *testing.T) {
	s := newSecret(t, false)
	s.expect("alice", s.all(with(alice)), pull.Hit, accepted)
	s.hub.do(func() { s.hub.revoked[alice] = true })
	s.pass(50 * time.Second)
	s.expect("alice, revoked a moment ago", s.all(with(alice)), pull.Hit, map[string]string{"tags": "403 DENIED", "blob as manifest": "403 DENIED"})
	// Something was refused to the token meanwhile, so it is forgotten.
	s.expect("alice, after that was noticed", s.all(with(alice)), "403 DENIED", nil)
}

func TestAMinuteAfterItWasAcceptedATokenIsAskedAboutAgain(t *testing.T) {
	s := newSecret(t, false)
	ask := func() string { return first(s.site.blob("acme/app@"+string(s.blob), with(alice))) }
	ask()
	before := s.hub.total()
	if how := ask(); how != pull.Hit || s.hub.total() != before {
		t.Errorf("a moment later: %s, %d requests", how, s.hub.total()-before)
	}
	s.hub.do(func() { s.hub.revoked[alice] = true })
	s.pass(61 * time.Second)
	if how := ask(); how != "403 DENIED" {
		t.Errorf("revoked a minute ago: %s", how)
	}
}

func TestAReloadForgetsWhoWasAccepted(t *testing.T) {
	s := newSecret(t, false)
	s.all(with(alice))
	s.hub.do(func() { s.hub.revoked[alice] = true })
	s.swap()
	s.expect("alice, revoked before a reload", s.all(with(alice)), "403 DENIED", nil)
}

func TestWhileTheUpstreamIsAwayPrivateContentStaysPrivate(t *testing.T) {
	s := newSecret(t, false)
	s.all(with(alice))
	s.all(with(bob))
	s.add("docker.io", nobody(t), true) // and what memory knows of clients is gone with the reload
	away := map[string]string{"tags": "504 UNAVAILABLE", "blob as manifest": "504 UNAVAILABLE"}
	s.pass(2 * ttl)
	s.expect("nobody", s.all(), "504 UNAVAILABLE", nil)
	s.expect("bob", s.all(with(bob)), "504 UNAVAILABLE", nil)
	s.expect("alice", s.all(with(alice)), "504 UNAVAILABLE", nil)
	stale := map[string]string{"tag": pull.Stale, "HEAD tag": pull.Stale}
	for k, v := range away {
		stale[k] = v
	}
	s.expect("whom a rule names", s.all(named), pull.Hit, stale)
	s.restart()
	s.expect("nobody, after a restart", s.all(), "504 UNAVAILABLE", nil)
	s.expect("whom a rule names, after a restart", s.all(named), pull.Hit, stale)
}

func TestARepositoryThatTurnsPrivateIsPrivateAfterTheTagsTime(t *testing.T) {
	for name, hides := range map[string]bool{"says so": false, "hides it": true} {
		t.Run(name, func(t *testing.T) {
			hub := newRegistry(t)
			hub.hides = hides
			s := &secret{site: newSite(t, hub, true), hub: hub, layer: noise(1, 1000)}
			s.manifest, s.blob = hub.image("acme/app", "1", s.layer)
			s.site.manifest("acme/app:1")
			s.site.blob("acme/app@" + string(s.blob))
			s.keeps(s.blob)
			s.expect("nobody", s.all(), pull.Hit, served)
			hub.repo("acme/app").private = []string{"mirror", "alice"}
			s.pass(ttl + time.Second)
			denied, but := "403 DENIED", map[string]string(nil)
			if hides {
				denied = "404 MANIFEST_UNKNOWN"
				but = map[string]string{"blob": "404 BLOB_UNKNOWN", "HEAD blob": "404 BLOB_UNKNOWN", "part": "404 BLOB_UNKNOWN", "manifest as blob": "404 BLOB_UNKNOWN", "tags": "404 NAME_UNKNOWN"}
			}
			s.expect("nobody, afterwards", s.all(), denied, but)
			for range 2 {
				s.add("docker.io", nobody(t), true)
				got := s.all()
				s.expect("nobody, and then the upstream is away", got, "504 UNAVAILABLE", nil)
				s.restart()
			}
			s.add("docker.io", hub.URL, true)
			if _, how := s.site.manifest("acme/app:1", named); how != pull.Miss && how != pull.Revalidated {
				t.Errorf("whom a rule names: %s", how)
			}
			s.expect("alice", s.all(with(alice)), pull.Hit, accepted)
		})
	}
}

func TestAnswersTellNothingOfWhatTheMirrorHas(t *testing.T) {
	s := newSecret(t, false)
	for _, change := range [][]func(*pull.Request){nil, {bearer}, {with(bob)}, {head}} {
		for what, other := range map[string]string{string(s.blob): string(oci.FromBytes([]byte("guessed"))), string(s.manifest): string(oci.FromBytes([]byte("guessed too")))} {
			ask := func(d string) (text string) {
				r := s.request("acme/app@" + d)
				for _, f := range change {
					f(&r)
				}
				_, err := s.Blob(t.Context(), r)
				_, err2 := s.Manifest(t.Context(), r)
				return err.Error() + err2.Error()
			}
			if a, b := ask(what), ask(other); strings.ReplaceAll(a, what, "") != strings.ReplaceAll(b, other, "") {
				t.Errorf("what is here: %s\nwhat is not: %s", a, b)
			}
		}
	}
}
