package trust

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"sluice/internal/lab"
	"sluice/internal/lab/shell"
)

// wants are the files that a script leaves, and what calls it makes.
type wants struct {
	name  string
	files map[string]string // path: a part of the text
	calls string
	says  string
}

func all(m Mirror) []wants {
	ca := string(m.CA)
	return []wants{
		{"docker", map[string]string{
			"/etc/docker/certs.d/" + at + "/ca.crt": ca, "/etc/docker/daemon.json": `"https://` + at + `"`,
		}, "systemctl reload docker\n", "docker has the mirror https://" + at},
		{"containerd", map[string]string{
			"/etc/containerd/sluice-mirror-ca.crt": ca,
			"/etc/containerd/certs.d/docker.io/hosts.toml": `server = "https://registry-1.docker.io"

[host."https://` + at + `"]
  capabilities = ["pull", "resolve"]
  ca = "/etc/containerd/sluice-mirror-ca.crt"
`,
			"/etc/containerd/certs.d/ghcr.io/hosts.toml":          `server = "https://ghcr.io"`,
			"/etc/containerd/certs.d/reg.example:5000/hosts.toml": `server = "https://reg.example:5000"`,
		}, "", "containerd has the mirror https://" + at},
		{"podman", map[string]string{
			"/etc/containers/certs.d/" + at + "/ca.crt":               ca,
			"/etc/containers/registries.conf.d/50-sluice-mirror.conf": `location = "` + at + `/ghcr.io"`,
		}, "", "podman has the mirror https://" + at},
		{"docker-transparent", map[string]string{
			"/usr/local/share/ca-certificates/sluice-mirror.crt":   ca,
			"/etc/systemd/system/docker.service.d/http-proxy.conf": `Environment="HTTPS_PROXY=http://mirror.example.com:3128"`,
		}, "update-ca-certificates --fresh\nsystemctl daemon-reload\nsystemctl restart docker\n", "docker-transparent has the mirror as a proxy http://mirror.example.com:3128"},
		{"podman-transparent", map[string]string{
			"/usr/local/share/ca-certificates/sluice-mirror.crt": ca,
			"/etc/containers/containers.conf.d/50-sluice.conf":   "https_proxy=http://mirror.example.com:3128",
		}, "update-ca-certificates --fresh\n", "podman-transparent has the mirror"},
	}
}

func asRoot(t *testing.T, name string) {
	t.Helper()
	if strings.HasPrefix(name, "podman") && os.Geteuid() != 0 {
		lab.LeaveOut(t, "podman's files for all users, for this is not root")
	}
}

func TestAHostIsSetUpTwiceAndThenUndone(t *testing.T) {
	m := aMirror(t)
	shells(t, func(t *testing.T, sh []string, path string) {
		for _, x := range all(m) {
			t.Run(x.name, func(t *testing.T) {
				asRoot(t, x.name)
				host := newMachine(t, sh, path)
				host.Write("/usr/share/ca-certificates/x", "")
				text := script(t, x.name, m)
				start := host.Tree()
				if out, ok := host.Run(text, "--dry-run"); !ok || !maps.Equal(start, host.Tree()) {
					t.Errorf("a dry run says %q and leaves %v", out, host.Tree())
				}
				if out, ok := host.Run(text); !ok || !strings.Contains(out, x.says) {
					t.Fatalf("it says %q", out)
				}
				for path, part := range x.files {
					if got := host.Read(path); !strings.Contains(got, part) {
						t.Errorf("%s is %q", path, got)
					}
				}
				applied := host.Tree()
				if out, ok := host.Run(text); !ok || !strings.Contains(out, "already") || !maps.Equal(applied, host.Tree()) {
					t.Errorf("the second time it says %q", out)
				}
				if got := host.Called(); got != x.calls {
					t.Errorf("it calls %q, want %q", got, x.calls)
				}
				if out, ok := host.Run(text, "--undo"); !ok || !maps.Equal(start, host.Tree()) {
					t.Errorf("undone with %q, it leaves %v", out, host.Tree())
				}
			})
		}
	})
}

// Every text that daemon.json may have is changed alike by the script and by the
// description that it is made from.
func TestTheDaemonsFileKeepsWhatIsThere(t *testing.T) {
	m := aMirror(t)
	shell.Need(t, "dash")
	shell.Need(t, "python3")
	description := m.docker()
	file := description.Places[0].Files[1]
	without := func(program string) string { // PATH without a program
		dir := t.TempDir()
		for _, d := range []string{"/bin", "/usr/bin"} {
			entries, _ := os.ReadDir(d)
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), program) {
					os.Symlink(filepath.Join(d, e.Name()), filepath.Join(dir, e.Name()))
				}
			}
		}
		return dir
	}
	paths := map[string]string{"python3": os.Getenv("PATH")}
	if _, err := exec.LookPath("/usr/bin/jq"); err == nil {
		paths["jq"] = without("python3")
	}
	for by, path := range paths {
		for i, text := range []string{
			"{}", "", `{"log-driver":"journald"}`, `{"registry-mirrors":["https://other.example","https://` + at + `"],"debug":true}`,
			`{"registry-mirrors":[]}`, `{"registry-mirrors":["https://other.example"],"insecure-registries":["10.0.0.1:5000"]}`,
			`{"registry-mirrors":"https://other.example"}`, `{broken`, `[]`, `{"registry-mirrors":["https://` + at + `"]}`,
		} {
			t.Run(fmt.Sprintf("%s, text %d", by, i), func(t *testing.T) {
				host := newMachine(t, []string{"dash"}, path)
				host.Write("/etc/docker/daemon.json", text)
				start := host.Tree()
				want, wrong := file.Edit([]byte(text), m.options())
				out, ok := host.Run(script(t, "docker", m))
				if ok != (wrong == nil) {
					t.Fatalf("with %s the description says %v, the script %q", text, wrong, out)
				}
				if wrong != nil {
					if !maps.Equal(start, host.Tree()) || host.Called() != "" {
						t.Errorf("it says %q and changes something", out)
					}
					return
				}
				if got := host.Read("/etc/docker/daemon.json"); compact(t, got) != compact(t, string(want)) {
					t.Errorf("of %s the script makes %s, the description %s", text, got, want)
				}
				if out, ok := host.Run(script(t, "docker", m), "--undo"); !ok || host.Read("/etc/docker/daemon.json") != text {
					t.Errorf("undone with %q it is %q", out, host.Read("/etc/docker/daemon.json"))
				}
			})
		}
	}
	got, err := file.Edit([]byte(`{"registry-mirrors":["https://other.example"],"debug":true}`), m.options())
	if want := `{"registry-mirrors":["https://` + at + `","https://other.example"],"debug":true}`; err != nil || compact(t, string(got)) != want {
		t.Errorf("%s, %v", got, err)
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return b.String()
}

func TestWhatFailsLeavesNothingHalfDone(t *testing.T) {
	m := aMirror(t)
	shells(t, func(t *testing.T, sh []string, path string) {
		for _, x := range []struct {
			name, script, says string
			spoil              func(*shell.Host)
		}{
			{"no docker", "docker", "there is no docker here", func(h *shell.Host) { os.RemoveAll(h.Root + "/lib") }},
			{"dockerd does not start", "docker", "docker does not start with the mirror", func(h *shell.Host) { h.Program("systemctl", "false") }},
			{"a mirror among dockerd's options", "docker", "take it out there first", func(h *shell.Host) {
				h.Write("/var/run/docker.pid", "4711")
				h.Write("/proc/4711/cmdline", "dockerd\x00--registry-mirror=https://other.example\x00")
			}},
			{"hosts.toml of somebody else", "containerd", "somebody else has written it", func(h *shell.Host) {
				h.Write("/etc/containerd/certs.d/ghcr.io/hosts.toml", "server = \"https://mine.example\"\n")
			}},
			{"no store of authorities", "docker-transparent", "there is no docker-transparent here", func(*shell.Host) {}},
		} {
			t.Run(x.name, func(t *testing.T) {
				host := newMachine(t, sh, path)
				x.spoil(host)
				start := host.Tree()
				out, ok := host.Run(script(t, x.script, m))
				if ok || !strings.Contains(out, x.says) {
					t.Errorf("it says %q", out)
				}
				if after := host.Tree(); !maps.Equal(start, after) {
					t.Errorf("it leaves %v\nwhere there was %v", after, start)
				}
			})
		}
	})
}

func TestEachSystemHasItsStoreOfAuthorities(t *testing.T) {
	m := aMirror(t)
	shells(t, func(t *testing.T, sh []string, path string) {
		for dir, want := range map[string][2]string{
			"/usr/share/ca-certificates":       {"/usr/local/share/ca-certificates/sluice-mirror.crt", "update-ca-certificates --fresh\n"},
			"/etc/pki/ca-trust/source/anchors": {"/etc/pki/ca-trust/source/anchors/sluice-mirror.crt", "update-ca-trust extract\n"},
			"/etc/pki/trust/anchors":           {"/etc/pki/trust/anchors/sluice-mirror.pem", "update-ca-certificates --fresh\n"},
		} {
			host := newMachine(t, sh, path)
			host.Write(dir+"/x", "")
			if out, ok := host.Run(script(t, "docker-transparent", m)); !ok || host.Read(want[0]) != string(m.CA) || !strings.HasPrefix(host.Called(), want[1]) {
				t.Errorf("with %s it says %q and calls %q", dir, out, host.Called())
			}
		}
	})
}

func TestContainerdWithoutTheDirectoryIsToldWhatToWrite(t *testing.T) {
	shell.Need(t, "dash")
	host := newMachine(t, []string{"dash"}, os.Getenv("PATH"))
	host.Program("containerd", `echo 'config_path = ""'`)
	host.Program("sleep", "")
	if out, ok := host.Run(script(t, "containerd", aMirror(t))); ok || !strings.Contains(out, "/etc/containerd/config.toml has to say") {
		t.Errorf("it says %q", out)
	}
}

func TestThePlainMirrorIsSaidToBePlain(t *testing.T) {
	m := aMirror(t)
	m.TLS = false
	for name, parts := range map[string][]string{
		"docker":     {`"insecure-registries": [`, `"http://` + at + `"`},
		"containerd": {`[host."http://` + at + `"]`},
		"podman":     {"insecure = true"},
	} {
		text := script(t, name, m)
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s: %q is not in it", name, part)
			}
		}
		if strings.Contains(text, "BEGIN CERTIFICATE") {
			t.Errorf("%s brings a certificate", name)
		}
	}
	m.TLS, m.Trusted = true, true
	if text := script(t, "docker", m); strings.Contains(text, "BEGIN CERTIFICATE") || strings.Contains(text, "insecure-registries") {
		t.Error("a trusted mirror's certificate is brought along")
	}
	m = Mirror{Host: "127.0.0.1:5000", Registries: []string{"docker.io"}, Default: "docker.io"}
	if text := script(t, "docker", m); strings.Contains(text, "insecure-registries") {
		t.Error("a mirror on loopback is declared insecure, which dockerd takes it for anyway")
	}
}

func TestDockerIsPointedAtNoMirrorThatHasNotDockerHub(t *testing.T) {
	m := aMirror(t)
	m.Default = "ghcr.io"
	if text := script(t, "docker", m); strings.Contains(text, "registry-mirrors") || !strings.Contains(text, "certs.d") {
		t.Error("dockerd would ask it for images of Docker Hub")
	}
}

func TestTheFilesAreTOML(t *testing.T) {
	m := aMirror(t)
	for _, c := range []string{m.hosts("docker.io"), m.hosts("reg.example:5000"), m.registries()} {
		var v map[string]any
		if _, err := toml.Decode(c, &v); err != nil {
			t.Errorf("%v in %s", err, c)
		}
	}
}

func TestTheScriptsPassShellcheck(t *testing.T) {
	shellcheck := shell.Need(t, "shellcheck")
	m := aMirror(t)
	for _, name := range Names(m) {
		cmd := exec.Command(shellcheck, "-s", "sh", "-")
		cmd.Stdin = strings.NewReader(script(t, name, m))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestWhatIsFetchedFromAMirrorThatIsNotTrustedYetIsHeldAgainstItsSum(t *testing.T) {
	m := aMirror(t)
	for _, name := range Names(m) {
		sum := sha256.Sum256([]byte(script(t, name, m)))
		if c := m.Command(name); !strings.Contains(c, hex.EncodeToString(sum[:])) || !strings.Contains(c, "https://"+at+"/setup/"+name+".sh") {
			t.Errorf("%s: %s", name, c)
		}
		text, ok := Text(name, m)
		if !ok || !strings.Contains(text, m.Command(name)) || !strings.Contains(text, "BEGIN CERTIFICATE") {
			t.Errorf("%s: %s", name, text)
		}
	}
	m.TLS = false
	if c := m.Command("docker"); c != "curl -fsS http://"+at+"/setup/docker.sh | sudo sh" {
		t.Error(c)
	}
}

func TestThereIsNoScriptForWhatTheMirrorDoesNotDo(t *testing.T) {
	m := aMirror(t)
	m.Transparent = ""
	if slices.Contains(Names(m), "docker-transparent") {
		t.Error("the transparent way is off and listed")
	}
	for _, name := range []string{"", "emacs", "docker-transparent", "apt-transparent", "-transparent", "Docker"} {
		if _, ok := Script(name, m); ok {
			t.Errorf("there is a script %q", name)
		}
	}
}

// dockerd answers a mirror that asks for a password with its user's for Docker Hub.
func TestAMirrorThatAsksForAPasswordIsNoneOfDockerHubForDocker(t *testing.T) {
	m := aMirror(t)
	m.Login = true
	shells(t, func(t *testing.T, sh []string, path string) {
		host := newMachine(t, sh, path)
		out, ok := host.Run(script(t, "docker", m))
		if _, err := os.Stat(host.Root + "/etc/docker/daemon.json"); !ok || err == nil || !strings.Contains(out, "docker login "+at) {
			t.Errorf("it says %q, and of daemon.json %v", out, err)
		}
		if !strings.Contains(host.Read("/etc/docker/certs.d/"+at+"/ca.crt"), "BEGIN CERTIFICATE") {
			t.Error("dockerd does not trust it")
		}
	})
	trusted := Mirror{Host: at, TLS: true, Trusted: true, Login: true, Registries: []string{"docker.io"}, Default: "docker.io"}
	if _, ok := Script("docker", trusted); ok || slices.Contains(Names(trusted), "docker") {
		t.Error("there is a script that has nothing to do")
	}
	for _, m := range []Mirror{m, trusted} {
		if text, _ := Text("docker", m); strings.Contains(text, "registry-mirrors") || !strings.Contains(text, "docker login "+at) {
			t.Errorf("it says %s", text)
		}
	}
}
