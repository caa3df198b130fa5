//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Host is a machine on the wire: a network namespace with a leg there.
type Host struct {
	net   *Net
	name  string
	netns string
	addrs []netip.Prefix

	mu    sync.Mutex
	binds [][2]string // source and target, bound before each command
}

// Name is the name that the host was given.
func (h *Host) Name() string { return h.name }

// Addr is the host's first address.
func (h *Host) Addr() netip.Addr { return h.addrs[0].Addr() }

// Prefix is the host's first address as a prefix of that address alone.
func (h *Host) Prefix() netip.Prefix {
	return netip.PrefixFrom(h.Addr(), h.Addr().BitLen())
}

// AddAddr gives the host one more address. Only addresses that lead nowhere
// outside the lab are taken.
func (h *Host) AddAddr(t testing.TB, a netip.Prefix) {
	t.Helper()
	if !netip.MustParsePrefix(Range).Contains(a.Addr()) && !netip.MustParsePrefix("fd00::/8").Contains(a.Addr()) {
		t.Fatalf("lab: %s is neither of %s nor of fd00::/8", a, Range)
	}
	// nodad: IPv6 would keep the address unusable for a second or two.
	mustIP(t, "-n", h.netns, "address", "add", a.String(), "dev", "eth0", "nodad")
}

// Blackhole drops what the host sends to these addresses. On the host that
// connects this fails at once (EINVAL), for the kernel tells local senders; on
// the host that is connected to it loses the answers, so that the other side
// waits until its time is up.
func (h *Host) Blackhole(t testing.TB, to netip.Prefix) {
	t.Helper()
	h.route(t, "blackhole", to)
}

// Prohibit makes the host's connects to these addresses fail at once (EACCES).
func (h *Host) Prohibit(t testing.TB, to netip.Prefix) {
	t.Helper()
	h.route(t, "prohibit", to)
}

// Open takes away what Blackhole or Prohibit laid on these addresses.
func (h *Host) Open(t testing.TB, to netip.Prefix) {
	t.Helper()
	mustIP(t, "-n", h.netns, "route", "delete", to.String(), "proto", "static")
}

func (h *Host) route(t testing.TB, kind string, to netip.Prefix) {
	t.Helper()
	mustIP(t, "-n", h.netns, "route", "add", kind, to.String(), "proto", "static")
}

// Bind lets the commands that the host starts from now on see the file or
// directory source at target, which has to exist on the machine.
func (h *Host) Bind(source, target string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.binds = append(h.binds, [2]string{source, target})
}

// enter runs in the new mount namespace: pairs to bind, "--", then the command.
// A target that the machine does not have is left out.
const enter = `
while [ "$1" != -- ]; do
	if [ -e "$2" ]; then mount --bind "$1" "$2" || exit 125; fi
	shift 2
done
shift
exec "$@"`

// Command prepares a program to run on the host, with the test's environment
// less its proxies, as the leader of a process group. When ctx ends the group
// is killed. The caller may change Env, Dir and the streams before it starts.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	line := []string{"--net=" + filepath.Join(netnsDir, h.netns), "--", program("unshare"), "--mount", "--", "sh", "-c", enter, "sh"}
	for _, file := range []string{"hosts", "resolv.conf", "nsswitch.conf"} {
		line = append(line, h.net.path(file), filepath.Join("/etc", file))
	}
	h.mu.Lock()
	for _, b := range h.binds {
		line = append(line, b[0], b[1])
	}
	h.mu.Unlock()
	line = append(append(line, "--", program(name)), args...)
	cmd := exec.CommandContext(ctx, program("nsenter"), line...)
	cmd.Env = environment()
	// Each of the wrappers execs the next, so the group's leader is the program.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Output runs a command on the host for at most a minute and returns what it
// printed on both streams, without the last newline. A failure is the test's.
func (h *Host) Output(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := h.Command(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %s %s: %v\n%s", h.name, name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Sysctl sets a variable of the host's network namespace, as in
// ("net.ipv4.tcp_syn_retries", "1").
func (h *Host) Sysctl(t testing.TB, name, value string) {
	t.Helper()
	path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
	h.Output(t, "sh", "-c", fmt.Sprintf("echo %s > %s", value, path))
}
