//go:build linux

package peers

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a peer and its children hold at one moment. Memory is in bytes.
type Usage struct {
	PSS         int64 // resident, what is shared divided among those who share it
	RSS, Peak   int64 // resident now, and at most so far
	Descriptors int
	Pipes       int // descriptors of pipes; each pipe has two
}

// Usage reads what the processes hold.
func (r *Process) Usage() (Usage, error) {
	var u Usage
	for i, pid := range r.pids() {
		one, err := usage(pid)
		if err != nil {
			if i > 0 && os.IsNotExist(err) {
				continue // a child that has ended since
			}
			return u, err
		}
		u.PSS += one.PSS
		u.RSS += one.RSS
		u.Peak += one.Peak
		u.Descriptors += one.Descriptors
		u.Pipes += one.Pipes
	}
	return u, nil
}

func usage(pid int) (Usage, error) {
	var u Usage
	dir := fmt.Sprintf("/proc/%d", pid)
	rollup, err := sizes(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		return u, err
	}
	status, err := sizes(filepath.Join(dir, "status"))
	if err != nil {
		return u, err
	}
	u.PSS, u.RSS, u.Peak = rollup["Pss"], status["VmRSS"], status["VmHWM"]
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return u, err
	}
	u.Descriptors = len(fds)
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err == nil && strings.HasPrefix(to, "pipe:") {
			u.Pipes++
		}
	}
	return u, nil
}

// Kernel is memory of the whole machine's kernel, in bytes.
type Kernel struct {
	Slab  int64 // sockets, descriptors, epoll entries
	Other int64 // stacks of threads, and page tables
}

// KernelMemory reads /proc/meminfo.
func KernelMemory() (Kernel, error) {
	m, err := sizes("/proc/meminfo")
	return Kernel{Slab: m["Slab"], Other: m["KernelStack"] + m["PageTables"]}, err
}

// sizes reads lines such as "Pss:   12 kB" into bytes.
func sizes(path string) (map[string]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := make(map[string]int64)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, found := strings.Cut(lines.Text(), ":")
		number, isSize := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if n, err := strconv.ParseInt(number, 10, 64); found && isSize && err == nil {
			m[name] = n << 10
		}
	}
	return m, nil
}
