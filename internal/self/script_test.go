package self

import (
	"bytes"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"sluice/internal/lab/shell"
	"sluice/internal/setup"
)

const relay = "http://relay.example.internal:3128"

func proxyURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := setup.ParseProxy(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func defaults(t testing.TB) setup.Options {
	t.Helper()
	o, err := options("", proxyURL(t, relay))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// newMachine is a host whose docker has the relay.
func newMachine(t *testing.T, sh []string, path string) *shell.Host {
	t.Helper()
	h := shell.NewHost(t, sh, path, "systemctl", "rc-service", "service")
	h.Program("docker", "echo "+strings.TrimPrefix(relay, "http://"))
	return h
}

func TestTheScriptsPassShellcheck(t *testing.T) {
	shellcheck := shell.Need(t, "shellcheck")
	o := defaults(t)
	for _, c := range setup.Clients() {
		text := byHand(c, o)
		if scripted(c) {
			text = scriptOf(c, o)
		}
		cmd := exec.Command(shellcheck, "-s", "sh", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", c.Name, err, out)
		}
	}
}

// hosts are Docker hosts of each kind, and where the proxy has to be written.
var hosts = []struct {
	name, file string
	has        map[string]string
	calls      string
}{
	{
		"systemd", "/etc/systemd/system/docker.service.d/http-proxy.conf",
		map[string]string{"/run/systemd/system/x": "", "/lib/systemd/system/docker.service": "[Service]\n"},
		"systemctl daemon-reload\nsystemctl restart docker\n",
	},
	{
		"Amazon Linux", "/etc/sysconfig/docker",
		map[string]string{
			"/run/systemd/system/x": "", "/usr/lib/systemd/system/docker.service": "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n",
			"/etc/sysconfig/docker": "# of the distribution\nOPTIONS=\"--default-ulimit nofile=1024:4096\"\n",
		},
		"systemctl restart docker\n",
	},
	{"Alpine", "/etc/conf.d/docker", map[string]string{"/etc/init.d/docker": "#!/sbin/openrc-run\n", "/etc/conf.d/docker": "DOCKER_OPTS=\"\"\n"}, "rc-service docker restart\n"},
	{"an older Debian", "/etc/default/docker", map[string]string{"/etc/init.d/docker": "#!/bin/sh\n"}, "service docker restart\n"},
}

func dockerScript(t *testing.T) string {
	t.Helper()
	c, _ := setup.Lookup("docker")
	return scriptOf(c, defaults(t))
}

func TestADockerHostIsSetUpTwiceAndThenUndone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		for _, h := range hosts {
			t.Run(h.name, func(t *testing.T) {
				m := newMachine(t, sh, path)
				for name, text := range h.has {
					m.Write(name, text)
				}
				start := m.Tree()
				if out, ok := m.Run(script, "--dry-run"); !ok || !strings.Contains(out, "HTTPS_PROXY="+relay) || !maps.Equal(start, m.Tree()) {
					t.Errorf("a dry run says %q and leaves %v", out, m.Tree())
				}
				if out, ok := m.Run(script); !ok || !strings.Contains(out, "wrote "+m.Root+h.file) {
					t.Fatalf("it says %q", out)
				}
				applied := m.Tree()
				if text := applied[h.file]; !strings.Contains(text, "HTTPS_PROXY="+relay) || !strings.HasPrefix(strings.TrimPrefix(text, "[Service]\n"), h.has[h.file]) {
					t.Errorf("%s is %q", h.file, text)
				}
				if out, ok := m.Run(script); !ok || !strings.Contains(out, "already") || !maps.Equal(applied, m.Tree()) {
					t.Errorf("the second time it says %q and leaves %v", out, m.Tree())
				}
				if calls := m.Called(); calls != h.calls {
					t.Errorf("it calls %q, want %q once", calls, h.calls)
				}
				if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
					t.Errorf("undone with %q, it leaves %v", out, m.Tree())
				}
				if calls := m.Called(); calls != h.calls+h.calls {
					t.Errorf("with the undoing it calls %q", calls)
				}
				if out, ok := m.Run(script, "--undo"); !ok || !strings.Contains(out, "nothing to undo") {
					t.Errorf("undone twice it says %q", out)
				}
			})
		}
	})
}

func TestWhatFailsLeavesNothingHalfDone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		for _, x := range []struct {
			name, says string
			spoil      func(*shell.Host)
			args       []string
		}{
			{"no Docker", "there is no docker here", func(m *shell.Host) { os.RemoveAll(m.File("/lib")) }, nil},
			{"Docker does not start", "docker does not start with the proxy", func(m *shell.Host) { m.Program("systemctl", `[ "$1" != restart ]`) }, nil},
			{"a directory that is a file", "cannot be made", func(m *shell.Host) { m.Write("/etc/systemd/system/docker.service.d", "") }, nil},
			{"no place for what was", "cannot be made", func(m *shell.Host) { m.Write("/var/lib/sluice-setup", "") }, nil},
			{"a file that is a directory", "cannot be read", func(m *shell.Host) { m.Write("/etc/systemd/system/docker.service.d/http-proxy.conf/x", "") }, nil},
			{"a line that cannot be read", "a quote is not closed", func(m *shell.Host) {
				m.Write("/etc/systemd/system/docker.service.d/http-proxy.conf", "[Service]\nEnvironment=\"HTTP_PROXY=x\n")
			}, nil},
			{"an option that is none", "there is no option --now", func(*shell.Host) {}, []string{"--now"}},
			{"a place that is none", "the place here is not here", func(*shell.Host) {}, []string{"--place", "here"}},
			{"a place that is another's", "the place openrc is not here", func(*shell.Host) {}, []string{"--place=openrc"}},
		} {
			t.Run(x.name, func(t *testing.T) {
				m := newMachine(t, sh, path)
				m.Write("/run/systemd/system/x", "")
				m.Write("/lib/systemd/system/docker.service", "[Service]\n")
				x.spoil(m)
				start := m.Tree()
				out, ok := m.Run(script, x.args...)
				if ok || !strings.Contains(out, x.says) {
					t.Errorf("it says %q", out)
				}
				if after := m.Tree(); !maps.Equal(start, after) {
					t.Errorf("it leaves %v\nwhere there was %v", after, start)
				}
			})
		}
	})
}

// A download that breaks off anywhere does nothing.
func TestAScriptThatBreaksOffDoesNothing(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m := newMachine(t, sh, path)
		m.Write("/run/systemd/system/x", "")
		m.Write("/lib/systemd/system/docker.service", "[Service]\n")
		start := m.Tree()
		end := len(strings.TrimSuffix(script, " }\n"))
		cuts := []int{0, len(script) / 4, len(script) / 2}
		for i := end - 60; i < end; i++ {
			cuts = append(cuts, i)
		}
		for _, at := range cuts {
			m.Run(script[:at])
			if after := m.Tree(); !maps.Equal(start, after) {
				t.Fatalf("cut behind %q it leaves %v", script[max(0, at-40):at], after)
			}
		}
		if m.Called() != "" {
			t.Error("a part of the script restarts something")
		}
	})
}

func TestALinkCannotPutAnythingIntoAScript(t *testing.T) {
	for _, query := range []string{
		"no-proxy=$(reboot)", "no-proxy=`reboot`", "no-proxy=a'b", "no-proxy=a%0AEOF_SLUICE%0Areboot", "no-proxy=fe80::1%25$(reboot)",
		"no-proxy=[::1%2525';reboot;']", "no-proxy=a&no-proxy=b", "proxy=http://evil.example", "x", "no-proxy=a&x=y", "no-proxy=%zz", "no-proxy=a;b", "no-proxy=a b", "no-proxy=*",
	} {
		a := script("docker", query, proxyURL(t, relay))
		if !a.Missing || strings.Contains(string(a.Body), "reboot") || strings.Contains(string(a.Body), "evil") {
			t.Errorf("%s: answered %.80q", query, a.Body)
		}
	}
	if a := script("docker", "no-proxy="+strings.Repeat("a,", maxExceptions)+"a", proxyURL(t, relay)); !a.Missing {
		t.Errorf("%d exceptions are taken", maxExceptions+1)
	}
	a := script("docker", "no-proxy=.example.com,10.0.0.0/8,[::1]", proxyURL(t, relay))
	if a.Missing || !bytes.Contains(a.Body, []byte("relay.example.internal,.example.com,")) {
		t.Errorf("exceptions are left out of %s", a.Body)
	}
}

func TestEveryClientThatMattersHasAScript(t *testing.T) {
	for _, name := range []string{"docker", "containerd", "podman", "apt", "dnf", "git", "shell"} {
		if !slices.Contains(setup.Names(), name) {
			t.Logf("setup does not know %s", name)
			continue
		}
		if c, _ := setup.Lookup(name); !scripted(c) {
			t.Errorf("%s has no script", name)
		}
	}
}
