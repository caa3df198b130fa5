//go:build linux

package mirror

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// serviceAccount is as Google gives it out: the whole file is the password of the user
// _json_key.
const serviceAccount = `{
  "type": "service_account",
  "project_id": "acme",
  "private_key": "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5, but : \" and = in it\n-----END PRIVATE KEY-----\n",
  "client_email": "puller@acme.iam.gserviceaccount.com"
}`

func TestAPrivateImageOfGoogleByTheKeyThatTheMirrorHas(t *testing.T) {
	s := newSite(t, "an image of gcr.io by _json_key", "skopeo")
	tokens := registry.NewTokens(t, s.hub.CA, "gcr.io", "gcr.io")
	tokens.User("_json_key", serviceAccount, "acme/tool")
	gcr := s.registry(t, registry.Options{Name: "gcr.io", Tokens: tokens, Realm: "https://gcr.io/v2/token"})
	private := gcr.Push(t, "acme/tool", "1", nil, registry.Noise(t, 3, 1_000_000))
	public := gcr.Push(t, "distroless/static", "latest", nil, registry.Noise(t, 4, 1_000_000))

	key := filepath.Join(s.net.Dir(), "key.json")
	if err := os.WriteFile(key, []byte(serviceAccount+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(t, plain+fmt.Sprintf(`
[[rule]]
name    = "team"
action  = "allow"
clients = ["198.18.0.10"]
private = ["gcr.io/acme/*"]

[[rule]]
name    = "others"
action  = "allow"
clients = ["198.18.0.0/24"]

[[upstream]]
name    = "docker.io"
default = true

[[upstream]]
name          = "gcr.io"
username      = "_json_key"
password_file = %q
`, key))

	// Before and after it is cached, whom no rule names for it gets nothing of it.
	for range 2 {
		before := s.traffic()
		if out, err := s.pull(t, s.stranger, "gcr.io/acme/tool:1"); err == nil {
			t.Errorf("a stranger has got it:\n%s", out)
		}
		if got := s.traffic().blobs - before.blobs; got > private.Size/2 {
			t.Errorf("for a stranger the registry has sent %d bytes", got)
		}
		for name, image := range map[string]registry.Image{"gcr.io/acme/tool:1": private, "gcr.io/distroless/static:latest": public} {
			if got, err := s.pull(t, s.client, name); err != nil || got != image.Digest {
				t.Errorf("%s is %s, %v, want %s", name, got, err, image.Digest)
			}
		}
		if got, err := s.pull(t, s.stranger, "gcr.io/distroless/static:latest"); err != nil || got != public.Digest {
			t.Errorf("the public image is %s to a stranger, %v", got, err)
		}
	}
}

// A registry of one's own often wants Basic, with no tokens.
func TestAPrivateImageOfARegistryThatWantsBasic(t *testing.T) {
	s := newSite(t, "an image of a registry with passwords", "skopeo")
	own := s.registry(t, registry.Options{Name: "registry.acme.example", Users: map[string]string{"puller": "pass:word"}})
	image := own.Push(t, "team/tool", "1", nil, registry.Noise(t, 5, 1_000_000))
	password := filepath.Join(s.net.Dir(), "password")
	if err := os.WriteFile(password, []byte("pass:word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(t, plain+fmt.Sprintf(`
[[rule]]
name    = "team"
action  = "allow"
clients = ["198.18.0.10"]
private = ["registry.acme.example/team/*"]

[[rule]]
name    = "others"
action  = "allow"
clients = ["198.18.0.66"]

[[upstream]]
name          = "registry.acme.example"
username      = "puller"
password_file = %q
`, password))
	if got, err := s.pull(t, s.client, "registry.acme.example/team/tool:1"); err != nil || got != image.Digest {
		t.Errorf("it is %s, %v, want %s", got, err, image.Digest)
	}
	if out, err := s.pull(t, s.stranger, "registry.acme.example/team/tool:1"); err == nil {
		t.Errorf("a stranger has got it:\n%s", out)
	}
}

// pull has skopeo pull an image by the mirror, all of it, and returns the digest of what
// it has.
func (s *site) pull(t *testing.T, h *lab.Host, name string, args ...string) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	args = append([]string{"copy", "--insecure-policy", "--src-tls-verify=false", "--quiet"}, args...)
	out, err := s.try(t, h, nil, "skopeo", append(args, "docker://"+mirrorName+":5000/"+name, "dir:"+dir)...)
	if err != nil {
		return out, err
	}
	out, err = s.try(t, h, nil, "skopeo", "manifest-digest", filepath.Join(dir, "manifest.json"))
	return strings.TrimSpace(out), err
}
