//go:build linux

package mirror

import (
	"errors"
	"os"
	"testing"

	"sluice/internal/lab/registry"
)

// By the transparent way a client has its own account, and the registry's own answer
// decides, one that wants a token and one that wants a password.
func TestTheTransparentWayLeavesItToTheRegistryWhoMayHaveAnImage(t *testing.T) {
	s := newSite(t, "the transparent way with accounts", "skopeo")
	s.hub.Tokens.User("acme", "secret", "acme/private")
	s.hub.Tokens.User("mallory", "mine", "mallory/own")
	own := s.registry(t, registry.Options{Name: "registry.acme.example", Users: map[string]string{"puller": "pass:word"}})
	images := map[string]registry.Image{
		"docker.io/acme/private:1":          s.hub.Images.Push(t, "acme/private", "1", nil, registry.Noise(t, 1, 1_000_000)),
		"registry.acme.example/team/tool:1": own.Push(t, "team/tool", "1", nil, registry.Noise(t, 5, 1_000_000)),
	}
	accounts := map[string][2]string{
		"docker.io/acme/private:1":          {"acme:secret", "mallory:mine"},
		"registry.acme.example/team/tool:1": {"puller:pass:word", "puller:wrong"},
	}
	// The mirror never sees the passwords that a token is asked for with: that goes
	// through as it is.
	s.serve(t, plain+admits+transparent+tokensOfDockerHub+onlyDockerHub+"\n[[upstream]]\nname = \"registry.acme.example\"\n", 5000, 3129)
	env := []string{"HTTPS_PROXY=http://" + mirrorName + transparentPort, "SSL_CERT_FILE=" + s.bundle(t)}
	pull := func(name string, args ...string) (string, error) { return s.copy(t, s.client, env, name, args...) }
	for name, image := range images {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if got, err := pull(name, "--src-creds", accounts[name][0]); err != nil || got != image.Digest {
					t.Errorf("it is %s, %v, want %s", got, err, image.Digest)
				}
				if out, err := pull(name); err == nil {
					t.Errorf("without an account:\n%s", out)
				}
				if out, err := pull(name, "--src-creds", accounts[name][1]); err == nil {
					t.Errorf("by another account:\n%s", out)
				}
			}
		})
	}
}

// bundle is a file of the mirror's own authority beside the one that the Internet has.
func (s *site) bundle(t *testing.T) string {
	t.Helper()
	path := s.authority(t)
	internet, err := os.ReadFile(s.hub.CA.File())
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(internet)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
