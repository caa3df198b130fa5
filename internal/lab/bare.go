//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Bare is the environment of a program that owes nothing to the machine's user: a PATH,
// and a home.
func Bare(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH") + ":/usr/local/sbin:/usr/sbin:/sbin",
		"HOME=" + home,
		"TMPDIR=" + home,
		"LC_ALL=C.UTF-8",
	}
}

// Try runs a program on the host with this input, in a Bare environment with env
// besides and in a home of its own, and returns what it printed and whether it was
// content. That it cannot be run, or is not done within limit, is the test's failure.
func (h *Host) Try(t testing.TB, limit time.Duration, input []byte, env []string, name string, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	home := t.TempDir()
	cmd.Dir, cmd.Env = home, append(Bare(home), env...)
	if input != nil {
		cmd.Stdin = bytes.NewReader(input)
	}
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	failed := cmd.Run()
	if exit := new(exec.ExitError); failed != nil && !errors.As(failed, &exit) {
		t.Fatalf("%s: %v", name, failed)
	}
	if ctx.Err() != nil {
		t.Fatalf("%s %s: not done in %v\nstdout: %s\nstderr: %s", name, strings.Join(args, " "), limit, out.String(), err.String())
	}
	return out.String(), err.String(), failed == nil
}
