//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// builtDir is the variable that tells the bench, started anew in a network
// namespace, where it had put what it measures.
const builtDir = "SLUICE_BENCH_DIR"

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

// again runs this program in a network namespace of its own: on a loopback that
// nobody else uses, that no packet filter looks at, and whose settings are those
// above.
func again(args []string, dir string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), builtDir+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in a network namespace: %w", err)
	}
	// It ends the proxies that it runs, and then itself; the terminal tells it too.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-stop:
			cmd.Process.Signal(s)
		case err := <-done:
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				return errors.New("ended early") // it has said why
			}
			return err
		}
	}
}

// settleIn makes the namespace fit for use.
func settleIn() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	for _, s := range tcpSettings {
		if err := os.WriteFile(sysctlPath(s[0]), []byte(s[1]), 0); err != nil {
			return fmt.Errorf("set %s: %w", s[0], err)
		}
	}
	return nil
}

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }

func sysctl(name string) string {
	text, err := os.ReadFile(sysctlPath(name))
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
