package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/mirror/authority"
)

const at = "mirror.example.com:5000"

// aMirror is one with its own authority and a transparent way.
func aMirror(t testing.TB) Mirror {
	t.Helper()
	a, err := authority.Open(t.TempDir(), []string{"mirror.example.com", "ghcr.io"})
	if err != nil {
		t.Fatal(err)
	}
	return Mirror{
		Host: at, TLS: true, CA: a.PEM(), Registries: []string{"docker.io", "ghcr.io", "reg.example:5000"}, Default: "docker.io",
		Transparent: "mirror.example.com:3128",
	}
}

func script(t testing.TB, name string, m Mirror) string {
	t.Helper()
	text, ok := Script(name, m)
	if !ok {
		t.Fatalf("there is no script %s", name)
	}
	return text
}

// shells are those that a script has to run under: Debian's sh, and all of a system
// that has nothing but busybox.
func shells(t *testing.T, try func(t *testing.T, shell []string, path string)) {
	t.Run("dash", func(t *testing.T) {
		need(t, "dash")
		need(t, "python3")
		try(t, []string{"dash"}, os.Getenv("PATH"))
	})
	t.Run("busybox", func(t *testing.T) {
		busybox := need(t, "busybox")
		dir := t.TempDir()
		out, err := exec.Command(busybox, "--list").Output()
		if err != nil {
			t.Fatal(err)
		}
		for applet := range strings.Lines(string(out)) {
			if err := os.Symlink(busybox, filepath.Join(dir, strings.TrimSpace(applet))); err != nil {
				t.Fatal(err)
			}
		}
		try(t, []string{filepath.Join(dir, "ash")}, dir)
	})
}

func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("there is no %s", program)
	default:
		t.Skipf("left out: scripts under %s, which is not here", program)
	}
	return path
}

// machine is a file system in a directory, with programs that do nothing but tell.
type machine struct {
	t         testing.TB
	shell     []string
	root, bin string
	path      string
	calls     string // a file with a line for each call
}

// newMachine is a host of systemd's with docker and containerd, where a client shows
// what its files say.
func newMachine(t testing.TB, shell []string, path string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, shell: shell, root: filepath.Join(dir, "root"), bin: filepath.Join(dir, "bin"), calls: filepath.Join(dir, "calls")}
	m.path = m.bin + ":" + path
	m.write("/home/.keep", "")
	m.write("/run/systemd/system/x", "")
	m.write("/lib/systemd/system/docker.service", "[Service]\n")
	m.write("/lib/systemd/system/containerd.service", "[Service]\n")
	if err := os.Mkdir(m.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"systemctl", "update-ca-certificates", "update-ca-trust"} {
		m.program(name, `echo "${0##*/} $*" >>"`+m.calls+`"`)
	}
	m.program("docker", `case $* in *HTTPSProxy*) echo mirror.example.com:3128 ;; *) tr -d ' \n' <"`+m.root+`/etc/docker/daemon.json" | sed 's/\(:[0-9]*\)"/\1\/"/g' ;; esac`)
	m.program("containerd", `echo 'config_path = "/etc/containerd/certs.d"'`)
	return m
}

func (m *machine) program(name, text string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	name := m.root + path
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(path string) string {
	m.t.Helper()
	b, err := os.ReadFile(m.root + path)
	if err != nil {
		m.t.Error(err)
	}
	return string(b)
}

// called returns the calls so far.
func (m *machine) called() string {
	b, _ := os.ReadFile(m.calls)
	return string(b)
}

// run gives a script to the shell's standard input, as curl does.
func (m *machine) run(script string, args ...string) (out string, ok bool) {
	m.t.Helper()
	cmd := exec.Command(m.shell[0], append(append(m.shell[1:len(m.shell):len(m.shell)], "-s", "--"), args...)...)
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=" + m.path, "HOME=" + m.root + "/home", "SLUICE_SETUP_ROOT=" + m.root}
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

// tree returns every file and its text, and every directory.
func (m *machine) tree() map[string]string {
	m.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, m.root)
		if d.IsDir() {
			if !strings.HasPrefix("/var/lib", name) && !strings.HasPrefix(name, "/home/") {
				files[name+"/"] = ""
			}
			return nil
		}
		b, err := os.ReadFile(path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return files
}
