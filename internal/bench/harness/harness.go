//go:build linux

// Package harness is what a bench runs in: it builds what is measured, gives it a
// directory and, as root, a network namespace, and ends it when it is told to. What is
// measured, and how, is left to the bench.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"sluice/internal/bench/machine"
	"sluice/internal/netns"
)

// builtDir is the variable that tells the bench, started anew in a network
// namespace, where it had put what it measures.
const builtDir = "SLUICE_BENCH_DIR"

// Run has build put what is measured into a directory, measure measure it there, and
// removes the directory. As root, measure is called by this program started once more,
// with args, in a network namespace that is settled in.
func Run(args []string, build, measure func(dir string) error) error {
	if dir := os.Getenv(builtDir); dir != "" {
		if err := machine.SettleIn(); err != nil {
			return err
		}
		return measure(dir)
	}
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // unprivileged runs pass through
		return err
	}
	if err := build(dir); err != nil {
		return err
	}
	if os.Getuid() == 0 {
		return netns.Again(args, builtDir+"="+dir, errors.New("ended early"))
	}
	return measure(dir)
}

// UntilStopped runs measure until it is done, or a signal to end comes, which is an
// error. measure may still be at work then: whoever opened what it works with closes it.
func UntilStopped(measure func() error) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM) // for good: another one shall not cut what closes
	done := make(chan error, 1)
	go func() { done <- measure() }()
	select {
	case err := <-done:
		return err
	case s := <-stop:
		return fmt.Errorf("stopped by signal: %v", s)
	}
}

// Release is the command that builds one of this repository's programs into a directory,
// under its own name and as for a release, or copies the file that is given instead.
func Release(dir, name, given string) []string {
	to := filepath.Join(dir, name)
	if given != "" {
		return []string{"cp", given, to}
	}
	return []string{"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", to, "./cmd/" + name}
}

// Build runs commands, one after the other. The error of one that fails has what it
// printed.
func Build(commands ...[]string) error {
	for _, argv := range commands {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s, from the root of the repository: %w\n%s", strings.Join(argv, " "), err, out)
		}
	}
	return nil
}
