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

// By the mirror's own name there is TLS, whose authority the client has been told of, and
// a password.
func TestByNameOverTLSWithAPassword(t *testing.T) {
	s := newSite(t, "pulls by name over TLS with a password", "dockerd", "docker", "containerd", "runc", "skopeo", "curl")
	image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 1_000_000))
	users := registry.Htpasswd(t, s.net.Dir(), map[string]string{"alice": "it's alice"})
	text := fmt.Sprintf(`
[[listener]]
address = ":5000"
tls     = "self"
names   = [%q]
login   = true

[users]
file = %q

[[rule]]
name   = "staff"
action = "allow"
users  = ["alice"]
`, mirrorName, users)
	s.serve(t, text)
	const name = mirrorName + ":5000/acme/tool:1"
	d := s.docker(t, nil)

	t.Run("docker", func(t *testing.T) {
		refused := func(when, want string) {
			t.Helper()
			out, err := d.Docker(t, "pull", name)
			if err == nil || !strings.Contains(out, want) {
				t.Errorf("%s: the pull ends with %v, want %q", when, err, want)
			}
		}
		refused("without the authority", "x509: ")
		s.trust(t, text)
		refused("without a password", "no basic auth credentials")
		if out, err := d.Docker(t, "login", "--username", "alice", "--password", "wrong", mirrorName+":5000"); err == nil {
			t.Errorf("a wrong password is taken:\n%s", out)
		}
		if _, err := d.Docker(t, "login", "--username", "alice", "--password", "it's alice", mirrorName+":5000"); err != nil {
			t.Fatal(err)
		}
		wantPulled(t, d, "logged in", name, image)
		if _, err := d.Docker(t, "logout", mirrorName+":5000"); err != nil {
			t.Fatal(err)
		}
		refused("logged out", "no basic auth credentials")
	})
	t.Run("skopeo", func(t *testing.T) {
		env := []string{"REGISTRY_AUTH_FILE=" + filepath.Join(t.TempDir(), "auth.json")}
		copied := func(when string) error {
			t.Helper()
			_, err := s.try(t, s.client, env, "skopeo", "copy", "--insecure-policy", "--quiet",
				"docker://"+name, "dir:"+filepath.Join(t.TempDir(), when))
			return err
		}
		if copied("before") == nil {
			t.Error("without a password")
		}
		if out, err := s.try(t, s.client, env, "skopeo", "login", "--username", "alice", "--password", "wrong", mirrorName+":5000"); err == nil {
			t.Errorf("a wrong password is taken:\n%s", out)
		}
		s.run(t, s.client, env, "skopeo", "login", "--username", "alice", "--password", "it's alice", mirrorName+":5000")
		if err := copied("logged in"); err != nil {
			t.Error(err)
		}
		s.run(t, s.client, env, "skopeo", "logout", mirrorName+":5000")
		if copied("after") == nil {
			t.Error("logged out")
		}
	})
}

// trust has the client's Docker, and whoever else looks there, trust the authority of the
// mirror with this configuration.
func (s *site) trust(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(s.net.Dir(), "mirror-ca.crt")
	ca := s.run(t, s.mirror, nil, lab.SluiceMirror(t), "ca", "print", "--config", s.file(t, text))
	if err := os.WriteFile(path, []byte(ca+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	certificates := "/etc/docker/certs.d/" + mirrorName + ":5000"
	s.run(t, s.client, nil, "sh", "-c", "mkdir -p "+certificates+" && cp "+path+" "+certificates+"/ca.crt")
}
