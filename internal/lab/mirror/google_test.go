//go:build linux

package mirror

import (
	"testing"

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

	s.serve(t, plain+teamAndOthers("gcr.io/acme/*")+onlyDockerHub+s.account(t, "gcr.io", "_json_key", serviceAccount+"\n"))

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
	s.serve(t, plain+teamAndOthers("registry.acme.example/team/*")+s.account(t, "registry.acme.example", "puller", "pass:word\n"))
	if got, err := s.pull(t, s.client, "registry.acme.example/team/tool:1"); err != nil || got != image.Digest {
		t.Errorf("it is %s, %v, want %s", got, err, image.Digest)
	}
	if out, err := s.pull(t, s.stranger, "registry.acme.example/team/tool:1"); err == nil {
		t.Errorf("a stranger has got it:\n%s", out)
	}
}
