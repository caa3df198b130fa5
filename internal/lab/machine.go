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

// Machine is a host with process 1, process numbers, /run, /etc and the like of its own.
// The machine that the test runs on stays as it is.
type Machine struct {
	daemon *Daemon
	cgroup string
}

// boot makes what an init wants to find: a proc of its own, an empty /run, one
// hierarchy of control groups; /etc, /var/lib, /usr/local/bin and the directory of
// authorities may be written to and the machine's own stay as they are. The units that the machine has enabled or
// changed are taken out of that /etc. What the machine as a whole has set (/proc/sys,
// /sys) it shall not change.
const boot = `
set -e
echo 0 >"$1/cgroup.procs"
shift
exec unshare --cgroup -- sh -ec '
	mount -t proc proc /proc
	mount --bind /proc/sys /proc/sys
	mount -o remount,bind,ro /proc/sys
	mount -t tmpfs tmpfs /run
	umount -l /sys/fs/cgroup
	mount -o remount,bind,ro /sys
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	mkdir -p /run/units /run/names /run/etc/upper /run/etc/work /run/lib/upper /run/lib/work
	# An overlay shows the machine under the names that are bound here.
	for name in hosts resolv.conf nsswitch.conf; do
		touch "/run/names/$name"
		mount --bind "/etc/$name" "/run/names/$name"
	done
	mount -t overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work overlay /etc
	mount -t overlay -o lowerdir=/var/lib,upperdir=/run/lib/upper,workdir=/run/lib/work overlay /var/lib
	for name in hosts resolv.conf nsswitch.conf; do
		mount --bind "/run/names/$name" "/etc/$name"
	done
	rm -rf /etc/systemd/system
	mkdir -p /etc/systemd/system
	mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
	if [ -d /usr/local/share/ca-certificates ]; then
		mount -t tmpfs -o mode=755 tmpfs /usr/local/share/ca-certificates
	fi
	mount -t tmpfs -o mode=755 tmpfs /var/log
	cp -R "$1/etc/." /etc/
	cp -R "$1/bin/." /usr/local/bin/
	cp -R "$1/units/." /run/units/
	shift
	touch /run/booted
	exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
' sh "$@"
`

// StartMachine is StartSystemd without systemd: process 1 does nothing but to wait for
// the processes that are left to it, and services are started by scripts.
func StartMachine(t testing.TB, h *Host, files map[string]string) *Machine {
	t.Helper()
	Need(t, Needs{Root: true, Programs: []string{"unshare", "nsenter"}})
	m := startMachine(t, h, files, "sh", "-c", "while :; do sleep 1; done")
	m.wait(t, "a machine", func() bool {
		_, err := os.Stat(m.Path("/run/booted"))
		return err == nil
	})
	return m
}

func startMachine(t testing.TB, h *Host, files map[string]string, init ...string) *Machine {
	t.Helper()
	dir := h.net.path("machine-" + h.name)
	for _, part := range []string{"units", "etc", "bin"} {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o755); err != nil {
			t.Fatal(err)
		}
	}
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
	m := &Machine{cgroup: newCgroup(t)}
	cmd := h.Command(context.Background(), "sh", append([]string{"-c", boot, "sh", m.cgroup, dir}, init...)...)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	m.daemon = h.StartCommand(t, cmd)
	// SIGTERM would have systemd start itself anew.
	t.Cleanup(func() { _ = m.daemon.Signal(syscall.SIGKILL) })
	return m
}

func (m *Machine) wait(t testing.TB, what string, running func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !running(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-m.daemon.ended:
			t.Skipf("left out: %s, for %s cannot be process 1 here: %s", t.Name(), what, m.daemon.output.tail(3))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("lab: %s does not get to its target", what)
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

func (m *Machine) enter(name string, args ...string) *exec.Cmd {
	in := []string{"--target", strconv.Itoa(m.daemon.Pid()), "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--", name}
	cmd := exec.Command(program("nsenter"), append(in, args...)...)
	// As a login has it: what the test was started with need not name /usr/local/bin,
	// where the machine's own programs are.
	cmd.Env = append(environment(), "PATH="+systemPath)
	return cmd
}

// Command prepares a program to run on the machine, below no service. When ctx ends it
// is killed.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	within := m.enter(name, args...)
	cmd := exec.CommandContext(ctx, within.Path, within.Args[1:]...)
	cmd.Env, cmd.WaitDelay = within.Env, 5*time.Second
	return cmd
}

// Path is where the test finds a file or socket of the machine.
func (m *Machine) Path(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.daemon.Pid()), "root", path)
}

// Run runs a program on the machine. A failure is the test's.
func (m *Machine) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := m.enter(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("lab: %s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Write writes a file on the machine.
func (m *Machine) Write(t testing.TB, path, text string) {
	t.Helper()
	cmd := m.enter("sh", "-ec", `mkdir -p "$(dirname "$1")"; cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("lab: %s: %v\n%s", path, err, fmt.Sprint(string(out)))
	}
}
