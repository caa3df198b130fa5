package upstream

import (
	"net/url"
	"testing"
)

// The mirror's own credentials for a well-known registry may go to its token server
// without anything in the configuration.
func TestCredentialsMayGoToTheTokenServersOfWellKnownRegistries(t *testing.T) {
	for registry, realm := range map[string]string{
		"registry-1.docker.io": "auth.docker.io", "ghcr.io": "ghcr.io", "quay.io": "quay.io",
		"mcr.microsoft.com": "mcr.microsoft.com", "gcr.io": "gcr.io", "eu.gcr.io": "eu.gcr.io",
		"us-west1-docker.pkg.dev": "us-west1-docker.pkg.dev", "public.ecr.aws": "public.ecr.aws",
	} {
		r, err := New(Options{Name: registry, URL: &url.URL{Scheme: "https", Host: registry}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.realm("https://"+realm+"/token", true); err != nil {
			t.Error(err)
		}
	}
}
