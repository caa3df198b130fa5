//go:build linux

package dockerhub

import (
	"strings"
	"testing"

	"sluice/internal/lab"
)

func TestWithoutAProxyThePullFailsAtTheBlobs(t *testing.T) {
	t.Parallel() // it mostly waits, so after the others and beside the image
	s := newStory(t, "the direct pull that fails")
	want := "dial tcp " + s.hub.CDN.Addr().String() + ":443: "
	if testing.Short() {
		s.blocked.Prohibit(t, s.hub.CDN.Prefix())
		want += "connect: permission denied"
	} else {
		// What users see; dockerd waits 30 s, and tries six times.
		want += "i/o timeout"
	}
	out, err := s.docker(t).Docker(t, "pull", "hello-world")
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("the pull ends with %v, want %q in:\n%s", err, want, out)
	}
	if got := s.hub.Blobs.Accepts(); got != 0 {
		t.Errorf("the CDN has accepted %d connections of the blocked host", got)
	}
}

func TestWithTheLinesOfSysconfigThePullCompletes(t *testing.T) {
	s := newStory(t, "the pull through the proxy")
	lines := s.sysconfig(t)
	proxy := s.sluice(t, "--allow", s.blocked.Prefix().String(), "--to", "@docker-hub")
	for scheme, protocol := range map[string]string{"http": "connect", "socks5": "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			var env []string
			for _, line := range lines {
				env = append(env, strings.Replace(line, "http://", scheme+"://", 1))
			}
			d := s.docker(t, env...)
			s.wantInfo(t, d, env)

			pulled, err := d.Docker(t, "pull", "hello-world")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(pulled, "Downloaded newer image for hello-world:latest") {
				t.Errorf("the pull prints:\n%s", pulled)
			}
			// docker's own example: no network, no terminal, its greeting alone.
			printed, err := d.Docker(t, "run", "--rm", "hello-world")
			if err != nil || !strings.HasPrefix(printed, Greeting+"\n") {
				t.Errorf("the container prints %q, %v", printed, err)
			}
			record := proxy.WaitRecord(t, func(r lab.Record) bool {
				return s.toCDN(r) && r.String("protocol") == protocol && r.Int("bytes_down") > FillerSize
			})
			if !record.Has(map[string]string{
				"decision": "allow", "outcome": "ok", "address": s.hub.CDN.Addr().String() + ":443",
			}) {
				t.Errorf("the record of the big layer is %v", record)
			}
		})
	}
}

// wantInfo looks for the lines of the environment in `docker info`.
func (s *story) wantInfo(t *testing.T, d *Docker, env []string) {
	t.Helper()
	info, err := d.Docker(t, "info")
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]string{"HTTP_PROXY": "HTTP Proxy", "HTTPS_PROXY": "HTTPS Proxy", "NO_PROXY": "No Proxy"}
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		if want := titles[name] + ": " + value; !strings.Contains(info, want) {
			t.Errorf("docker info has no line %q:\n%s", want, info)
		}
	}
}
