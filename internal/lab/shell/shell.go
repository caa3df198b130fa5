// Package shell runs the scripts that set a client up, for tests: under the shells that
// they have to run under, on a host that is a directory.
package shell

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
)

// Each runs a test under Debian's sh, and under all of a system that has nothing but
// busybox. path is what PATH has there.
func Each(t *testing.T, try func(t *testing.T, shell []string, path string)) {
	t.Helper()
	t.Run("dash", func(t *testing.T) {
		Need(t, "dash")
		try(t, []string{"dash"}, os.Getenv("PATH"))
	})
	t.Run("busybox", func(t *testing.T) {
		busybox := Need(t, "busybox")
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

// Need returns where a program is that scripts run under or with.
func Need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		lab.LeaveOut(t, "scripts with "+program+", which is not here")
	}
	return path
}

// Host is a file system in a directory, with programs that do nothing but tell.
type Host struct {
	Root string // stands for /
	Path string // of its PATH; Program adds to the first directory

	t     testing.TB
	shell []string
	calls string // a file with a line for each call
}

// NewHost returns a host whose programs of these names tell that they were called, and
// do nothing.
func NewHost(t testing.TB, shell []string, path string, telling ...string) *Host {
	t.Helper()
	dir := t.TempDir()
	h := &Host{t: t, shell: shell, Root: filepath.Join(dir, "root"), calls: filepath.Join(dir, "calls")}
	bin := filepath.Join(dir, "bin")
	h.Path = bin + ":" + path
	h.Write("/home/.keep", "")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range telling {
		h.Telling(name)
	}
	return h
}

// Telling puts a program there that tells that it was called, and does nothing.
func (h *Host) Telling(name string) { h.Program(name, `echo "${0##*/} $*" >>"`+h.calls+`"`) }

// Link puts a program of this machine's there.
func (h *Host) Link(program string) {
	h.t.Helper()
	bin, _, _ := strings.Cut(h.Path, ":")
	if err := os.Symlink(program, filepath.Join(bin, filepath.Base(program))); err != nil {
		h.t.Fatal(err)
	}
}

// Program puts a program of sh's into the first directory of PATH.
func (h *Host) Program(name, text string) {
	h.t.Helper()
	bin, _, _ := strings.Cut(h.Path, ":")
	if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		h.t.Fatal(err)
	}
}

// File returns where a path of the host's is; "~" is the home.
func (h *Host) File(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		path = "/home/" + rest
	}
	return h.Root + path
}

// Write writes a file of the host's, and the directories above it.
func (h *Host) Write(path, text string) {
	h.t.Helper()
	name := h.File(path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// Read returns the text of a file that has to be there.
func (h *Host) Read(path string) string {
	h.t.Helper()
	b, err := os.ReadFile(h.File(path))
	if err != nil {
		h.t.Error(err)
	}
	return string(b)
}

// Called returns the calls so far, a line each.
func (h *Host) Called() string {
	b, err := os.ReadFile(h.calls)
	if err != nil && !os.IsNotExist(err) {
		h.t.Error(err)
	}
	return string(b)
}

// Run gives a script to the shell's standard input, as curl does.
func (h *Host) Run(script string, args ...string) (out string, ok bool) {
	h.t.Helper()
	cmd := exec.Command(h.shell[0], append(append(h.shell[1:len(h.shell):len(h.shell)], "-s", "--"), args...)...)
	cmd.Stdin = strings.NewReader(script)
	cmd.Env = []string{"PATH=" + h.Path, "HOME=" + h.Root + "/home", "SLUICE_SETUP_ROOT=" + h.Root}
	b, err := cmd.CombinedOutput()
	return string(b), err == nil
}

// Tree returns every file and its text, and every directory but those above what
// scripts keep for undoing.
func (h *Host) Tree() map[string]string {
	h.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(h.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, h.Root)
		if d.IsDir() {
			if name != "/var" && name != "/var/lib" {
				files[name+"/"] = ""
			}
			return nil
		}
		b, err := os.ReadFile(path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return files
}
