package self

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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

// alone is a client with one of its places, which every host has, and with nothing
// that asks the machine.
func alone(c setup.Client, p setup.Place) setup.Client {
	p.Test, p.Asked = "", false
	c.Places, c.Verify = []setup.Place{p}, setup.Check{}
	return c
}

// before are texts that a file may have before a script comes. Where the Go code finds
// fault with one, so must the script.
var before = map[setup.Format][]string{
	setup.Environment: {
		"", "# a comment\nOTHER=x\n", "OTHER=x", "HTTP_PROXY=http://old:1\n", "A=1\r\nHTTP_PROXY=x\r\nB=2\r\n",
		"a=1\nhttps_proxy=\"x y\"\nb=2\nHTTP_PROXY=z\n", "export HTTP_PROXY='x'\n", "X=\"a\\\n HTTP_PROXY=x\"\n",
		"HTTP_PROXY=\"a\nb\"\n", "HTTP_PROXY=a\\\nb\n", "X=1 \\", "\xef\xbb\xbfHTTP_PROXY=x\nY=1\n", "HTTP_PROXY=x\x00\n",
		"\n\n", "NO_PROXY=a\nno_proxy=b\n#HTTP_PROXY=c\nHTTP_PROXYX=d\n", "NO_PROXY=\"*.example.com, localhost,*,[::1]\"\n", "NO_PROXY=$(reboot)\n", "  HTTP_PROXY=x", "X='it is'\\''so'\nY=\"$(reboot)`reboot`\"\n",
	},
	setup.DropIn: {
		"", "[Service]\nLimitNOFILE=1\n", "[Service]\nEnvironment=\"HTTP_PROXY=x\"\n", "[Service]\nEnvironment=\"NO_PROXY=mine.example,10.0.0.0/8\" no_proxy='*.b'\n", "[Service]\nEnvironment=NO_PROXY=$x\n", "[Service]\nEnvironment=HTTP_PROXY=x \"A=b c\" NO_PROXY=y\nExecReload=z\n",
		"[Unit]\nAfter=x\n\n[Service]\nEnvironment=A=b\n\n[Install]\nWantedBy=y\n", "[Unit]\nAfter=x\n", "[Service]",
		"[Service]\n; Environment=HTTP_PROXY=x\nEnvironment=A=b \\\n  C=d\n", "[Service]\nEnvironment=HTTP_PROXY=x \\\n  A=b\n",
		"[Service]\nEnvironment=\"HTTP_PROXY=x\n", "[Service]\r\nA=b\r\n", "[Service]\nEnvironment='HTTPS_PROXY=x' 'D=\\'e f'\n[X]\nEnvironment=HTTP_PROXY=stays\n",
	},
	setup.Own:  {"", "something else\n"},
	setup.JSON: {"", " \n", "{}", `{"a":1,"proxies":{"default":{"x":"y"}}}`, "{\n  \"log-driver\": \"journald\"\n}\n", `{"proxies":{"http-proxy":"old"}}`, "{broken", "[1]", `{"proxies":3}`, `{"proxies":{"no-proxy":"mine.example, localhost,*","default":{"noProxy":"mine.example"}}}`, `{"proxies":{"no-proxy":"$(x)","default":{"noProxy":"$(x)"}}}`},
	setup.INI: {
		"", "[main]\ngpgcheck=1\n\n[other]\nproxy=stays\n", "[main]\nproxy = http://old:1\n", "[other]\nx=y", "# a comment\n[http]\n\tproxy = x\n\tsslVerify = true\n",
		"registry=https://example.com/\nnoproxy = mine.example,localhost\n", "proxy=x\nproxy=y\n", "[global]\r\ntimeout = 3\r\n", "[main]\n;proxy=x\n#proxy=y\nproxy_username=z\n", "[main]\nproxy = a,\n  b\n  c\nx: y\n [odd]\nPROXY: z\n", "[main\n", "[ main ]\n# end\n\n[global]\n\n[x]\n",
	},
}

func textsBefore(f setup.Format) []string {
	switch f {
	case setup.Exports:
		f = setup.Environment // written alike
	case setup.Git:
		return append(before[setup.INI], "[HTTP]\n\tProxy = x \\\n y\n", "[http] proxy = x\n", "[ http ]\n\tsslVerify = a\\\\\n[http \"https://x/\"]\n\tproxy = stays\n[http] # more\n proxy = y\n")
	}
	return before[f]
}

// canonical is JSON without white space.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return b.String()
}

// TestTheScriptsWriteWhatTheCommandWrites holds the scripts' programs against package
// setup's own edits, for each file of each client and each text that it may have had.
func TestTheScriptsWriteWhatTheCommandWrites(t *testing.T) {
	o := defaults(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		seen := map[setup.Format]bool{}
		for _, c := range setup.Clients() {
			if !scripted(c) {
				continue
			}
			for _, p := range c.Places {
				for i, f := range p.Files {
					only := p
					only.Files = []setup.File{f}
					texts := textsBefore(f.Format)
					if seen[f.Format] && f.Format != setup.INI {
						texts = texts[1:2] // one of each format has them all
					}
					seen[f.Format] = true
					for j, old := range texts {
						t.Run(fmt.Sprintf("%s %s %d, text %d", c.Name, p.Name, i, j), func(t *testing.T) {
							t.Parallel()
							sameAsSetup(t, newMachine(t, sh, path), alone(c, only), f, old, o)
						})
					}
				}
			}
		}
	})
}

func sameAsSetup(t *testing.T, m *shell.Host, c setup.Client, f setup.File, old string, o setup.Options) {
	m.Write(f.Path, old)
	start := m.Tree()
	want, wrong := f.Edit([]byte(old), o)
	out, ok := m.Run(scriptOf(c, o))
	got := m.Tree()[strings.TrimPrefix(m.File(f.Path), m.Root)]
	if f.Format == setup.JSON && strings.Contains(out, "python3 or jq") {
		return // and it has told what to do by hand
	}
	if ok != (wrong == nil) {
		t.Fatalf("with %q: setup says %v, the script %q", old, wrong, out)
	}
	if wrong != nil {
		if !maps.Equal(start, m.Tree()) {
			t.Errorf("the script says %q and changes something: %v", out, m.Tree())
		}
		return
	}
	if f.Format == setup.JSON {
		got, want = canonical(t, got), []byte(canonical(t, string(want))) // white space may differ
	}
	if got != string(want) {
		t.Errorf("with %q\nthe script writes %q\nsetup writes      %q", old, got, want)
	}
	if len(old)%3 > 0 {
		return // some will do for what follows, which is the same for all
	}
	if out, ok := m.Run(scriptOf(c, o)); !ok || !strings.Contains(out, "already") {
		t.Errorf("a second time it says %q", out)
	}
	if out, ok := m.Run(scriptOf(c, o), "--undo"); !ok || !maps.Equal(start, m.Tree()) {
		t.Errorf("undone with %q, %q has become %q", out, old, m.Tree())
	}
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

// What was changed behind the script's back is not thrown away.
func TestWhatWasChangedSinceIsNotUndone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m := newMachine(t, sh, path)
		m.Write("/run/systemd/system/x", "")
		m.Write("/lib/systemd/system/docker.service", "[Service]\n")
		m.Run(script)
		m.Write(hosts[0].file, "[Service]\nEnvironment=\"MINE=1\"\n")
		if out, ok := m.Run(script, "--undo"); ok || !strings.Contains(out, "was changed since") {
			t.Errorf("it says %q", out)
		}
		if got := m.Tree()[hosts[0].file]; !strings.Contains(got, "MINE=1") {
			t.Errorf("the file is %q", got)
		}
	})
}

// dockerOf is a machine whose Docker reads a file that is there.
func dockerOf(t *testing.T, sh []string, path string) (m *shell.Host, file string) {
	t.Helper()
	m = newMachine(t, sh, path)
	for name, text := range hosts[1].has {
		m.Write(name, text)
	}
	return m, hosts[1].file
}

func TestAScriptThatWasKilledIsGoneOnWithOrUndone(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		// restorecon is called when a file is in its place, systemctl when all are.
		for _, killer := range []string{"restorecon", "systemctl"} {
			for _, again := range []bool{false, true} {
				m, file := dockerOf(t, sh, path)
				start := m.Tree()
				m.Program(killer, "kill -9 $PPID")
				if out, ok := m.Run(script); ok || m.Tree()[file] == start[file] {
					t.Fatalf("%s does not kill it in the middle, it says %q", killer, out)
				}
				m.Telling(killer)
				if again {
					out, ok := m.Run(script)
					if calls := m.Called(); !ok || !strings.Contains(calls, "systemctl restart docker") {
						t.Errorf("run again after %s, it says %q and calls %q", killer, out, calls)
					}
				}
				if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
					t.Errorf("killed by %s (run again: %v) and undone with %q, it leaves %v", killer, again, out, m.Tree())
				}
			}
		}
	})
}

func TestASecondRunThatFailsLeavesTheFirstToBeUndone(t *testing.T) {
	c, _ := setup.Lookup("docker")
	script := dockerScript(t)
	other := scriptOf(c, setup.Options{Proxy: proxyURL(t, "http://other.example:3128")})
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, _ := dockerOf(t, sh, path)
		start := m.Tree()
		m.Run(script)
		m.Program("systemctl", "! grep -q other "+m.File(hosts[1].file))
		if out, ok := m.Run(other); ok || !strings.Contains(out, "does not start") {
			t.Fatalf("the second run says %q", out)
		}
		if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
			t.Errorf("undone with %q, it leaves %v", out, m.Tree())
		}
	})
}

func TestWhatWasKeptOfOnePlaceIsNotLostToAnother(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, _ := dockerOf(t, sh, path)
		start := m.Tree()
		m.Run(script)
		if out, ok := m.Run(script, "--place", "systemd"); ok || !strings.Contains(out, "another place before, sysconfig") {
			t.Errorf("it says %q", out)
		}
		if out, ok := m.Run(script, "--undo"); !ok || !maps.Equal(start, m.Tree()) {
			t.Errorf("undone with %q, it leaves %v", out, m.Tree())
		}
	})
}

func TestASecretIsPutBackAsASecret(t *testing.T) {
	script := dockerScript(t)
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		m, file := dockerOf(t, sh, path)
		if err := os.Chmod(m.File(file), 0o600); err != nil {
			t.Fatal(err)
		}
		m.Run(script)
		if err := os.Remove(m.File(file)); err != nil {
			t.Fatal(err)
		}
		out, _ := m.Run(script, "--undo")
		if info, err := os.Stat(m.File(file)); err != nil || info.Mode() != 0o600 {
			t.Errorf("undone with %q, it is %v (%v), want mode 0600", out, info, err)
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

func TestWhereThereIsNoPythonJQMergesJSON(t *testing.T) {
	jq := shell.Need(t, "jq")
	o := defaults(t)
	c, _ := setup.Lookup("compose")
	shell.Each(t, func(t *testing.T, sh []string, path string) {
		if filepath.Base(sh[0]) != "ash" {
			return // its system has python3
		}
		for _, old := range before[setup.JSON] {
			m := newMachine(t, sh, path)
			m.Link(jq)
			f := c.Places[0].Files[0]
			want, wrong := f.Edit([]byte(old), o)
			m.Write(f.Path, old)
			out, ok := m.Run(scriptOf(alone(c, c.Places[0]), o))
			got := m.Tree()[strings.TrimPrefix(m.File(f.Path), m.Root)]
			if ok != (wrong == nil) {
				t.Errorf("with %q: setup says %v, the script %q", old, wrong, out)
			} else if ok && canonical(t, got) != canonical(t, string(want)) {
				t.Errorf("with %q\nthe script writes %q\nsetup writes      %q", old, got, want)
			} else if !ok && got != old {
				t.Errorf("%q has become %q", old, got)
			}
		}
	})
}
