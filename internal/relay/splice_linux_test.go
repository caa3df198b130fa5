package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// copied returns the bytes that this process has moved through read and write
// calls; splice(2) counts in neither.
func copied(t testing.TB) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, line := range strings.Split(string(text), "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && (key == "rchar" || key == "wchar") {
			n, _ := strconv.ParseInt(value, 10, 64)
			sum += n
		}
	}
	return sum
}

// descriptors counts this process's sockets and pipes.
func descriptors(t testing.TB) (sockets, pipes int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		switch what, _ := os.Readlink(link); {
		case strings.HasPrefix(what, "socket:"):
			sockets++
		case strings.HasPrefix(what, "pipe:"):
			pipes++
		}
	}
	return sockets, pipes
}

func TestTunnelsSpliceAndHoldNoPipeWhileIdle(t *testing.T) {
	inBothModes(t, tunnelsSpliceAndHoldNoPipeWhileIdle)
}

func tunnelsSpliceAndHoldNoPipeWhileIdle(t *testing.T, p *Poller) {
	for name, o := range map[string]Options{
		"plain":                      {},
		"limits, counters and timer": {Idle: time.Minute, Up: bucket(t, 10<<30, 1<<20), Down: bucket(t, 10<<30, 1<<20)},
	} {
		o.Poller = p
		t.Run(name, func(t *testing.T) { spliceAndIdle(t, o) })
	}
}

func spliceAndIdle(t *testing.T, o Options) {
	const tunnels = 4
	socketsBefore, pipesBefore := settle(t)
	var tuns []*Tunnel
	var ends []*endProcess
	results := make(chan Result, tunnels)
	before := copied(t)
	for range tunnels {
		client, origin, end := startEnds(t)
		ends = append(ends, end)
		tun := new(Tunnel)
		tun.Start(client, origin, o, func(r Result) { results <- r })
		tuns = append(tuns, tun)
	}
	pipesOfTest := 2 * tunnels // stdin and stdout of each child
	for _, e := range ends {
		e.wait(t, "moved")
	}
	total := int64(2 * endBytes * tunnels)
	if got := copied(t) - before; got > total/20 {
		t.Errorf("%d of %d bytes went through user space", got, 2*total)
	}
	sockets, pipes := settle(t)
	if sockets-socketsBefore != 2*tunnels {
		t.Errorf("%d idle tunnels hold %d sockets", tunnels, sockets-socketsBefore)
	}
	if pipes-pipesBefore-pipesOfTest > 0 {
		t.Errorf("%d idle tunnels hold %d ends of pipes", tunnels, pipes-pipesBefore-pipesOfTest)
	}
	for i, e := range ends {
		if up, down := tuns[i].Bytes(); up != endBytes || down != endBytes {
			t.Errorf("tunnel %d counted %d up, %d down", i, up, down)
		}
		e.stop()
		<-results
	}
}

// settle lets the standard library's pool of pipes run empty, which takes two
// collections, and loops give theirs back, and counts.
func settle(t testing.TB) (sockets, pipes int) {
	for range 30 {
		runtime.GC()
		time.Sleep(2 * lingerTime / 30)
	}
	return descriptors(t)
}

type endProcess struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startEnds(t testing.TB) (client, origin *net.TCPConn, e *endProcess) {
	t.Helper()
	e = &endProcess{cmd: exec.Command(os.Args[0])}
	e.cmd.Env = append(os.Environ(), roleEnv+"=ends")
	e.stdin, _ = e.cmd.StdinPipe()
	out, _ := e.cmd.StdoutPipe()
	e.out = bufio.NewReader(out)
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.cmd.Process.Kill(); e.cmd.Wait() })
	var listeners [2]*net.TCPListener
	for i := range listeners {
		ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		listeners[i] = ln
		fmt.Fprintln(e.stdin, ln.Addr())
	}
	var conns [2]*net.TCPConn
	for i, ln := range listeners { // the child dials once it has read both addresses
		var err error
		if conns[i], err = ln.AcceptTCP(); err != nil {
			t.Fatal(err)
		}
	}
	return conns[0], conns[1], e
}

func (e *endProcess) wait(t testing.TB, want string) {
	t.Helper()
	line, err := e.out.ReadString('\n')
	if strings.TrimSpace(line) != want {
		t.Fatalf("ends said %q, %v", line, err)
	}
}

func (e *endProcess) stop() {
	fmt.Fprint(e.stdin, "!")
	e.cmd.Wait()
}

// TestAsAnUnprivilegedUser runs the test above as nobody and without
// capabilities, which is how a container runs: the kernel then bounds the pages
// of pipes that one user has.
func TestAsAnUnprivilegedUser(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("left out: splicing as another user, for want of root")
		}
		t.Skip("left out: splicing as another user, for want of root")
	}
	dir, err := os.MkdirTemp("/tmp", "relay-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	exe := filepath.Join(dir, "relay.test")
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestTunnelsSpliceAndHoldNoPipeWhileIdle$/(goroutines|own)/limits", "-test.v")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	// Of either way to relay, one: a pattern that fits none would pass as well.
	if ran := strings.Count(string(out), "--- PASS: TestTunnelsSpliceAndHoldNoPipeWhileIdle/by_") - 2; err != nil || ran != 2 {
		t.Errorf("as nobody: %v, and %d of 2 ran\n%s", err, ran, out)
	}
}
