package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/gate"
)

// barred is base with nobody let in.
var barred = strings.Replace(base, `action = "allow"`, `action = "deny"`, 1)

func TestAReloadHoldsForWhatComesAndLeavesWhatIsLive(t *testing.T) {
	r := run(t, base)
	to := origin(t)
	before, _ := r.connect(to)
	hello(t, before)
	r.reload(barred)
	if _, status := r.connect(to); !strings.HasPrefix(status, "HTTP/1.1 403 sluice: rule lab denies") {
		t.Errorf("after the reload: %s", status)
	}
	waitFor(t, func() bool { return r.gate.Live().Len() == 1 }) // the refused one has ended
	if _, err := io.WriteString(before, "still here"); err != nil {
		t.Errorf("the live tunnel: %v", err)
	}
	r.reload(base)
	if _, status := r.connect(to); !strings.HasPrefix(status, "HTTP/1.1 200") {
		t.Errorf("after the second reload: %s", status)
	}
	for _, want := range []string{`"msg":"rule","rule":"lab","action":"deny"`, `"msg":"configuration reloaded","file":"test.toml","rules":1,"listeners_opened":0,"listeners_closed":0,"tunnels_ended":0`} {
		r.logs(want)
	}
}

func TestAReloadEndsWhatTheNewRulesRefuseIfAsked(t *testing.T) {
	r := run(t, base)
	c, _ := r.connect(origin(t))
	hello(t, c)
	r.reload(barred + "[server]\nrecheck = true\n")
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the client read %v, not a reset", err)
	}
	waitFor(t, func() bool { return len(r.records()) == 1 })
	rec := r.records()[0]
	if rec["closed_by"] != "sluice" || rec["closed_how"] != "recheck" || !strings.HasPrefix(fmt.Sprint(rec["reason"]), "the rules have changed: rule lab denies") {
		t.Errorf("record %v", rec)
	}
}

// Whatever is wrong with a new configuration, the old one stays in force, and the
// reason is told in the answer, in the log and by a metric.
func TestAReloadThatCannotBeDoneChangesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.4:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := free.Addr().String()
	free.Close()
	more := func(address string) string {
		return fmt.Sprintf("[[listener]]\naddress = \""+refused+"\"\n[[listener]]\naddress = %q\n", address) + barred
	}
	for name, c := range map[string]struct{ file, says string }{
		"syntax":                {"[[rule", "test.toml:1:"},
		"an unknown key":        {barred + "[log]\nlevle = \"debug\"\n", "level"},
		"an address in use":     {more(taken.Addr().String()), "address already in use"},
		"an address of others":  {more("192.0.2.1:3128"), "cannot assign requested address"},
		"a log without a place": {barred + "[log]\naccess = \"/does/not/exist/access.log\"\n", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, base)
			to := origin(t)
			addrs := fmt.Sprint(r.Addrs())
			r.file.Store(c.file)
			if _, err := r.Reload(context.Background()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("the answer is %v, want %q", err, c.says)
			}
			if c, err := net.Dial("tcp", refused); err == nil {
				c.Close()
				t.Error("a listener of the refused configuration is open")
			}
			if got := fmt.Sprint(r.Addrs()); got != addrs {
				t.Errorf("listening on %s, before on %s", got, addrs)
			}
			if _, status := r.connect(to); !strings.HasPrefix(status, "HTTP/1.1 200") {
				t.Errorf("the old rules do not hold: %s", status)
			}
			r.logs(`"level":"error"`)
			r.logs(c.says)
			if m := get(t, r, "/metrics"); !strings.Contains(m, "sluice_config_last_reload_successful 0") || !strings.Contains(m, `sluice_config_reloads_total{result="failure"} 1`) {
				t.Errorf("the metrics do not tell of it:\n%s", m)
			}
			r.reload(base) // which is not held up by what went before
		})
	}
}

// logs waits until the process's log has a text.
func (r *running) logs(text string) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(r.err.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("the log does not say %s:\n%s", text, r.err.String())
		}
	}
}

func TestAFaultInReadingTheConfigurationEndsNothing(t *testing.T) {
	r := run(t, base)
	r.o.Load = func() (*config.Config, error) { panic("a fault") }
	if _, err := r.Reload(context.Background()); err == nil || !strings.Contains(err.Error(), "a fault") {
		t.Errorf("the answer is %v", err)
	}
	r.o.Load = func() (*config.Config, error) { return nil, nil } // which is one of the code behind it
	if _, err := r.Reload(context.Background()); err == nil {
		t.Error("a configuration that is none was put in force")
	}
	hello(t, dial(t, r.addr(), origin(t)))
}

// A file may be a pipe that nobody writes to, or on a disk that hangs. The service
// manager must not end the process for that, and nobody has to wait for it.
func TestAReloadThatHangsHoldsUpNothingElse(t *testing.T) {
	r := run(t, base)
	begun, goOn := make(chan struct{}), make(chan struct{})
	read := r.o.Load
	r.o.Load = func() (*config.Config, error) { close(begun); <-goOn; return read() }
	first := make(chan error)
	go func() { _, err := r.Reload(context.Background()); first <- err }()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Reload(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one that nobody waits for any more: %v", err)
	}
	r.ReopenLogs()
	if err := r.healthy(t.Context()); err != nil {
		t.Error(err)
	}
	hello(t, dial(t, r.addr(), origin(t)))
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// What a reload holds while it changes everything over may take seconds where rules and
// tunnels are many.
func TestAReloadThatTakesItsTimeIsHealthy(t *testing.T) {
	r := run(t, base)
	r.mu.Lock()
	defer r.mu.Unlock()
	sound := make(chan error, 1)
	go func() { sound <- r.healthy(context.Background()) }()
	select {
	case err := <-sound:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("no answer")
	}
}

func TestTwoReloadsAtOnceComeOneAfterTheOther(t *testing.T) {
	r := run(t, base)
	var at, most atomic.Int32
	read := r.o.Load
	r.o.Load = func() (*config.Config, error) {
		most.Store(max(most.Load(), at.Add(1)))
		defer at.Add(-1)
		time.Sleep(20 * time.Millisecond)
		return read()
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := r.Reload(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() != 1 {
		t.Errorf("%d were under way at once", most.Load())
	}
}

func TestAReloadInADrainIsRefused(t *testing.T) {
	r := run(t, base+"[server]\ndrain = \"20s\"\n")
	c, _ := r.connect(origin(t))
	hello(t, c)
	begun, goOn := make(chan struct{}), make(chan struct{})
	read := r.o.Load
	r.o.Load = func() (*config.Config, error) { close(begun); <-goOn; return read() }
	early := make(chan error)
	go func() { _, err := r.Reload(context.Background()); early <- err }()
	<-begun
	r.stop()
	waitFor(t, func() bool { return strings.Contains(r.err.String(), `"msg":"draining"`) })
	close(goOn)
	if err := <-early; !errors.Is(err, ErrEnding) {
		t.Errorf("one that began before the drain: %v", err)
	}
	if _, err := r.Reload(context.Background()); !errors.Is(err, ErrEnding) {
		t.Errorf("one in the drain: %v", err)
	}
	resp, err := http.Post("http://"+r.AdminAddr().String()+"/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusConflict || !strings.Contains(string(b), "error") {
		t.Errorf("%s %s", resp.Status, b)
	}
}

func TestTheLogMovesWithAReload(t *testing.T) {
	r := run(t, base)
	to := origin(t)
	c, _ := r.connect(to)
	c.Close()
	waitFor(t, func() bool { return len(r.records()) == 1 })
	path := filepath.Join(t.TempDir(), "access.log")
	r.reload(base + fmt.Sprintf("[log]\naccess = %q\nformat = \"squid\"\n", path))
	c, _ = r.connect(to)
	c.Close()
	waitFor(t, func() bool {
		b, _ := os.ReadFile(path)
		return strings.Contains(string(b), "TCP_TUNNEL/200")
	})
	if n := len(r.records()); n != 1 {
		t.Errorf("%d records are on stdout", n)
	}
}

// A tunnel may live for weeks. The rules of its first day, which may be a million,
// must not.
func TestALongTunnelKeepsNoOldRules(t *testing.T) {
	r := run(t, base)
	c, _ := r.connect(origin(t))
	hello(t, c)
	gone := make(chan struct{})
	func() {
		p := r.gate.Policy()
		runtime.AddCleanup(p, func(c chan struct{}) { close(c) }, gone)
		runtime.KeepAlive(gate.Policy{})
	}()
	r.reload(base)
	for deadline := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the old policy is still in memory")
		}
	}
}
