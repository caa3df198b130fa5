package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file of a system below its root.
func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDockerdsSettingsAreReadAndTold(t *testing.T) {
	const here = "net:[1]"
	for _, test := range []struct {
		name, environ, daemon, net string
		own                        []string
		words                      string
		level                      Level
	}{
		{"the proxy", "HTTPS_PROXY=http://user:hush@relay:3128\x00", "", here, nil, "dockerd has the proxy http://USER:PASSWORD@relay:3128", Good},
		{"none", "PATH=/bin\x00", "", here, nil, "dockerd has no proxy", Remark},
		{"http alone", "HTTP_PROXY=http://relay:3128\x00", "", here, nil, "HTTP_PROXY and no HTTPS_PROXY", Bad},
		{"ALL_PROXY alone", "ALL_PROXY=http://relay:3128\x00", "", here, nil, "which it ignores", Bad},
		{"another", "HTTPS_PROXY=http://relay:3128\x00", "", here, []string{"HTTPS_PROXY=http://other:3128"}, "dockerd does not use this proxy", Caution},
		{"in daemon.json", "", `{"proxies":{"https-proxy":"http://relay:3128"}}`, here, nil, "dockerd has the proxy http://relay:3128 (daemon.json)", Good},
		{"broken daemon.json", "", `{"proxies":`, here, nil, "is no JSON", Bad},
		{"of a container", "HTTPS_PROXY=http://relay:3128\x00", "", "net:[2]", nil, "no dockerd runs on this host", Remark},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/7/comm", "dockerd\n")
			write(t, root, "proc/7/environ", test.environ)
			write(t, root, "proc/9/comm", "bash\n")
			for name, ns := range map[string]string{"proc/7/ns/net": test.net, "proc/self/ns/net": here} {
				if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(ns, filepath.Join(root, name)); err != nil {
					t.Fatal(err)
				}
			}
			if test.daemon != "" {
				write(t, root, "etc/docker/daemon.json", test.daemon)
			}
			set := System{Root: root}.read(t.Context(), test.own)
			r := &Report{Hosts: []Host{{Host: "registry-1.docker.io:443", name: hubRegistry}}}
			if u, source := set.find(); u != nil {
				r.Proxy = &Proxy{URL: Redacted(u), Source: source, address: proxyAddress(u), url: u}
			}
			r.finish(set)
			for _, f := range r.Facts {
				if strings.Contains(f.Sentence, "hush") {
					t.Error("a password is told")
				}
				if strings.Contains(f.Sentence, test.words) && f.Level == test.level && f.Fact == "dockerd" {
					return
				}
			}
			t.Errorf("%+v, want %s: %s", r.Facts, test.level, test.words)
		})
	}
}

func TestAProcessThatIsOnlyCalledDockerdIsNotAsked(t *testing.T) {
	const stranger = 65534
	for _, test := range []struct {
		name, program string
		owner         int
		want          bool
	}{
		{"the daemon", "/usr/bin/dockerd", os.Geteuid(), true},
		{"the daemon, whose package was upgraded", "/usr/bin/dockerd (deleted)", os.Geteuid(), true},
		{"a program with root's rights, by a link of this name", "/usr/bin/sudo", os.Geteuid(), false},
		{"another user's", "/home/eve/dockerd", stranger, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/7/comm", "dockerd\n")
			write(t, root, "proc/7/environ", "HTTPS_PROXY=http://evil.example:3128\x00")
			if err := os.Symlink(test.program, filepath.Join(root, "proc/7/exe")); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(filepath.Join(root, "proc/7"), test.owner, -1); err != nil {
				t.Skipf("left out: giving files away (%v)", err)
			}
			u, _ := System{Root: root}.read(t.Context(), nil).find()
			if got := u != nil; got != test.want {
				t.Errorf("its proxy is taken: %t, want %t", got, test.want)
			}
		})
	}
}

func TestTheNextCommandIsForWhatPullsHere(t *testing.T) {
	for program, want := range map[string]string{"usr/bin/podman": "podman", "usr/local/bin/containerd": "containerd", "usr/sbin/dockerd": "docker", "usr/bin/bash": "docker"} {
		root := t.TempDir()
		write(t, root, program, "")
		if got := (System{Root: root}).puller(); got != want {
			t.Errorf("with %s: %s, want %s", program, got, want)
		}
	}
}

func TestProxiesInDaemonJSONAreNotForAnOldEngine(t *testing.T) {
	for version, old := range map[string]bool{"20.10.24+dfsg1": true, "22.06.0": true, "23.0.1": false, "28.1": false, "": false} {
		if d := (&docker{version: version}); d.old() != old {
			t.Errorf("Engine %q is old: %t", version, d.old())
		}
	}
	set := &settings{docker: docker{proxies: true, version: "20.10.24"}}
	if facts := set.dockerFacts(new(Report)); len(facts) != 2 || facts[1].Level != Bad || !strings.Contains(facts[1].Sentence, "Engine 20.10.24 does not start with it") {
		t.Errorf("%+v", facts)
	}
}

// TestWhoMayNotReadDockerdsEnvironmentAsksDocker runs a docker that prints what the
// real one does.
func TestWhoMayNotReadDockerdsEnvironmentAsksDocker(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "docker", "#!/bin/sh\nprintf '%s\\n' http://relay:3128 http://relay:3128 localhost 20.10.24\n")
	if err := os.Chmod(filepath.Join(dir, "docker"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	var d docker
	d.ask(t.Context())
	if d.source != "docker info" || d.set.https != "http://relay:3128" || d.set.exempt != "localhost" || !d.old() {
		t.Errorf("%+v", d)
	}
}
