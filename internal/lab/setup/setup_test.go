//go:build linux

package setup

import (
	"encoding/json"
	"strings"
	"testing"
)

// client is one that sluice knows how to set up, and what pulls by it.
type client struct {
	name    string
	service string // that is restarted; "" for none
	daemon  string // its program
	pullers []puller
	needs   []string
	inPlace string // the doctor's verdict once it is set up
}

var dockerClient = client{"docker", "docker", "dockerd", []puller{
	{"docker", byCommand("docker pull --quiet hello-world"), "docker image rm hello-world"},
}, nil, "works_through_proxy"}

// The doctor looks for a registry's proxy in dockerd and in the environment, and
// containerd and podman have theirs elsewhere.
var clients = []client{
	{"containerd", "containerd", "containerd", []puller{
		{"containerd", byContainerd, "ctr --namespace k8s.io images ls --quiet | xargs ctr --namespace k8s.io images rm --sync"},
	}, []string{"ctr"}, ""},
	{"podman", "", "", []puller{
		{"podman", byCommand("podman --root=/run/podman --storage-driver=vfs pull " + image), "podman --root=/run/podman --storage-driver=vfs rmi " + image},
		{"skopeo", byCommand("sh -lc 'skopeo copy docker://" + image + " dir:/run/skopeo'"), "rm -r /run/skopeo"},
	}, []string{"podman", "skopeo"}, ""},
	{"shell", "", "", []puller{
		{"ctr", byCommand("sh -lc 'ctr images pull " + image + "'"), "ctr images rm --sync " + image},
	}, []string{"ctr"}, ""},
}

// way is how the one command is given.
type way struct{ name, apply, undo string }

// ways has $PROXY and $CLIENT in its lines.
var ways = []way{
	{"sluice setup", "sluice setup $CLIENT --proxy $PROXY --apply", "sluice setup $CLIENT --undo"},
	{"curl and sh", "curl -fsS $PROXY/setup/$CLIENT | sh", "curl -fsS $PROXY/setup/$CLIENT | sh -s -- --undo"},
}

func (h *host) line(text string, c client) string {
	return strings.NewReplacer("$PROXY", h.proxy.URL("http"), "$CLIENT", c.name).Replace(text)
}

func TestOneCommandAndDockerPulls(t *testing.T) {
	for _, d := range []distribution{debian, redHat, sysvinit} {
		t.Run(d.name, func(t *testing.T) {
			h := newHost(t, "one command for Docker on "+d.name, d)
			for _, w := range ways {
				t.Run(w.name, func(t *testing.T) { h.oneCommand(t, dockerClient, w) })
			}
		})
	}
}

func TestOneCommandAndTheOthersPull(t *testing.T) {
	h := newHost(t, "one command for containerd, podman, skopeo", debian, "ctr", "podman", "skopeo")
	for _, c := range clients {
		for _, w := range ways {
			t.Run(c.name+" by "+w.name, func(t *testing.T) { h.oneCommand(t, c, w) })
		}
	}
}

// oneCommand is the story: blocked; one command, and pulls work; the same again, and
// nothing changes; undone, and all is as it was.
func (h *host) oneCommand(t *testing.T, c client, w way) {
	h.t = t
	if c.service != "" {
		h.run(h.start(c.service))
	}
	untouched := h.etc()
	h.wantBlocked("before", c.pullers)
	h.wantVerdict("blocked", "")
	h.wantVerdict("proxy_helps", "--proxy "+h.proxy.URL("http"))

	t.Log(h.run(h.line(w.apply, c)))
	h.wantPulls("set up", c.pullers)
	if c.inPlace != "" {
		h.wantVerdict(c.inPlace, "")
	}

	set, pid := h.etc(), h.pid(c)
	t.Log(h.run(h.line(w.apply, c)))
	if again := h.etc(); again != set {
		t.Errorf("the second time changes /etc:\n%s", difference(set, again))
	}
	if again := h.pid(c); again != pid {
		t.Errorf("the second time restarts %s, though nothing has changed", c.service)
	}

	t.Log(h.run(h.line(w.undo, c)))
	if c.service != "" {
		h.run(h.start(c.service)) // it is, but may not listen yet
	}
	if undone := h.etc(); undone != untouched {
		t.Errorf("undone, /etc is another:\n%s", difference(untouched, undone))
	}
	h.wantBlocked("undone", c.pullers)
	h.wantVerdict("blocked", "")
}

// pid is the process of a client's service, or "".
func (h *host) pid(c client) string {
	if c.service == "" {
		return ""
	}
	return h.run("pidof -s " + c.daemon)
}

// wantVerdict runs the doctor.
func (h *host) wantVerdict(want, args string) {
	h.t.Helper()
	out, err := h.try("sluice doctor --json " + args + " 2>/dev/null")
	var report struct {
		Verdict struct{ Code, Sentence string }
	}
	if json.Unmarshal([]byte(out), &report) != nil {
		h.t.Fatalf("sluice doctor: %v", err)
	}
	if report.Verdict.Code != want {
		h.t.Errorf("the doctor says %s (%s), want %s", report.Verdict.Code, report.Verdict.Sentence, want)
	}
}

// difference is the lines that only one of two texts has.
func difference(before, after string) string {
	var b strings.Builder
	only := func(mark, one, other string) {
		for line := range strings.Lines(one) {
			if !strings.Contains("\n"+other, "\n"+line) {
				b.WriteString(mark + line)
			}
		}
	}
	only("- ", before, after)
	only("+ ", after, before)
	return b.String()
}
