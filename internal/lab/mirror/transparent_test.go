//go:build linux

package mirror

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// transparentPort is where the mirror is a proxy.
const transparentPort = ":3129"

const transparent = `
[transparent]
address = "` + transparentPort + `"

[[transparent.rule]]
name    = "shop"
action  = "allow"
clients = ["198.18.0.10"]
to      = ["shop.example"]
`

// tokensOfDockerHub has a client get them for its own account, untouched.
const tokensOfDockerHub = `
[[transparent.rule]]
name    = "tokens"
action  = "allow"
clients = ["198.18.0.10"]
to      = ["auth.docker.io"]
`

func TestTheTransparentWayCachesTwoRegistriesAndTouchesNothingElse(t *testing.T) {
	s := newSite(t, "the transparent way", "dockerd", "docker", "containerd", "runc", "curl")
	hub, github := s.twoRegistries(t)
	shop := s.net.Host(t, "shop", netip.MustParsePrefix("198.18.1.90/15"))
	s.net.Name(t, "shop.example", shop.Addr())
	lab.ServeHTTPS(t, shop, ":443", s.hub.CA, []string{"shop.example"}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("untouched"))
	}))
	s.net.Name(t, "other.example", shop.Addr())
	m := s.serve(t, plain+admits+bothRegistries+transparent, 5000, 3129)
	proxy := "http://" + mirrorName + transparentPort

	t.Run("docker pulls", func(t *testing.T) {
		// The mirror's authority alone: nothing that the registries sign passes.
		d := s.docker(t, []string{"HTTPS_PROXY=" + proxy, "SSL_CERT_FILE=" + s.authority(t)})
		var before traffic
		for _, when := range []string{"fetched", "cached"} {
			before = s.traffic()
			for name, image := range map[string]registry.Image{"acme/tool:1": hub, "ghcr.io/acme/tool:1": github} {
				wantPulled(t, d, when, name, image)
			}
			for _, name := range []string{"acme/tool:1", "ghcr.io/acme/tool:1"} {
				if _, err := d.Docker(t, "image", "rm", name); err != nil {
					t.Fatal(err)
				}
			}
		}
		after := s.traffic()
		// Tokens of ghcr.io, which gives them itself, have some kilobytes.
		if after.blobs-before.blobs > 20_000 {
			t.Errorf("the second pulls have fetched %d bytes in %d requests", after.blobs-before.blobs, after.requests-before.requests)
		}
		m.WaitRecord(t, func(r lab.Record) bool {
			return r.String("registry") == "ghcr.io" && r.String("how") == "hit" && r.Int("bytes") > 1_000_000
		})
	})
	t.Run("what else is admitted goes through as it is", func(t *testing.T) {
		out, err := s.try(t, s.client, nil, "curl", "-sS", "--proxy", proxy, "--cacert", s.hub.CA.File(), "https://shop.example/")
		if err != nil || out != "untouched" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("the rest is refused", func(t *testing.T) {
		for host, url := range map[*lab.Host]string{s.client: "https://other.example/", s.stranger: "https://shop.example/"} {
			out, err := s.try(t, host, nil, "curl", "-sSv", "--proxy", proxy, "--cacert", s.hub.CA.File(), url)
			if err == nil || !strings.Contains(out, "< HTTP/1.1 403 ") {
				t.Errorf("%s from %s: %v\n%s", url, host.Name(), err, out)
			}
		}
		out, err := s.try(t, s.stranger, nil, "curl", "-sSv", "--proxy", proxy, "--cacert", s.authority(t), "https://ghcr.io/v2/")
		if err == nil {
			t.Errorf("a stranger reaches a registry:\n%s", out)
		}
	})
}

// A client that is logged in to a registry is logged in there by the transparent way,
// too: the registry tells it where to get a token, and the mirror what it has from it.
func TestTheTransparentWayIsForThoseWhoLogInToTheRegistry(t *testing.T) {
	s := newSite(t, "private images by the transparent way", "dockerd", "docker", "containerd", "runc")
	tokens := registry.NewTokens(t, s.hub.CA, "ghcr.io", "ghcr.io")
	github := s.registry(t, registry.Options{Name: "ghcr.io", Tokens: tokens, Realm: "https://ghcr.io/token"})
	tokens.User("acme", "secret", "acme/private")
	s.hub.Tokens.User("acme", "secret", "acme/private")
	images := map[string]registry.Image{
		"acme/private:1":         s.hub.Images.Push(t, "acme/private", "1", nil, registry.Noise(t, 1, 1_000_000)),
		"ghcr.io/acme/private:1": github.Push(t, "acme/private", "1", nil, registry.Noise(t, 2, 1_000_000)),
	}
	s.serve(t, plain+admits+bothRegistries+transparent+tokensOfDockerHub, 5000, 3129)
	// auth.docker.io is reached untouched, with the certificate of its own.
	d := s.docker(t, []string{"HTTPS_PROXY=http://" + mirrorName + transparentPort, "SSL_CERT_FILE=" + s.bundle(t)})
	for name := range images {
		if out, err := d.Docker(t, "pull", name); err == nil {
			t.Errorf("%s is pulled by nobody in particular: %s", name, out)
		}
	}
	for _, server := range []string{"docker.io", "ghcr.io"} {
		if out, err := d.Docker(t, "login", "--username", "acme", "--password", "wrong", server); err == nil {
			t.Errorf("login at %s with a wrong password: %s", server, out)
		}
		if _, err := d.Docker(t, "login", "--username", "acme", "--password", "secret", server); err != nil {
			t.Fatal(err)
		}
	}
	var before traffic
	for _, when := range []string{"fetched", "cached"} {
		before = s.traffic()
		for name, image := range images {
			wantPulled(t, d, when, name, image)
			if _, err := d.Docker(t, "image", "rm", name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := s.traffic(); after.blobs-before.blobs > 20_000 {
		t.Errorf("the second pulls have fetched %d bytes", after.blobs-before.blobs)
	}
	for _, server := range [][]string{nil, {"ghcr.io"}} { // docker 20.10 logs out from Docker Hub only when it is not named
		if _, err := d.Docker(t, append([]string{"logout"}, server...)...); err != nil {
			t.Fatal(err)
		}
	}
	for name := range images {
		if out, err := d.Docker(t, "pull", name); err == nil {
			t.Errorf("%s is pulled from the cache by nobody in particular: %s", name, out)
		}
	}
}

// authority is the file of the mirror's own authority, as a client gets it.
func (s *site) authority(t *testing.T) string {
	t.Helper()
	got := s.ask(t, s.client, "GET", "/ca.crt")
	if got.status != 200 || !strings.HasPrefix(got.body, "-----BEGIN CERTIFICATE-----\n") {
		t.Fatalf("/ca.crt is answered with %d, %q", got.status, got.body)
	}
	path := filepath.Join(t.TempDir(), "mirror-ca.pem")
	if err := os.WriteFile(path, []byte(got.body), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
