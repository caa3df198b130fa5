//go:build linux

package mirror

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// twoRegistries has acme/tool:1 at Docker Hub and at ghcr.io, which are not the same.
func (s *site) twoRegistries(t *testing.T) (hub, github registry.Image) {
	t.Helper()
	tokens := registry.NewTokens(t, s.hub.CA, "ghcr.io", "ghcr.io")
	r := s.registry(t, registry.Options{Name: "ghcr.io", Tokens: tokens, Realm: "https://ghcr.io/token"})
	hub = s.hub.Images.Push(t, "acme/tool", "1", []string{"/hub"}, registry.Noise(t, 1, 1_000_000))
	github = r.Push(t, "acme/tool", "1", []string{"/github"}, registry.Noise(t, 2, 1_000_000))
	return hub, github
}

const bothRegistries = onlyDockerHub + `
[[upstream]]
name = "ghcr.io"
`

func TestOneNameAtTwoRegistriesIsTwoImages(t *testing.T) {
	s := newSite(t, "two registries behind one mirror", "containerd")
	dns := s.net.ServeDNS(t, s.net.Host(t, "ns", netip.MustParsePrefix("198.18.0.53/15")))
	hub, github := s.twoRegistries(t)
	s.serve(t, plain+admits+bothRegistries)

	t.Run("by the namespace that containerd names", func(t *testing.T) {
		s.containerdPulls(t, map[string]registry.Image{"docker.io/acme/tool:1": hub, "ghcr.io/acme/tool:1": github})
	})
	t.Run("by the path's prefix", func(t *testing.T) {
		for range 2 { // from the registry, then from the cache
			s.wantDigest(t, "acme/tool:1", hub.Digest)
			s.wantDigest(t, "docker.io/acme/tool:1", hub.Digest)
			s.wantDigest(t, "ghcr.io/acme/tool:1", github.Digest)
		}
	})
	t.Run("of one that is not configured, nothing", func(t *testing.T) {
		for _, path := range []string{"/v2/acme/tool/manifests/1?ns=quay.example", "/v2/quay.example/acme/tool/manifests/1"} {
			if got := s.ask(t, s.client, "GET", path); got.status != 404 || !strings.Contains(got.body, "NAME_UNKNOWN") {
				t.Errorf("%s: %d, %s", path, got.status, got.body)
			}
		}
		if slices.Contains(dns.Queries(), "quay.example") {
			t.Errorf("a namespace that is not configured is looked up: %v", dns.Queries())
		}
	})
}

// writeHosts writes into containerd's directory what the README has it know of a registry,
// with one word of it replaced.
func writeHosts(t *testing.T, hosts, registry, word, by string) {
	t.Helper()
	dir := filepath.Join(hosts, registry)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(lab.ReadmeBlock(t, `server = "https://ghcr.io"`), word, by, 1)
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// containerdPulls wants containerd to pull images by names, each with the mirror as the
// only host of its registry.
func (s *site) containerdPulls(t *testing.T, images map[string]registry.Image) {
	t.Helper()
	hosts := t.TempDir()
	for name := range images {
		namespace, _, _ := strings.Cut(name, "/")
		writeHosts(t, hosts, namespace, "ghcr.io", namespace)
	}
	c := lab.StartContainerd(t, s.client, []string{"SSL_CERT_FILE=" + s.hub.CA.File()}, hosts)
	for name, image := range images {
		said, err := c.Pull(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(said, image.Config) {
			t.Errorf("containerd has pulled %q for %s, want %s", said, name, image.Config)
		}
	}
}
