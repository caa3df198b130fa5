//go:build linux

package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Systemd is a system manager that runs as process 1 of namespaces of its own, on
// a host. It knows the units that it is given and a few empty targets.
type Systemd struct {
	daemon *Daemon
	cgroup string
}

// boot makes what systemd wants to find: a proc of its own, an empty /run, one
// hierarchy of control groups, an /etc and a /usr/local/bin that can be written to.
// What the machine as a whole has set (/proc/sys, /sys) it shall not change.
const boot = `
set -e
echo 0 >"$1/cgroup.procs"
exec unshare --cgroup -- sh -ec '
	mount -t proc proc /proc
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
	mount -t tmpfs tmpfs /run
	umount -l /sys/fs/cgroup
	mount -o remount,bind,ro /sys
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir /run/units /run/upper /run/work
	mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work overlay /etc
	mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
	cp -R "$1/etc/." /etc/
	cp -R "$1/bin/." /usr/local/bin/
	cp -R "$1/units/." /run/units/
	exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		SYSTEMD_UNIT_PATH=/run/units SYSTEMD_GENERATOR_PATH=/run/none \
		/lib/systemd/systemd --system --unit=lab.target --log-target=console --show-status=no
' sh "$2"
`

// StartSystemd starts systemd on the host, with copies of files: their paths are
// below units/, etc/ and bin/, which stand for systemd's directory of units, /etc
// and /usr/local/bin. Where systemd cannot be process 1 of a namespace, as in a
// container without control groups of its own, the test is skipped.
func StartSystemd(t testing.TB, h *Host, files map[string]string) *Systemd {
	t.Helper()
	Need(t, Needs{Root: true, Programs: []string{"systemctl", "unshare", "nsenter"}})
	dir := h.net.path("systemd-" + h.name)
	for to, from := range files {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(to, "bin/") {
			mode = 0o755
		}
		writeBelow(t, dir, to, text, mode)
	}
	for _, name := range []string{"lab", "basic", "sysinit", "sockets", "shutdown", "multi-user", "network-online"} {
		writeBelow(t, dir, "units/"+name+".target", []byte("[Unit]\nDefaultDependencies=no\n"), 0o644)
	}
	s := &Systemd{cgroup: newCgroup(t)}
	cmd := h.Command(context.Background(), "sh", "-c", boot, "sh", s.cgroup, dir)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	s.daemon = h.StartCommand(t, cmd)
	// SIGTERM would have it start itself anew.
	t.Cleanup(func() { _ = s.daemon.Signal(syscall.SIGKILL) })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		select {
		case <-s.daemon.ended:
			t.Skipf("left out: %s, for systemd cannot be process 1 here: %s", t.Name(), s.daemon.output.tail(3))
		default:
		}
		if out, err := s.command("is-system-running").Output(); err == nil && string(out) == "running\n" {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatal("lab: systemd does not get to its target")
		}
	}
}

func writeBelow(t testing.TB, dir, name string, text []byte, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
}

// newCgroup makes a control group for a systemd, and removes it, with what that has
// made in it, when the test is over.
func newCgroup(t testing.TB) string {
	t.Helper()
	root := unifiedCgroups(t)
	dir, err := os.MkdirTemp(root, prefix)
	if root == "" || err != nil {
		t.Skipf("left out: %s, for want of control groups: %v", t.Name(), err)
	}
	t.Cleanup(func() {
		for deadline := time.Now().Add(5 * time.Second); removeCgroups(dir) != nil; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Errorf("lab: %s cannot be removed", dir)
				return
			}
		}
	})
	return dir
}

// unifiedCgroups returns where the hierarchy of version 2 is mounted, or "".
func unifiedCgroups(t testing.TB) string {
	t.Helper()
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if field := strings.Fields(lines.Text()); len(field) > 2 && field[2] == "cgroup2" {
			return field[1]
		}
	}
	return ""
}

func removeCgroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

func (s *Systemd) command(args ...string) *exec.Cmd {
	return s.enter("systemctl", args...)
}

func (s *Systemd) enter(name string, args ...string) *exec.Cmd {
	in := []string{"--target", strconv.Itoa(s.daemon.Pid()), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--", name}
	return exec.Command(program("nsenter"), append(in, args...)...)
}

// Control runs systemctl and returns what it prints, without the last newline. A
// failure is the test's.
func (s *Systemd) Control(t testing.TB, args ...string) string {
	t.Helper()
	return s.Run(t, "systemctl", args...)
}

// Run runs a program where systemd is.
func (s *Systemd) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := s.enter(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("lab: %s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Property returns a property of a unit, as systemctl show prints it.
func (s *Systemd) Property(t testing.TB, unit, name string) string {
	t.Helper()
	return s.Control(t, "show", "--value", "--property="+name, unit)
}

// Write writes a file where systemd is.
func (s *Systemd) Write(t testing.TB, path, text string) {
	t.Helper()
	cmd := s.enter("sh", "-ec", `mkdir -p "$(dirname "$1")"; cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lab: %s: %v\n%s", path, err, fmt.Sprint(string(out)))
	}
}
