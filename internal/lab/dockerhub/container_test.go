//go:build linux

package dockerhub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

func TestTheImageOfTheDockerfileRelaysAPullAndIsHealthy(t *testing.T) {
	t.Parallel() // beside the direct pull, which mostly waits
	s := newStory(t, "the image built from the Dockerfile")
	builder := StartDocker(t, s.net, s.relay, s.hub.CA, nil)
	importGoImage(t, builder)
	if _, err := builder.Docker(t, "build", "--network", "none", "--build-arg", "GO_IMAGE="+goImage, "--tag", "sluice", lab.Root(t)); err != nil {
		t.Fatal(err)
	}
	wantTwoFiles(t, builder)
	wantMirror(t, builder)

	const name = "relay"
	_, err := builder.Docker(t, "run", "--detach", "--name", name, "--network", "host",
		"--health-interval", "1s", // the image's own 30 s would only be waited for
		"sluice", "serve", "--allow", s.blocked.Prefix().String(), "--to", "@docker-hub", "--allow-private", lab.Range)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		log, _ := builder.Docker(t, "logs", name)
		if t.Failed() {
			t.Logf("the container printed:\n%s", log)
		}
	})
	waitHealthy(t, builder, name)

	proxy := "http://" + s.relay.Addr().String() + ":3128"
	d := s.docker(t, "HTTP_PROXY="+proxy, "HTTPS_PROXY="+proxy)
	if _, err := d.Docker(t, "pull", "hello-world"); err != nil {
		t.Error(err)
	}
	// SIGTERM, after which nothing is left to drain: well before Docker kills.
	if _, err := builder.Docker(t, "stop", name); err != nil {
		t.Error(err)
	}
	log, err := builder.Docker(t, "logs", name)
	if err != nil {
		t.Fatal(err)
	}
	if !passedBlob(s, log) {
		t.Errorf("no record of the big layer in the container's log:\n%s", log)
	}
	code, err := builder.Docker(t, "inspect", "--format", "{{.State.ExitCode}}", name)
	if err != nil || strings.TrimSpace(code) != "0" {
		t.Errorf("the container has ended with code %s, %v", code, err)
	}
}

// wantMirror builds the mirror's image out of the same stage, and runs it: its user can
// write to a volume that the engine makes.
func wantMirror(t *testing.T, d *Docker) {
	t.Helper()
	const name = "mirror"
	for _, args := range [][]string{
		{"build", "--network", "none", "--build-arg", "GO_IMAGE=" + goImage, "--tag", "sluice-mirror", "--target", "mirror", lab.Root(t)},
		{"run", "--detach", "--name", name, "--network", "host", "--read-only", "--cap-drop", "ALL", "--health-interval", "1s",
			"--volume", "cache:/var/lib/sluice-mirror", "sluice-mirror", "serve", "--listen", ":5000", "--tls-self"},
	} {
		if _, err := d.Docker(t, args...); err != nil {
			t.Fatal(err)
		}
	}
	waitHealthy(t, d, name)
	if out, err := d.Docker(t, "exec", name, "/sluice-mirror", "cache", "ls"); err != nil || !strings.Contains(out, "nothing is cached") {
		t.Errorf("cache ls in the container: %q, %v", out, err)
	}
	if _, err := d.Docker(t, "stop", name); err != nil {
		t.Error(err)
	}
}

// wantTwoFiles looks into the image: the binary and the authorities that "sluice doctor"
// knows, run by nobody's user.
func wantTwoFiles(t *testing.T, d *Docker) {
	t.Helper()
	for format, want := range map[string]string{
		"{{.Config.User}}":            "65532:65532",
		"{{len .RootFS.Layers}}":      "2",
		"{{json .Config.Entrypoint}}": `["/sluice"]`,
	} {
		got, err := d.Docker(t, "inspect", "--format", format, "sluice")
		if err != nil || strings.TrimSpace(got) != want {
			t.Errorf("docker inspect %s: %q, %v, want %q", format, got, err, want)
		}
	}
	version, err := d.Docker(t, "run", "--rm", "--network", "none", "sluice", "version")
	if err != nil || version == "" {
		t.Errorf("sluice version in the container: %q, %v", version, err)
	}
}

func waitHealthy(t *testing.T, d *Docker, name string) {
	t.Helper()
	var state string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		var err error
		if state, err = d.Docker(t, "inspect", "--format", "{{.State.Health.Status}} {{json .State.Health.Log}}", name); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(state, "healthy ") {
			return
		}
	}
	t.Fatalf("the container does not get healthy: %s", state)
}

// passedBlob looks for the record of the big layer in a log of JSON lines.
func passedBlob(s *story, log string) bool {
	for line := range strings.Lines(log) {
		var r lab.Record
		if json.Unmarshal([]byte(line), &r) == nil && s.toCDN(r) && r.Int("bytes_down") > FillerSize {
			return true
		}
	}
	return false
}
