package setup

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// dockerUnit stands for Docker's own. Its daemon does nothing, but has the
// environment that systemd gives it.
const dockerUnit = `[Unit]
DefaultDependencies=no
[Service]
Type=exec
EnvironmentFile=-/etc/sysconfig/docker-storage
ExecStart=/bin/sleep infinity
`

// dockerInfo prints what docker info prints of a daemon's environment.
const dockerInfo = `#!/bin/sh
tr '\0' '\n' <"/proc/$(systemctl show --value --property=MainPID docker)/environ" | sed -n 's/^HTTPS_PROXY=//p'
`

// underSystemd is a host where systemd runs docker.service.
func underSystemd(t *testing.T) *lab.Systemd {
	t.Helper()
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"systemctl"}})
	host := lab.New(t).Host(t, "docker", netip.MustParsePrefix("198.18.0.3/15"))
	dir := t.TempDir()
	for name, text := range map[string]string{"unit": dockerUnit, "docker": dockerInfo} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := lab.StartSystemd(t, host, map[string]string{
		"etc/systemd/system/docker.service": filepath.Join(dir, "unit"),
		"bin/docker":                        filepath.Join(dir, "docker"),
		"bin/sluice":                        lab.Sluice(t),
	})
	s.Run(t, "mount", "-t", "tmpfs", "tmpfs", "/var/lib")
	// The units of this systemd are in a directory of its own, to which those of /etc
	// are linked.
	s.Run(t, "sh", "-ec", "rm -rf /etc/systemd/system/docker.service.d /etc/default/docker /etc/init.d/docker /etc/sysconfig /etc/docker; mkdir -p /run/systemd/system /etc/systemd/system/docker.service.d")
	s.Run(t, "ln", "-s", "/etc/systemd/system/docker.service", "/etc/systemd/system/docker.service.d", "/run/units/")
	s.Control(t, "daemon-reload")
	s.Control(t, "start", "docker")
	return s
}

func setUp(t *testing.T, s *lab.Systemd, more ...string) string {
	t.Helper()
	return s.Run(t, "sh", append([]string{"-c", `sluice setup docker "$@" 2>&1 || echo "status $?"`, "sh"}, more...)...)
}

func TestSystemdGivesTheDaemonWhatWasMeant(t *testing.T) {
	s := underSystemd(t)
	for _, file := range []string{"/etc/systemd/system/docker.service.d/http-proxy.conf", "/etc/sysconfig/docker"} {
		if file == "/etc/sysconfig/docker" {
			s.Write(t, "/etc/systemd/system/docker.service", strings.Replace(dockerUnit, "docker-storage", "docker", 1))
			s.Control(t, "daemon-reload")
		}
		for _, proxy := range []string{relay, awkward, "socks5://relay:1080"} {
			out := setUp(t, s, "--proxy", proxy, "--apply", "--force")
			if !strings.Contains(out, "wrote "+file) || strings.Contains(out, "status") {
				t.Fatalf("it printed\n%s", out)
			}
			if got := s.Run(t, "docker", "info"); got != proxy {
				t.Errorf("by %s the daemon has %q, want %q", file, got, proxy)
			}
		}
		if out := setUp(t, s, "--undo"); strings.Contains(out, "status") {
			t.Fatalf("it printed\n%s", out)
		}
		if got := s.Run(t, "docker", "info"); got != "" {
			t.Errorf("undone, the daemon has %q", got)
		}
		if out := s.Run(t, "sh", "-c", "ls -A /etc/systemd/system/docker.service.d /etc/sysconfig 2>/dev/null; find /etc /var/lib -name '*sluice*' ! -name 'sluice' -newer /etc/systemd/system/docker.service"); strings.Contains(out, "sluice-backup") {
			t.Errorf("left behind:\n%s", out)
		}
	}
}

func TestADaemonThatDoesNotStartHasItsFilesBack(t *testing.T) {
	s := underSystemd(t)
	s.Write(t, "/etc/systemd/system/docker.service", strings.Replace(dockerUnit, "ExecStart=", "ExecStartPre=/bin/sh -c 'test -z \"$HTTPS_PROXY\"'\nExecStart=", 1))
	s.Control(t, "daemon-reload")
	out := setUp(t, s, "--proxy", relay, "--apply", "--force")
	if !strings.Contains(out, `"systemctl restart docker" failed`) || !strings.Contains(out, "the files are as they were\nstatus 1") {
		t.Errorf("it printed\n%s", out)
	}
	if got := s.Property(t, "docker", "ActiveState"); got != "active" {
		t.Errorf("docker is %s", got)
	}
	if out := s.Run(t, "ls", "-A", "/etc/systemd/system/docker.service.d"); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

func TestWhereEtcIsReadOnlyNothingIsWritten(t *testing.T) {
	s := underSystemd(t)
	s.Run(t, "mount", "-o", "remount,ro", "/etc")
	out := setUp(t, s, "--proxy", relay, "--apply", "--force")
	if !strings.Contains(out, "read-only file system: nothing was changed; run it where it can be written") || !strings.HasSuffix(out, "status 1") {
		t.Errorf("it printed\n%s", out)
	}
	if out := s.Run(t, "find", "/var/lib", "-mindepth", "1"); out != "" {
		t.Errorf("left behind: %s", out)
	}
	if got := s.Run(t, "systemctl", "is-active", "docker"); got != "active" {
		t.Errorf("docker is %s", got)
	}
}
