//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopGrace is how long a daemon has between SIGTERM and SIGKILL.
const stopGrace = 15 * time.Second

// Daemon is a program that runs on a host until it is stopped.
type Daemon struct {
	name   string
	netns  string // the path of its host's network namespace
	cmd    *exec.Cmd
	output *Transcript
	ended  chan struct{} // closed once the process is waited for
}

// Start starts a program on the host. The test's end stops it; if the test has
// failed by then, what the program printed is shown.
func (h *Host) Start(t testing.TB, name string, args ...string) *Daemon {
	t.Helper()
	return h.StartCommand(t, h.Command(context.Background(), name, args...))
}

// StartCommand is Start for a command of [Host.Command] that the caller has
// completed, for instance by a variable of its environment. Streams that the
// caller has set get a copy of the output.
func (h *Host) StartCommand(t testing.TB, cmd *exec.Cmd) *Daemon {
	t.Helper()
	d := &Daemon{name: h.name + ": " + programOf(cmd), netns: filepath.Join(netnsDir, h.netns), cmd: cmd, output: new(Transcript), ended: make(chan struct{})}
	cmd.Stdout = both(d.output, cmd.Stdout)
	cmd.Stderr = both(d.output, cmd.Stderr)
	if err := cmd.Start(); err != nil {
		t.Fatalf("lab: %s: %v", d.name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.Stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", d.name, d.output.tail(200))
		}
	})
	return d
}

// programOf is the name of the program behind the wrappers of Host.Command.
func programOf(cmd *exec.Cmd) string {
	binds := slices.Index(cmd.Args, enter) + 1
	return filepath.Base(cmd.Args[binds+slices.Index(cmd.Args[binds:], "--")+1])
}

func both(kept, given io.Writer) io.Writer {
	if given == nil {
		return kept
	}
	return io.MultiWriter(kept, given)
}

// Pid is the number of the program's process, which leads its process group.
func (d *Daemon) Pid() int { return d.cmd.Process.Pid }

// Output is what the program has printed so far, on both streams.
func (d *Daemon) Output() string { return d.output.String() }

// Signal sends a signal to the program itself.
func (d *Daemon) Signal(s syscall.Signal) error { return d.cmd.Process.Signal(s) }

// Ended is closed when the program has ended.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Stop ends the program with SIGTERM, and its whole process group with SIGKILL
// where that is not enough. It waits for the end and may be called twice.
func (d *Daemon) Stop() {
	_ = d.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(stopGrace):
	}
	_ = syscall.Kill(-d.Pid(), syscall.SIGKILL)
	<-d.ended
}

// WaitOutput waits until the program has printed text.
func (d *Daemon) WaitOutput(t testing.TB, text string, patience time.Duration) {
	t.Helper()
	d.wait(t, patience, fmt.Sprintf("prints %q", text), func() bool {
		return strings.Contains(d.Output(), text)
	})
}

// WaitListen waits until the program's host listens on these TCP ports. It
// looks into /proc and connects nowhere, so no accept of it is counted.
func (d *Daemon) WaitListen(t testing.TB, ports ...uint16) {
	t.Helper()
	d.wait(t, 30*time.Second, fmt.Sprintf("listens on %v", ports), func() bool {
		// Until it has entered its host's namespace, what listens is somebody else.
		if !sameFile(d.netns, fmt.Sprintf("/proc/%d/ns/net", d.Pid())) {
			return false
		}
		open := listening(d.Pid())
		return !slices.ContainsFunc(ports, func(p uint16) bool { return !open[p] })
	})
}

// wait polls until done, fails the test when the program ends before that.
func (d *Daemon) wait(t testing.TB, patience time.Duration, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); {
		select {
		case <-d.ended:
			if !done() { // it may have ended just after
				t.Fatalf("%s ended (%v) before it %s:\n%s", d.name, d.cmd.ProcessState, what, d.output.tail(200))
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has run for %v, and still never %s:\n%s", d.name, patience, what, d.output.tail(200))
		}
	}
}

// sameFile says whether two paths lead to one file.
func sameFile(a, b string) bool {
	one, err := os.Stat(a)
	if err != nil {
		return false
	}
	other, err := os.Stat(b)
	return err == nil && os.SameFile(one, other)
}

// listening is the set of TCP ports that sockets listen on in the network
// namespace of a process.
func listening(pid int) map[uint16]bool {
	const stateListen = "0A" // TCP_LISTEN of the kernel's net/tcp_states.h
	open := make(map[uint16]bool)
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			f := strings.Fields(string(line))
			if len(f) < 4 || f[3] != stateListen {
				continue
			}
			_, port, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(port, 16, 16); err == nil {
				open[uint16(n)] = true
			}
		}
	}
	return open
}

// lineWriter hands each complete line of what is written to a function.
type lineWriter struct {
	line func(string)
	rest bytes.Buffer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest.Write(p)
	for {
		line, err := w.rest.ReadString('\n')
		if errors.Is(err, io.EOF) {
			w.rest.WriteString(line)
			return len(p), nil
		}
		w.line(strings.TrimSuffix(line, "\n"))
	}
}
