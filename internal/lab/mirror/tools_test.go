//go:build linux

package mirror

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

func TestCraneAndSkopeoFindNothingAmiss(t *testing.T) {
	s := newSite(t, "crane and skopeo", "skopeo")
	crane := lab.Tool(t, "crane")
	image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 1_000_000), registry.Noise(t, 2, 2_000_000))
	list := s.hub.Images.PushList(t, image, "latest")
	s.serve(t, plain+admits)
	const name = mirrorName + ":5000/acme/tool"
	run := func(t *testing.T, program string, args ...string) string {
		t.Helper()
		return s.run(t, s.client, nil, program, args...)
	}
	for _, when := range []string{"fetched", "cached"} {
		t.Run("crane, "+when, func(t *testing.T) {
			for _, tag := range []string{":1", ":latest", "@" + image.Digest, "@" + list} {
				run(t, crane, "--insecure", "validate", "--remote", name+tag)
			}
			tarball := filepath.Join(t.TempDir(), "image.tar")
			run(t, crane, "--insecure", "pull", name+":latest", tarball)
			run(t, crane, "validate", "--tarball", tarball)
			if got := run(t, crane, "--insecure", "digest", name+":latest"); got != list {
				t.Errorf("crane digest says %s, want %s", got, list)
			}
			tags := slices.Sorted(slices.Values(strings.Fields(run(t, crane, "--insecure", "ls", name))))
			if want := []string{"1", "latest", "latest-s390x"}; !slices.Equal(tags, want) {
				t.Errorf("crane ls says %v, want %v", tags, want)
			}
			if out, err := s.try(t, s.client, nil, crane, "--insecure", "tag", name+":1", "2"); err == nil || !strings.Contains(out, "UNSUPPORTED") {
				t.Errorf("crane tag ends with %v", err)
			}
		})
		t.Run("skopeo, "+when, func(t *testing.T) {
			if got, err := s.pull(t, s.client, "acme/tool:latest", "--all"); err != nil || got != list {
				t.Errorf("skopeo copy --all gets %s, %v, want %s", got, err, list)
			}
			var said struct {
				Digest   string
				RepoTags []string
				Layers   []string
			}
			out := run(t, "skopeo", "inspect", "--tls-verify=false", "docker://"+name+":1")
			if err := json.Unmarshal([]byte(out), &said); err != nil {
				t.Fatal(err)
			}
			if said.Digest != image.Digest || len(said.RepoTags) != 3 || !slices.Equal(said.Layers, image.Layers) {
				t.Errorf("skopeo inspect says %+v", said)
			}
			out = run(t, "skopeo", "list-tags", "--tls-verify=false", "docker://"+name)
			var tags struct{ Tags []string }
			if err := json.Unmarshal([]byte(out), &tags); err != nil || len(tags.Tags) != 3 {
				t.Errorf("skopeo list-tags says %s", out)
			}
		})
	}
	out, err := s.crane(t, s.client, "copy", mirrorName+":5000/acme/tool:1", mirrorName+":5000/acme/copy:1")
	if err == nil || !strings.Contains(out, "UNSUPPORTED") {
		t.Errorf("crane copy into the mirror ends with %v", err)
	}
}
