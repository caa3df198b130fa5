package upstream

import (
	"net/url"
	"slices"
	"testing"

	"sluice/internal/presets"
)

func TestWellKnownRegistriesHaveTheirHosts(t *testing.T) {
	for name, want := range map[string]struct {
		url, realm string
		blobs, not string
	}{
		"docker.io":                {"https://registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com", "registry-1.docker.io"},
		"ghcr.io":                  {"https://ghcr.io", "ghcr.io", "pkg-containers.githubusercontent.com", "ghcr.io"},
		"quay.io":                  {"https://quay.io", "quay.io", "cdn03.quay.io", "quay.io"},
		"registry.k8s.io":          {"https://registry.k8s.io", "", "europe-west1-docker.pkg.dev", "dl.k8s.io"},
		"mcr.microsoft.com":        {"https://mcr.microsoft.com", "mcr.microsoft.com", "*.data.mcr.microsoft.com", "mcr.microsoft.com"},
		"gcr.io":                   {"https://gcr.io", "gcr.io", "", "mirror.gcr.io"},
		"eu.gcr.io":                {"https://eu.gcr.io", "eu.gcr.io", "", "eu.gcr.io"},
		"us-west1-docker.pkg.dev":  {"https://us-west1-docker.pkg.dev", "us-west1-docker.pkg.dev", "", ""},
		"public.ecr.aws":           {"https://public.ecr.aws", "public.ecr.aws", "d5l0dvt14r5h8.cloudfront.net", ""},
		"registry.example.com":     {},
		"docker.io.example.com":    {},
		"gcr.io.example.com":       {},
		"notgcr.io":                {},
		"registry-1.docker.io:443": {},
	} {
		k, ok := WellKnown(name)
		if ok != (want.url != "") || k.URL != want.url {
			t.Errorf("%s: %v, %q, want %q", name, ok, k.URL, want.url)
			continue
		}
		if want.realm != "" && !slices.Contains(k.RealmHosts, want.realm) {
			t.Errorf("%s: tokens come from %q, want %s", name, k.RealmHosts, want.realm)
		}
		if want.blobs != "" && !slices.Contains(k.BlobHosts, want.blobs) || slices.Contains(k.BlobHosts, want.not) {
			t.Errorf("%s: blobs come from %q, want %q and not %q", name, k.BlobHosts, want.blobs, want.not)
		}
		if ok && k.Source == "" {
			t.Errorf("%s: nobody knows where that is from", name)
		}
	}
}

// What a registry is known to redirect to must be what a rule with its preset lets
// through.
func TestTheHostsOfARegistryAreThoseOfItsPreset(t *testing.T) {
	for name, preset := range map[string]string{"docker.io": "docker-hub", "ghcr.io": "ghcr", "quay.io": "quay", "registry.k8s.io": "k8s", "mcr.microsoft.com": "mcr", "gcr.io": "gcr"} {
		patterns, ok := presets.Patterns(preset)
		if !ok {
			t.Errorf("there is no preset %q", preset)
		}
		k, _ := WellKnown(name)
		u, err := url.Parse(k.URL)
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range slices.Concat([]string{u.Hostname()}, k.RealmHosts, k.BlobHosts) {
			if !slices.Contains(patterns, host) {
				t.Errorf("%s: %s is not in @%s", name, host, preset)
			}
		}
	}
}

// The mirror's own credentials for a well-known registry may go to its token server
// without anything in the configuration.
func TestCredentialsMayGoToTheTokenServersOfWellKnownRegistries(t *testing.T) {
	for _, name := range []string{"docker.io", "ghcr.io", "quay.io", "mcr.microsoft.com", "gcr.io", "us-west1-docker.pkg.dev", "public.ecr.aws"} {
		k, _ := WellKnown(name)
		u, err := url.Parse(k.URL)
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(Options{Name: name, URL: u})
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range k.RealmHosts {
			if _, err := r.realm("https://"+host+"/token", true); err != nil {
				t.Error(err)
			}
		}
	}
}
