//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// What is built on the first call that asks for it. The process's directory, with the
// binaries, is removed by [Main], or by the next [New] after this process has ended.
var (
	builtSluice = builder("sluice")
	builtMirror = builder("sluice-mirror")
)

// builder returns what makes the binary of a command on the first call, and tells its
// path or the failure on all.
func builder(command string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		dir := processDir(os.Getpid())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		binary := filepath.Join(dir, command)
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/"+command)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build ./cmd/%s: %w\n%s", command, err, out)
		}
		return binary, nil
	})
}

// Sluice builds ./cmd/sluice, once for the process and without cgo as for a
// release, and returns the binary's path.
func Sluice(t testing.TB) string {
	t.Helper()
	return mustBuild(t, builtSluice)
}

// SluiceMirror is [Sluice] for ./cmd/sluice-mirror.
func SluiceMirror(t testing.TB) string {
	t.Helper()
	return mustBuild(t, builtMirror)
}

func mustBuild(t testing.TB, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root is the directory of the checkout, which has go.mod and examples in it.
func Root(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// Main runs the tests of a package that uses [Sluice] and removes the binary;
// it is meant for TestMain: os.Exit(lab.Main(m)).
func Main(m *testing.M) int {
	defer func() { _ = os.RemoveAll(processDir(os.Getpid())) }()
	return m.Run()
}

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("no go.mod above the test's directory")
		}
		dir = up
	}
}
