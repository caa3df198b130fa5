//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// workDir is the variable that tells the soak, started anew in a network
// namespace, its directory.
const workDir = "SLUICE_SOAK_DIR"

// again runs this program in a network namespace of its own: nothing that the
// load does can reach anything else, nor be disturbed.
func again(args []string, dir string) error {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), workDir+"="+dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start in a network namespace: %w", err)
	}
	// It ends the load, and then itself; the terminal tells it too.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case s := <-stop:
			_ = cmd.Process.Signal(s) // it may just have ended
		case err := <-done:
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				return errors.New("it did not go well") // it has said how
			}
			return err
		}
	}
}

// settleIn sets the namespace's loopback up.
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
	return nil
}
