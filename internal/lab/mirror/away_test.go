//go:build linux

package mirror

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// shortLived has what is known of a tag looked at again after tagTTL.
const (
	shortLived = "\n[cache]\ntag_ttl = \"1s\"\n"
	tagTTL     = 1100 * time.Millisecond
)

func TestWhileTheRegistryIsAwayWhatIsCachedIsPulled(t *testing.T) {
	s := newSite(t, "pulls while the registry is away", "skopeo")
	image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 1_000_000))
	m := s.serve(t, plain+admits+shortLived)
	s.wantStale(t, image, false)

	whole := t // for which the mirror runs
	for _, way := range []struct {
		name         string
		leave, again func()
		atRestart    bool // until then the mirror does not notice, for it has a token
	}{
		{"it asks for fewer pulls", func() { s.hub.Images.Instead(tooMany) }, func() { s.hub.Images.Instead(nil) }, false},
		{"it fails", func() { s.hub.Images.Instead(broken) }, func() { s.hub.Images.Instead(nil) }, false},
		{"there is no way to it", func() { s.mirror.Prohibit(t, s.hub.Registry.Prefix()) },
			func() { s.mirror.Open(t, s.hub.Registry.Prefix()) }, false},
		{"there is no way to the tokens", func() { s.mirror.Prohibit(t, s.hub.Auth.Prefix()) },
			func() { s.mirror.Open(t, s.hub.Auth.Prefix()) }, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			way.leave()
			defer way.again()
			if !way.atRestart {
				time.Sleep(tagTTL)
				s.wantStale(t, image, true)
			}
			m.Stop()
			time.Sleep(tagTTL)
			m = s.serve(whole, plain+admits+shortLived)
			s.wantStale(t, image, true)
			if out, err := s.pull(t, s.client, "acme/other:1"); err == nil {
				t.Errorf("what was never cached is pulled:\n%s", out)
			}
		})
	}
	t.Run("it is back, with another image", func(t *testing.T) {
		changed := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 2, 1_000_000))
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
			got, err := s.pull(t, s.client, "acme/tool:1")
			if err == nil && got == changed.Digest {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("it is still %s, %v, want %s", got, err, changed.Digest)
			}
		}
	})
}

// wantStale wants a pull to complete, and the manifest to be marked as perhaps too old,
// or not to be.
func (s *site) wantStale(t *testing.T, image registry.Image, stale bool) {
	t.Helper()
	if got, err := s.pull(t, s.client, "acme/tool:1"); err != nil || got != image.Digest {
		t.Fatalf("it is %s, %v, want %s", got, err, image.Digest)
	}
	got := s.ask(t, s.client, "GET", "/v2/acme/tool/manifests/1", "Accept", manifestType)
	if warning := got.header.Get("Warning"); got.status != 200 || strings.HasPrefix(warning, "299 ") != stale {
		t.Errorf("the manifest is answered with %d and the warning %q", got.status, warning)
	}
}

// manifestType is what clients accept.
const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// tooMany is Docker Hub's answer to whom it has given enough.
func tooMany(w http.ResponseWriter, _ *http.Request) bool {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`))
	return true
}

func broken(w http.ResponseWriter, _ *http.Request) bool {
	http.Error(w, "bad gateway", http.StatusBadGateway)
	return true
}

func TestAMirrorStartsWhileTheRegistryIsAway(t *testing.T) {
	s := newSite(t, "a start while the registry is away", "skopeo")
	image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 100_000))
	for _, h := range []*lab.Host{s.hub.Registry, s.hub.Auth, s.hub.CDN} {
		s.mirror.Prohibit(t, h.Prefix())
	}
	s.serve(t, plain+admits)
	if got := s.ask(t, s.client, "GET", "/v2/"); got.status != 200 {
		t.Errorf("/v2/ is answered with %d", got.status)
	}
	if got := s.ask(t, s.client, "GET", "/v2/acme/tool/manifests/1"); got.status < 500 || !strings.Contains(got.body, `"errors"`) {
		t.Errorf("what it does not have is answered with %d, %s", got.status, got.body)
	}
	for _, h := range []*lab.Host{s.hub.Registry, s.hub.Auth, s.hub.CDN} {
		s.mirror.Open(t, h.Prefix())
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		got, err := s.pull(t, s.client, "acme/tool:1")
		if err == nil && got == image.Digest {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("with the registry back it is %s, %v", got, err)
		}
	}
}
