//go:build linux

package setup

import (
	"os"
	"regexp"
	"strings"
)

// distribution is how dockerd is started.
type distribution struct {
	name      string
	unit      func(text string) string // docker.service, made of Debian's; nil: Debian's
	file      string                   // that it reads its environment from
	text      string                   // in the file
	noSystemd bool                     // Debian's own script of /etc/init.d starts it
	needs     []string
}

const (
	debianUnits  = "/lib/systemd/system/"
	debianScript = "/etc/init.d/docker"
)

var (
	debian = distribution{
		name: "Debian", file: "etc/default/docker", text: debianFile,
		needs: []string{"systemctl"},
	}
	// As on RHEL 7 and Amazon Linux, with no newline at the end.
	redHat = distribution{
		name: "Red Hat", unit: redHatUnit, file: "etc/sysconfig/docker",
		text:  "# The maximum number of open files for the daemon.\nDAEMON_MAXFILES=1048576\nOPTIONS=\"--max-concurrent-downloads=2\"",
		needs: []string{"systemctl"},
	}
	sysvinit = distribution{
		name: "Debian without systemd", file: "etc/default/docker", text: debianFile, noSystemd: true,
		needs: []string{debianScript, "service", "start-stop-daemon", "ps"},
	}
)

const debianFile = "# Docker's options\n#DOCKER_OPTS=\"--dns 192.0.2.53\"\n"

func redHatUnit(text string) string {
	return strings.NewReplacer("/etc/default/docker", "/etc/sysconfig/docker", "$DOCKER_OPTS", "$OPTIONS").Replace(text)
}

// raisesLimits is a line that no container may run.
var raisesLimits = regexp.MustCompile(`(?m)^\s*ulimit .*$`)

// addFiles adds what starts dockerd and containerd.
func (d distribution) addFiles(h *host, files map[string]string) {
	h.t.Helper()
	files[d.file] = h.file("environment", d.text)
	if d.noSystemd {
		files["etc/init.d/docker"] = h.file("docker.init", raisesLimits.ReplaceAllString(h.read(debianScript), ":"))
		// Without such a line the script mounts the machine's control groups.
		files["etc/fstab"] = h.file("fstab", "cgroup2 /sys/fs/cgroup cgroup2 defaults 0 0\n")
		return
	}
	files["units/docker.socket"] = debianUnits + "docker.socket"
	files["units/containerd.service"] = debianUnits + "containerd.service"
	if d.unit == nil {
		files["units/docker.service"] = debianUnits + "docker.service"
	} else {
		files["etc/systemd/system/docker.service"] = h.file("docker.service", d.unit(h.read(debianUnits+"docker.service")))
	}
	// There is no journal. Not in /etc, so that what stands there is the commands' alone.
	log := h.file("docker.log", "")
	files["units/docker.service.d/log.conf"] = h.file("log.conf", "[Service]\nStandardOutput=append:"+log+"\nStandardError=inherit\n")
	t := h.t
	t.Cleanup(func() {
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("dockerd printed:\n%s", text)
		}
	})
}

func (h *host) read(path string) string {
	h.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// start is a command line that starts a service and waits for it.
func (d distribution) start(service string) string {
	if !d.noSystemd {
		return "systemctl start " + service
	}
	return "service " + service + " start && for i in $(seq 100); do docker version >/dev/null 2>&1 && exit; sleep 0.1; done; exit 1"
}
