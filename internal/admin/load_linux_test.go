package admin_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/lab"

	"golang.org/x/sys/unix"
)

// With thousands of tunnels that all move each second a watcher is told of each. What
// that costs is logged: the processor time of the proxy, which is a process of its
// own here, without and with one who watches.
func TestThousandsOfMovingTunnelsAreWatched(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: it takes half a minute")
	}
	n := tunnelsThatFit(t)
	p := command(t)
	to := echo(t)
	tunnels := make([]net.Conn, n)
	for i := range tunnels {
		tunnels[i] = p.connect(to)
		tunnels[i].SetDeadline(time.Time{})
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { keepMoving(tunnels, stop) })

	w := p.watch()
	if got := len(list(w.event("start"), "tunnels")); got != n {
		t.Errorf("a start tells %d of %d tunnels", got, n)
	}
	// Each is written to once a second, and some of that falls between two ticks.
	w.until("not all move", func(o object) bool {
		return o["count"] == float64(n) && len(o["moved"].([]any)) > n*9/10
	})
	w.conn.Close()
	alone := p.spends(6 * time.Second)
	w = p.watch()
	w.event("start")
	wg.Go(func() { io.Copy(io.Discard, w.read) })
	watched := p.spends(6 * time.Second)
	w.conn.Close()
	t.Logf("%d tunnels, all moving: the proxy takes %.1f %% of a core, and %.1f %% while it is watched", n, alone, watched)
}

// tunnelsThatFit returns 5,000, or what the descriptors allow: each tunnel has two here
// and two in the proxy.
func tunnelsThatFit(t *testing.T) int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	switch {
	case l.Cur >= 14_000:
		return 5000
	case l.Cur < 4_000:
		lab.LeaveOut(t, "thousands of tunnels, for want of descriptors")
	}
	return 1000
}

// process is a proxy that runs by its command.
type process struct {
	proxy
	id int
}

// command builds the command and runs it until the test ends.
func command(t *testing.T) *process {
	t.Helper()
	dir := t.TempDir()
	binary, file := filepath.Join(dir, "sluice"), filepath.Join(dir, "sluice.toml")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "./cmd/sluice")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := &process{proxy: proxy{t: t, addrs: []string{free(t)}, admin: free(t)}}
	text := strings.Replace(base, "127.0.0.1:0", p.addrs[0], 1) + "tunnels = 10000\nhandshakes = 1000\n[log]\naccess = \"/dev/null\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(binary, "serve", "--config", file, "--admin", p.admin)
	var said bytes.Buffer
	run.Stderr = &said
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run.Process.Kill()
		run.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	p.id = run.Process.Pid
	eventually(t, "it does not come up", func() bool {
		resp, err := http.Get("http://" + p.admin + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return p
}

// free returns an address that nobody listens on.
func free(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// keepMoving sends a byte through each tunnel, and back, once a second.
func keepMoving(tunnels []net.Conn, stop chan struct{}) {
	const portion = 50
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, c := range tunnels {
		wg.Go(func() {
			for one := make([]byte, 16); ; {
				if _, err := c.Read(one); err != nil {
					return
				}
			}
		})
	}
	defer func() {
		for _, c := range tunnels {
			c.Close()
		}
	}()
	tick := time.NewTicker(time.Second * portion / time.Duration(len(tunnels)))
	defer tick.Stop()
	for i := 0; ; i = (i + portion) % len(tunnels) {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		for _, c := range tunnels[i : i+portion] {
			c.Write([]byte("x"))
		}
	}
}

// spends returns the share of a core, in percent, that the process takes for a time.
func (p *process) spends(over time.Duration) float64 {
	p.t.Helper()
	before, began := p.cpu(), time.Now()
	time.Sleep(over)
	return 100 * float64(p.cpu()-before) / float64(time.Since(began))
}

// cpu returns the processor time of the process: fields 14 and 15 of stat, in ticks of
// 10 ms (proc_pid_stat(5)); the name in front of them ends in the last bracket.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.id))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
