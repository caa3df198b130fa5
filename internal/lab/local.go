//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// What the process's own log says at the start, as JSON or for the console.
var (
	saysListening = regexp.MustCompile(`\blistening\b.*"address": ?"([^"]+)"`)
	saysReady     = regexp.MustCompile(`\bready\b.*"max_tunnels"`)
)

// Local is a `sluice serve` on this machine's loopback, for tests of what it leaves
// behind rather than of whom it lets reach what. It needs no rights.
type Local struct {
	cmd   *exec.Cmd
	addrs []netip.AddrPort
	ended bool
}

// StartLocal runs `sluice serve` with a configuration, whose listeners have port 0
// of a loopback address, and waits until it is ready. It ends with the test.
func StartLocal(t testing.TB, configuration string) *Local {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Local{cmd: exec.Command(Sluice(t), "serve", "--config", path, "--admin", "")}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(t) })
	lines := bufio.NewScanner(stderr)
	var said bytes.Buffer
	for lines.Scan() {
		said.Write(lines.Bytes())
		said.WriteByte('\n')
		if m := saysListening.FindStringSubmatch(lines.Text()); m != nil {
			p.addrs = append(p.addrs, netip.MustParseAddrPort(m[1]))
		}
		if saysReady.MatchString(lines.Text()) {
			go func() { // who writes must not find that nobody reads
				for lines.Scan() {
				}
			}()
			return p
		}
	}
	t.Fatalf("sluice serve has ended:\n%s", said.Bytes())
	return nil
}

// Addrs are those of the listeners, in the order of the configuration.
func (p *Local) Addrs() []netip.AddrPort { return p.addrs }

// Pid is the process's.
func (p *Local) Pid() int { return p.cmd.Process.Pid }

// Stop ends it as a service manager does, and waits until all its records are
// written.
func (p *Local) Stop(t testing.TB) {
	t.Helper()
	if p.ended {
		return
	}
	p.ended = true
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { p.cmd.Process.Kill() })
	defer timer.Stop()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("sluice serve ends with %v", err)
	}
}
