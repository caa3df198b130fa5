//go:build linux

package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
)

// mirrored is a host beside a mirror.
type mirrored struct {
	*host
	mirror        *lab.Mirror
	configuration string
}

func newMirrored(t *testing.T, part string, programs ...string) *mirrored {
	t.Helper()
	h := &mirrored{host: newHost(t, part, debian, programs...)}
	const name = "mirror.example.internal"
	h.net.Name(t, name, h.relay.Addr())
	h.configuration = h.file("mirror.toml", fmt.Sprintf(`
[[listener]]
address = ":5000"
tls     = "self"
names   = [%q]

[transparent]
address = ":5002"

[[rule]]
name    = "docker-hosts"
action  = "allow"
clients = ["198.18.0.10"]

[cache]
directory = %q

[egress]
allow_private = [%q]
`, name, filepath.Join(h.dir, "cache"), lab.Range))
	h.mirror = lab.StartMirror(t, h.relay, h.hub.CA, []uint16{5000, 5002}, "--config", h.configuration)
	return h
}

// One line, which the mirror's own command prints, and what could not be pulled comes by
// the mirror; undone, all is as it was.
func TestOneLineOfTheMirrorAndTheyPullByIt(t *testing.T) {
	h := newMirrored(t, "one line of the mirror for Docker, containerd, podman, skopeo", "ctr", "podman", "skopeo")
	for _, c := range append([]client{dockerClient}, clients...) {
		if c.name == "shell" {
			continue
		}
		for _, name := range []string{c.name, c.name + "-transparent"} {
			t.Run(name, func(t *testing.T) { h.oneLine(t, name, c) })
		}
	}
}

func (h *mirrored) oneLine(t *testing.T, name string, c client) {
	h.t = t
	if c.service != "" {
		h.run(h.start(c.service))
	}
	untouched := h.etc()
	h.wantBlocked("before", c.pullers)

	line := h.line(t, name)
	t.Log(h.run(line))
	for _, p := range c.pullers {
		before := h.bigAnswers()
		if _, err := p.pull(h.host); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		h.mirror.WaitRecords(t, before+1, big)
		h.run(p.remove)
	}
	set := h.etc()
	t.Log(h.run(line))
	if again := h.etc(); again != set {
		t.Errorf("the second time changes /etc:\n%s", difference(set, again))
	}

	t.Log(h.run(line + " --undo"))
	if c.service != "" {
		h.run(h.start(c.service)) // it is, but may not listen yet
	}
	if undone := h.etc(); undone != untouched {
		t.Errorf("undone, /etc is another:\n%s", difference(untouched, undone))
	}
	h.wantBlocked("undone", c.pullers)
}

// line is what the mirror's command has to be typed on the client's host, by root.
func (h *mirrored) line(t *testing.T, name string) string {
	t.Helper()
	said := h.relay.Output(t, lab.SluiceMirror(t), "setup", name, "--config", h.configuration)
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "    curl ") {
			return "cd /run && " + strings.TrimSpace(strings.ReplaceAll(line, "sudo ", ""))
		}
	}
	t.Fatalf("nothing to type is in:\n%s", said)
	return ""
}

// big picks the records of the layer that is large.
func big(r lab.Record) bool {
	return r.String("kind") == "blob" && r.Int("bytes") > dockerhub.FillerSize
}

func (h *mirrored) bigAnswers() int {
	return len(slices.DeleteFunc(h.mirror.Records(), func(r lab.Record) bool { return !big(r) }))
}
