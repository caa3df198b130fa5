//go:build linux

package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// proxy is the Sluice that is soaked.
type proxy struct {
	dir      string
	listener netip.AddrPort
	cmd      *exec.Cmd
	exited   chan struct{}
	rotated  int
	reloaded int
	text     []byte // of the configuration at the beginning
}

// Timeouts of the configuration, short enough to be met often.
const (
	handshakeTime = 4 * time.Second
	dialTime      = 3 * time.Second
	idleTime      = 6 * time.Second
)

// closedPort is allowed by the rules, and nobody listens there.
const closedPort = 1

// configure writes a configuration with the default limits.
func configure(dir string, names netip.AddrPort, o *origins) (netip.AddrPort, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	listener := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	rule := func(name, clients, more string) string {
		return fmt.Sprintf(`[[rule]]
name = %q
action = "allow"
clients = [%q]
ports = [%d, %d, %d]
to = ["127.64.0.0/10", "*.good.test", "*.many.test", "*.late.test", "*.long.test", "*.servfail.test",
  "*.missing.test", "*.silent.test", "*.inside.test", "*.closed.test", "*.abandoned.test"]
%s
`, name, clients, closedPort, o.tunnels, o.http, more)
	}
	text := fmt.Sprintf(`[[listener]]
address = %q
[admin]
address = "unix:%s/admin.sock"
[egress]
allow_private = ["127.0.0.0/8", "::1"]
resolver = [%q]
[log]
access = "%[2]s/access.log"
[timeouts]
handshake = %[4]q
dial = %[5]q
idle = %[6]q
`, listener, dir, names, handshakeTime, dialTime, idleTime) +
		rule("slowed", "127.3.0.0/24", "download = \"2MB/s\"\nupload = \"2MB/s\"") + rule("load", "127.0.0.0/8", "")
	return listener, os.WriteFile(filepath.Join(dir, "sluice.toml"), []byte(text), 0o600)
}

// startProxy runs what is configured in dir; its own words go to a file there.
func startProxy(dir, log string, listener netip.AddrPort) (*proxy, error) {
	p := &proxy{dir: dir, listener: listener, exited: make(chan struct{})}
	out, err := os.Create(filepath.Join(dir, log))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(filepath.Join(dir, "sluice"), "serve", "--config", filepath.Join(dir, "sluice.toml"))
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.cmd.Wait(); close(p.exited) }()
	for range 500 {
		c, err := net.Dial("tcp4", listener.String())
		if err == nil {
			return p, c.Close()
		}
		if !p.alive() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	p.kill()
	text, _ := os.ReadFile(out.Name())
	return nil, fmt.Errorf("sluice does not listen:\n%s", text)
}

func (p *proxy) alive() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *proxy) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// rotate moves the access log away and has it opened anew.
func (p *proxy) rotate() error {
	p.rotated++
	log := filepath.Join(p.dir, "access.log")
	if err := os.Rename(log, fmt.Sprintf("%s.%04d", log, p.rotated)); err != nil {
		return err
	}
	return p.cmd.Process.Signal(syscall.SIGUSR1)
}

// reload has a changed configuration read: other rates, which live tunnels get too,
// a listener more or less, or one with an error, which changes nothing.
func (p *proxy) reload() error {
	if p.reloaded == 0 {
		var err error
		if p.text, err = os.ReadFile(p.config()); err != nil {
			return err
		}
	}
	p.reloaded++
	text := string(p.text)
	switch p.reloaded % 4 {
	case 1:
		text = strings.ReplaceAll(text, `"2MB/s"`, `"3MB/s"`)
	case 2:
		text = "[[listener]]\naddress = \"127.0.0.1:0\"\n" + text
	case 3:
		text += "[an error"
	}
	return p.use([]byte(text))
}

// restore has the configuration of the beginning read.
func (p *proxy) restore() error { return p.use(p.text) }

func (p *proxy) config() string { return filepath.Join(p.dir, "sluice.toml") }

// use saves a configuration as an editor does, so that never half of it is there, and
// has it read.
func (p *proxy) use(text []byte) error {
	saved := p.config() + ".new"
	if err := os.WriteFile(saved, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(saved, p.config()); err != nil {
		return err
	}
	return p.cmd.Process.Signal(syscall.SIGHUP)
}

// starve leaves the process some descriptors more than it has, and returns what
// gives it back the rest.
func (p *proxy) starve(spare int) (restore func() error, err error) {
	used, err := p.descriptors()
	if err != nil {
		return nil, err
	}
	n := 0
	for _, count := range used {
		n += count
	}
	var before unix.Rlimit
	pid := p.cmd.Process.Pid
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	low := unix.Rlimit{Cur: uint64(n + spare), Max: before.Max}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &low, nil); err != nil {
		return nil, os.NewSyscallError("prlimit", err)
	}
	return func() error {
		return os.NewSyscallError("prlimit", unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil))
	}, nil
}

// descriptors counts what the process has open, by what it is.
func (p *proxy) descriptors() (map[string]int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // closed since
		}
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(to, "/") {
			to = "file"
		}
		name, _, _ := strings.Cut(to, ":[")
		found[strings.TrimPrefix(name, "anon_inode:")]++
	}
	return found, nil
}

// status returns a field of /proc/PID/status.
func (p *proxy) status(field string) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return "unknown"
}

var (
	goroutineHead = regexp.MustCompile(`(?m)^goroutine (\d+) `)
	createdBy     = regexp.MustCompile(`(?m)^created by (\S+)`)
)

// quit ends the process by SIGQUIT, for which the Go runtime prints all
// goroutines, and counts these by who started them.
func (p *proxy) quit(log string) (map[string]int, error) {
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return nil, err
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		return nil, errors.New("sluice does not end by SIGQUIT")
	}
	text, err := os.ReadFile(filepath.Join(p.dir, log))
	if err != nil {
		return nil, err
	}
	_, dump, ok := strings.Cut(string(text), "SIGQUIT: quit")
	if !ok {
		return nil, errors.New("sluice ended otherwise than by SIGQUIT")
	}
	return goroutines(dump), nil
}

// ownFrame finds the innermost call that is not of the runtime.
var ownFrame = regexp.MustCompile(`(?m)^sluice/.*$`)

// goroutines counts the goroutines of a dump by who started them.
func goroutines(dump string) map[string]int {
	found := map[string]int{}
	for block := range strings.SplitSeq(dump, "\n\n") {
		m := goroutineHead.FindStringSubmatch(block)
		if m == nil || m[1] == "0" { // 0 is the scheduler's
			continue
		}
		by := "the program's start"
		if c := createdBy.FindStringSubmatch(block); c != nil {
			by = c[1]
		}
		if strings.HasPrefix(by, "runtime.") {
			continue // collecting garbage, which a process just started has not
		}
		if top := ownFrame.FindString(block); strings.Contains(top, "server.(*crew).work(") {
			continue // waits for a connection, for some seconds, and has nothing
		}
		found[by]++
	}
	return found
}

// difference tells what is more or less in b than in a, in words.
func difference(a, b map[string]int) []string {
	var list []string
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if a[name] != b[name] {
			list = append(list, fmt.Sprintf("%s: %d, and %d at the beginning", name, b[name], a[name]))
		}
	}
	return list
}
