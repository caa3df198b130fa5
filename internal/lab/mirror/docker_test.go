//go:build linux

package mirror

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
)

func TestDockerPullsByRegistryMirrorsAndTheSecondTimeNothingIsFetched(t *testing.T) {
	s := newSite(t, "docker pull by registry-mirrors", "dockerd", "docker", "containerd", "runc")
	s.hub.PushHello(t)
	s.hub.Blobs.Limit(8_000_000)
	m := s.asTheReadmeSays(t)
	var daemon struct {
		Mirrors []string `json:"registry-mirrors"`
	}
	if err := json.Unmarshal([]byte(lab.ReadmeBlock(t, `{"registry-mirrors"`)), &daemon); err != nil {
		t.Fatal(err)
	}
	d := s.docker(t, nil, "--registry-mirror="+daemon.Mirrors[0])

	first := s.timedPull(t, d)
	greeting, err := d.Docker(t, "run", "--rm", "hello-world")
	if err != nil || !strings.HasPrefix(greeting, dockerhub.Greeting+"\n") {
		t.Errorf("the container prints %q, %v", greeting, err)
	}
	if _, err := d.Docker(t, "image", "rm", "hello-world"); err != nil {
		t.Fatal(err)
	}
	before := s.traffic()
	second := s.timedPull(t, d)
	if after := s.traffic(); after != before {
		t.Errorf("the second pull has made %d requests to registries, which sent %d bytes",
			after.requests-before.requests, after.blobs-before.blobs)
	}
	t.Logf("docker pull of %d MB from a CDN at 8 MB/s: the first time %.1f s, the second %.1f s",
		dockerhub.FillerSize/1_000_000, first.Seconds(), second.Seconds())

	record := m.WaitRecord(t, func(r lab.Record) bool {
		return r.String("how") == "hit" && r.Int("bytes") > dockerhub.FillerSize
	})
	if !record.Has(map[string]string{
		"client": s.client.Addr().String(), "registry": "docker.io", "repository": "library/hello-world",
		"kind": "blob", "rule": "command-line", "status": "200",
	}) {
		t.Errorf("the record of the big layer, the second time, is %v", record)
	}
}

// asTheReadmeSays runs the mirror by the README's command, for the lab's own addresses and
// directory.
func (s *site) asTheReadmeSays(t *testing.T) *lab.Mirror {
	t.Helper()
	const clients = "198.51.100.0/24"
	var args []string
	for line := range strings.Lines(lab.ReadmeBlock(t, "CGO_ENABLED=0 go build -o sluice-mirror ")) {
		if flags, ok := strings.CutPrefix(line, "./sluice-mirror serve "); ok {
			args = strings.Fields(strings.Replace(flags, clients, s.client.Prefix().String(), 1))
		}
	}
	args = append(args, "--allow-private", lab.Range, "--cache", filepath.Join(s.net.Dir(), "cache"))
	return lab.StartMirror(t, s.mirror, s.hub.CA, []uint16{5000}, args...)
}

func (s *site) timedPull(t *testing.T, d *dockerhub.Docker) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := d.Docker(t, "pull", "hello-world"); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// dockerd would answer a Basic challenge of a mirror with the user's password for Docker
// Hub.
func TestAMirrorOfDockerdAsksForNoPassword(t *testing.T) {
	s := newSite(t, "no challenge by a mirror of dockerd")
	s.hub.Tokens.User("acme", "secret", "acme/private")
	s.hub.Images.Push(t, "acme/private", "1", nil)
	s.serve(t, plain+admits)
	for _, path := range []string{"/v2/", "/v2/acme/private/manifests/1", "/v2/acme/none/manifests/1", "/v2/acme/private/tags/list"} {
		for host, what := range map[*lab.Host]string{s.client: "the client", s.stranger: "a stranger"} {
			got := s.ask(t, host, "GET", path)
			for _, challenge := range got.header.Values("WWW-Authenticate") {
				if scheme, _, _ := strings.Cut(challenge, " "); strings.EqualFold(scheme, "Basic") {
					t.Errorf("%s asks for %s: %d, %s", what, path, got.status, challenge)
				}
			}
		}
	}
	if got := s.ask(t, s.client, "GET", "/v2/"); got.status != 200 {
		t.Errorf("/v2/ is answered with %d", got.status)
	}
	if got := s.ask(t, s.stranger, "GET", "/v2/"); got.status != 403 || !strings.Contains(got.body, "DENIED") {
		t.Errorf("a stranger's /v2/ is answered with %d, %s", got.status, got.body)
	}
}
