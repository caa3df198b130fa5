//go:build linux

package mirror

import (
	"net/http"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// Neither client shows more of these answers than their status line.
func TestClientsShowWhyThereIsNoImage(t *testing.T) {
	s := newSite(t, "what clients show of a refusal", "dockerd", "docker", "containerd", "runc")
	s.hub.Images.Instead(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	s.serve(t, plain+bothRegistries+admits+`to = ["docker.io"]`)

	t.Run("containerd, of one that no rule lets it have", func(t *testing.T) {
		hosts := t.TempDir()
		// No other host is asked, so that what this one said comes last.
		writeHosts(t, hosts, "ghcr.io", "https://ghcr.io", "http://"+mirrorName+":5000")
		c := lab.StartContainerd(t, s.client, nil, hosts)
		said, err := c.Pull(t.Context(), "ghcr.io/acme/tool:1")
		if want := "no rule lets " + s.client.Addr().String() + " pull ghcr.io/acme/tool"; err == nil || !strings.Contains(err.Error()+said, want) {
			t.Errorf("it shows %q, %v, want %q", said, err, want)
		}
	})
	t.Run("docker, while the registry fails", func(t *testing.T) {
		d := s.docker(t, nil, "--insecure-registry="+mirrorName+":5000")
		said, err := d.Docker(t, "pull", mirrorName+":5000/acme/tool:1")
		if want := "sluice-mirror: docker.io answers in a way that is of no use"; err == nil || !strings.Contains(said, want) {
			t.Errorf("it shows %q, want %q", said, want)
		}
	})
}
