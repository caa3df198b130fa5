//go:build linux

package mirror

import (
	"strings"
	"testing"

	"sluice/internal/lab/registry"
)

// The mirror has an account at Docker Hub that may pull a private image, and has it in
// its cache, for the client has pulled it. Then one who may not asks in every way.
func TestAPrivateImageIsGivenToNobodyElseByAnyWay(t *testing.T) {
	s := newSite(t, "who may not have a private image", "skopeo")
	s.hub.Tokens.User("acme", "secret", "acme/private")
	s.hub.Tokens.User("mallory", "mine", "mallory/own")
	private := s.hub.Images.Push(t, "acme/private", "1", nil, registry.Noise(t, 1, 1_000_000))
	public := s.hub.Images.Push(t, "library/alpine", "latest", nil, registry.Noise(t, 2, 1_000_000))
	s.hub.Images.Push(t, "mallory/own", "1", nil, registry.Noise(t, 3, 1_000_000))
	s.serve(t, plain+teamAndOthers("docker.io/acme/*")+s.account(t, "docker.io", "acme", "secret")+"default = true\n")
	if got, err := s.pull(t, s.client, "acme/private:1"); err != nil || got != private.Digest {
		t.Fatalf("to the team it is %s, %v, want %s", got, err, private.Digest)
	}
	if got, err := s.pull(t, s.stranger, "library/alpine:latest"); err != nil || got != public.Digest {
		t.Fatalf("the public image is %s to a stranger, %v", got, err)
	}

	var paths []string
	for _, ns := range []string{"", "?ns=docker.io", "?ns=registry-1.docker.io", "?ns=index.docker.io", "?ns=DOCKER.IO"} {
		for _, prefix := range []string{"", "docker.io/", "index.docker.io/", "registry-1.docker.io/"} {
			repository := "/v2/" + prefix + "acme/private"
			paths = append(paths, repository+"/manifests/1"+ns, repository+"/manifests/"+private.Digest+ns,
				repository+"/blobs/"+private.Layers[0]+ns, repository+"/blobs/"+private.Config+ns, repository+"/tags/list"+ns)
		}
	}
	// What it is made of, asked for as a part of what everybody may have.
	for _, repository := range []string{"library/alpine", "alpine", "mallory/own", "docker.io/library/alpine"} {
		paths = append(paths, "/v2/"+repository+"/manifests/"+private.Digest,
			"/v2/"+repository+"/blobs/"+private.Digest, "/v2/"+repository+"/blobs/"+private.Layers[0], "/v2/"+repository+"/blobs/"+private.Config)
	}
	paths = append(paths,
		"/v2/library/../acme/private/manifests/1", "/v2/library/alpine/../../acme/private/manifests/1",
		"/v2/library%2f..%2f..%2facme/private/manifests/1", "//v2/acme/private/manifests/1", "/v2//acme/private/manifests/1",
		"/v2/acme/private/manifests/1?ns=docker.io&ns=ghcr.io", "/v2/acme%2Fprivate/manifests/1")
	mine := s.token(t, "mallory", "mine", "mallory/own")
	for _, path := range paths {
		for _, method := range []string{"GET", "HEAD"} {
			for what, header := range map[string][]string{
				"":                 nil,
				", a part":         {"Range", "bytes=0-9"},
				", if changed":     {"If-None-Match", `"` + private.Digest + `"`},
				", another's name": {"Authorization", "Basic bWFsbG9yeTptaW5l"},
				", another's":      {"Authorization", "Bearer " + mine},
				", forwarded":      {"X-Forwarded-For", s.client.Addr().String(), "Forwarded", "for=" + s.client.Addr().String()},
			} {
				got := s.ask(t, s.stranger, method, path, append(header, "Accept", manifestType)...)
				if got.status < 400 || strings.Contains(got.body, private.Digest[7:]) && !strings.Contains(path, private.Digest[7:]) {
					t.Errorf("%s %s%s: %d, %.200q", method, path, what, got.status, got.body)
				}
			}
		}
	}

	t.Run("unless he shows that he may", func(t *testing.T) {
		owned := s.token(t, "acme", "secret", "acme/private")
		for _, path := range []string{"/v2/acme/private/manifests/1", "/v2/acme/private/blobs/" + private.Layers[0]} {
			if got := s.ask(t, s.stranger, "GET", path, "Accept", manifestType, "Authorization", "Bearer "+owned); got.status != 200 {
				t.Errorf("%s: %d, %s", path, got.status, got.body)
			}
		}
		if got := s.ask(t, s.stranger, "GET", "/v2/acme/private/manifests/1", "Accept", manifestType); got.status < 400 {
			t.Errorf("and then without: %d", got.status)
		}
	})
}
