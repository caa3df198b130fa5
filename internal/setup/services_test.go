//go:build linux

package setup

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDockerIsSetUpWhereThisHostHasIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		path  string
		runs  string
	}{
		{"systemd", map[string]string{"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": unit},
			"/etc/systemd/system/docker.service.d/http-proxy.conf", "systemctl daemon-reload; systemctl restart docker"},
		{"Amazon Linux", map[string]string{"/run/systemd/system/x": "", "/usr/lib/systemd/system/docker.service": "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nEnvironmentFile=-/etc/sysconfig/docker-storage\n", "/etc/sysconfig/docker": "OPTIONS=\"--default-ulimit nofile=1024:4096\"\n"},
			"/etc/sysconfig/docker", "systemctl restart docker"},
		{"a drop-in that names the file", map[string]string{"/run/systemd/system/x": "", "/usr/lib/systemd/system/docker.service": unit, "/etc/systemd/system/docker.service.d/env.conf": "[Service]\nEnvironmentFile=/etc/sysconfig/docker\n"},
			"/etc/sysconfig/docker", "systemctl restart docker"},
		{"a sysconfig file that nothing reads", map[string]string{"/run/systemd/system/x": "", "/usr/lib/systemd/system/docker.service": unit, "/etc/sysconfig/docker": ""},
			"/etc/systemd/system/docker.service.d/http-proxy.conf", "systemctl daemon-reload; systemctl restart docker"},
		{"Alpine", map[string]string{"/etc/init.d/docker": "#!/sbin/openrc-run\n"},
			"/etc/conf.d/docker", "rc-service docker restart"},
		{"sysvinit", map[string]string{"/etc/init.d/docker": "#!/bin/sh\n", "/etc/default/docker": "#DOCKER_OPTS=\n"},
			"/etc/default/docker", "service docker restart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, c.files)
			before := h.tree()
			out, err := h.apply("docker", "", options(t, relay))
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if text := h.get(c.path); !strings.Contains(text, "HTTPS_PROXY="+relay) || !strings.Contains(text, c.files[c.path]) {
				t.Errorf("%s has\n%s", c.path, text)
			}
			if got := h.called(); got != c.runs {
				t.Errorf("ran %q, want %q", got, c.runs)
			}
			if out, err := h.undo("docker", false); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			delete(before, h.Root+"/var")
			after := h.tree()
			delete(after, h.Root+"/var")
			delete(after, h.Root+"/var/lib")
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("undone, it is not as it was:\n%s", d)
			}
			if got := h.called(); got != c.runs {
				t.Errorf("undoing ran %q, want %q", got, c.runs)
			}
		})
	}
}

func TestADaemonThatComesUpAfterItsScriptIsWaitedFor(t *testing.T) {
	h := newHost(t, map[string]string{"/etc/init.d/docker": "#!/bin/sh\n"})
	asked := filepath.Join(t.TempDir(), "asked")
	h.program("docker", `echo >>`+asked+`; [ "$(wc -l <`+asked+`)" -ge 3 ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }; echo `+relay)
	if out, err := h.apply("docker", "", options(t, relay)); err != nil || !strings.Contains(out, "docker has the proxy") {
		t.Errorf("%v; it printed\n%s", err, out)
	}
}

func TestAClientWhoseCommandIsNotThereIsNotWaitedFor(t *testing.T) {
	h := newHost(t, map[string]string{"/etc/init.d/docker": "#!/bin/sh\n"})
	h.program("docker", `echo >>`+h.calls+`; exit 127`)
	out, err := h.apply("docker", "", options(t, relay))
	if err != nil || !strings.Contains(out, "not looked at whether docker took it") || strings.Count(h.called(), ";") > 2 {
		t.Errorf("%v; it printed\n%s", err, out)
	}
}

func TestAServiceThatSystemdHasStartedTooOftenIsStartedAllTheSame(t *testing.T) {
	h := newHost(t, map[string]string{"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n"})
	reset := filepath.Join(t.TempDir(), "reset")
	h.program("systemctl", `echo "systemctl $*" >>`+h.calls+`
case "$*" in
"reset-failed docker") touch `+reset+` ;;
"restart docker") [ -e `+reset+` ] || { echo 'start request repeated too quickly' >&2; exit 1; } ;;
esac`)
	if out, err := h.apply("docker", "", options(t, relay)); err != nil {
		t.Errorf("%v; it printed\n%s", err, out)
	}
	if got, want := h.called(), "systemctl restart docker; systemctl reset-failed docker; systemctl restart docker"; got != want {
		t.Errorf("it calls %s, want %s", got, want)
	}
}
