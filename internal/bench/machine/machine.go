//go:build linux

// Package machine prepares the machine that is measured on, and describes it.
package machine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/netns"
)

// tcpSettings are the kernel's own defaults, but for the congestion control,
// which is Reno for being the one that a namespace may always choose: nothing is
// lost on loopback. A machine set to BBR would pace there, and its timers would
// cost more than the relaying.
var tcpSettings = [][2]string{
	{"net.ipv4.tcp_congestion_control", "reno"},
	{"net.ipv4.tcp_rmem", "4096 131072 6291456"},
	{"net.ipv4.tcp_wmem", "4096 16384 4194304"},
	{"net.ipv4.tcp_tw_reuse", "2"},
	{"net.ipv4.ip_local_port_range", "32768 60999"},
	{"net.core.somaxconn", "4096"},
}

// SettleIn makes a new network namespace fit for use.
func SettleIn() error {
	if err := netns.LoopbackUp(); err != nil {
		return err
	}
	for _, s := range tcpSettings {
		if err := os.WriteFile(sysctlPath(s[0]), []byte(s[1]), 0); err != nil {
			return fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return nil
}

// Files raises the limit of open files as far as it goes, and returns it.
func Files() (uint64, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, os.NewSyscallError("getrlimit", err)
	}
	files.Cur = files.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return 0, os.NewSyscallError("setrlimit", err)
	}
	return files.Max, nil
}

// Describe is the machine in words.
func Describe() string {
	var u unix.Utsname
	unix.Uname(&u)
	var info unix.Sysinfo_t
	unix.Sysinfo(&info)
	var files unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &files)
	return fmt.Sprintf("%d cores of %s, %d GB, Linux %s, RLIMIT_NOFILE %d, fs.pipe-user-pages-soft %s, %s, rmem %s, wmem %s",
		runtime.NumCPU(), field("/proc/cpuinfo", "model name"), info.Totalram*uint64(info.Unit)/1e9,
		unix.ByteSliceToString(u.Release[:]), files.Max, sysctl("fs.pipe-user-pages-soft"),
		sysctl("net.ipv4.tcp_congestion_control"), sysctl("net.ipv4.tcp_rmem"), sysctl("net.ipv4.tcp_wmem"))
}

// Output is what a command prints; "unknown" if it fails.
func Output(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// Version is that of an installed package of Debian.
func Version(pkg string) string { return Output("dpkg-query", "-W", "-f", "${Version}", pkg) }

// Checkout is the version of the source in the working directory.
func Checkout() string { return Output("git", "describe", "--tags", "--always", "--dirty") }

// field finds a line "name : value" in a file.
func field(path, name string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func sysctl(name string) string {
	text, err := os.ReadFile(sysctlPath(name))
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
