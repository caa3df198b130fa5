//go:build linux

package peers

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a running peer, with all its children.
type Process struct {
	Peer
	Setup
	Started time.Time
	cmd     *exec.Cmd
	exited  chan struct{}
	output  string // file
}

// nobody is the user and group of unprivileged runs; Debian's number.
const nobody = 65534

// Start runs the peer and returns at once. Its directory must exist.
func (p Peer) Start(s Setup) (*Process, error) {
	if err := os.Chmod(s.Dir, 0o777); err != nil {
		return nil, err
	}
	argv, err := p.command(s)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", p.Name, err)
	}
	path, err := find(argv[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	r := &Process{Peer: p, Setup: s, exited: make(chan struct{}), output: filepath.Join(s.Dir, "output")}
	out, err := os.Create(r.output)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	r.cmd = exec.Command(path, argv[1:]...)
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = s.Dir, out, out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.Unprivileged {
		// A change from root to another user drops all capabilities (capabilities(7)).
		r.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	r.Started = time.Now()
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { r.cmd.Wait(); close(r.exited) }()
	return r, nil
}

// Configure writes the configuration of a setup anew.
func (p Peer) Configure(s Setup) error {
	_, err := p.command(s)
	return err
}

// find looks for a program in PATH and where Debian has daemons.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.Contains(name, "/") {
		return path, err
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// Wait waits until the peer accepts connections.
func (r *Process) Wait(limit time.Duration) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port))
	for end := time.Now().Add(limit); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.exited:
			return fmt.Errorf("%s has ended: %s", r.Name, r.lastWords())
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not listen after %v: %s", r.Name, limit, r.lastWords())
		}
	}
}

// Alive tells whether the peer's first process runs.
func (r *Process) Alive() bool {
	select {
	case <-r.exited:
		return false
	default:
		return true
	}
}

// lastWords is the end of what the peer printed, or else of what it logged.
func (r *Process) lastWords() string {
	logs, _ := filepath.Glob(filepath.Join(r.Dir, "*.log"))
	for _, path := range append([]string{r.output}, logs...) {
		text, _ := os.ReadFile(path)
		if text = bytes.TrimSpace(text); len(text) > 0 {
			return string(text[max(0, len(text)-300):])
		}
	}
	return "without a word"
}

// Signal sends a signal to the peer's first process.
func (r *Process) Signal(s syscall.Signal) error { return r.cmd.Process.Signal(s) }

// Stop ends the peer and its children, without ceremony: nothing that it would
// do at its end is measured.
func (r *Process) Stop() {
	if r.Alive() {
		for _, pid := range r.pids() {
			unix.Kill(pid, unix.SIGKILL)
		}
		<-r.exited
	}
}

// CPU is what the peer and its children have used so far, those that have ended
// included. The clock counts nanoseconds; /proc's counts hundredths of a second.
func (r *Process) CPU() (time.Duration, error) {
	return cpu(r.pids())
}

func cpu(pids []int) (time.Duration, error) {
	var sum time.Duration
	for i, pid := range pids {
		var ts unix.Timespec
		err := unix.ClockGettime(processClock(pid), &ts)
		switch {
		case err == nil:
			sum += time.Duration(ts.Nano())
		case i == 0 || !errors.Is(err, unix.EINVAL):
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		default: // it has ended since it was listed; its parent's stat has it then
		}
		if ended, err := endedChildren(pid); err == nil {
			sum += ended
		}
	}
	return sum, nil
}

// processClock is the clock of all threads of a process: what
// clock_getcpuclockid(3) returns, CPUCLOCK_SCHED in the kernel's posix-timers.h.
func processClock(pid int) int32 {
	const sched = 2
	return int32(^pid)<<3 | sched
}

// pids returns the process and all its descendants.
func (r *Process) pids() []int {
	children := make(map[int][]int)
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if fields := stat(pid); fields != nil {
			parent, _ := strconv.Atoi(fields[statParent])
			children[parent] = append(children[parent], pid)
		}
	}
	list := []int{r.cmd.Process.Pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// Fields of /proc/PID/stat after the name, from 0; proc_pid_stat(5) counts from
// 1 and has the name as the second.
const (
	statParent       = 4 - 3
	statChildrenUser = 16 - 3
	statChildrenSys  = 17 - 3
)

func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	// The name is in parentheses and may have any character in it.
	end := bytes.LastIndexByte(text, ')')
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= statChildrenSys {
		return nil
	}
	return fields
}

// clockTick is the unit of /proc/PID/stat: USER_HZ, 100 on all of Go's systems.
const clockTick = time.Second / 100

// endedChildren is the CPU time of children that have ended and were waited for.
func endedChildren(pid int) (time.Duration, error) {
	fields := stat(pid)
	if fields == nil {
		return 0, os.ErrNotExist
	}
	user, err := strconv.ParseInt(fields[statChildrenUser], 10, 64)
	if err != nil {
		return 0, err
	}
	sys, err := strconv.ParseInt(fields[statChildrenSys], 10, 64)
	return time.Duration(user+sys) * clockTick, err
}
