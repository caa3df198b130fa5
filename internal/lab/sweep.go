//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// prefix begins the name of every namespace and directory of the lab. The
// process's number follows, so that test binaries that run at the same time do
// not meet, and that the leavings of a dead one can be told.
const prefix = "sluice-lab-"

// processDir holds all files of the labs of one process.
func processDir(pid int) string {
	return filepath.Join(os.TempDir(), prefix+strconv.Itoa(pid))
}

// sweep removes what runs that were killed have left behind.
func sweep(t testing.TB) {
	t.Helper()
	for _, ns := range namespaces(prefix) {
		if orphaned(ns) {
			if err := removeNamespace(ns); err != nil {
				t.Logf("lab: leftover of a killed run: %v", err)
			}
		}
	}
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		if orphaned(filepath.Base(dir)) {
			if err := os.RemoveAll(dir); err != nil {
				t.Logf("lab: leftover of a killed run: %v", err)
			}
		}
	}
}

// orphaned says whether name is of the lab and of a process that is no more.
func orphaned(name string) bool {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return false
	}
	number, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(number)
	return err == nil && ended(pid)
}

// ended says whether a process is no more, or is a zombie that nobody waits for
// (proc(5): the state is the first field behind the name, which is in brackets).
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat[bytes.LastIndexByte(stat, ')'):]), " ")
	return strings.HasPrefix(state, "Z")
}

// namespaces lists the named network namespaces that begin with start.
func namespaces(start string) []string {
	entries, _ := os.ReadDir(netnsDir)
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), start) {
			names = append(names, e.Name())
		}
	}
	return names
}

// removeNamespace kills what runs in a namespace of the lab and deletes it.
func removeNamespace(name string) error {
	path := filepath.Join(netnsDir, name)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		pids := processesIn(path)
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of %s do not end", pids, name)
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if out, err := command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
		return fmt.Errorf("delete namespace %s: %w: %s", name, err, out)
	}
	return nil
}

// processesIn lists the processes, this one and zombies apart, whose network
// namespace is the one at path.
func processesIn(path string) []int {
	var ns unix.Stat_t
	if unix.Stat(path, &ns) != nil {
		return nil
	}
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		var its unix.Stat_t
		// A zombie has no namespace left to stat.
		if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &its) == nil && its.Dev == ns.Dev && its.Ino == ns.Ino {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
