package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/lab"
)

// terminal is a tmux server of the test's own, with one window.
type terminal struct {
	t      *testing.T
	socket string
}

// patience is how long what must come on the screen may take.
const patience = 30 * time.Second

// newTerminal runs a shell command in a terminal of this size; variables are
// "NAME=value".
func newTerminal(t *testing.T, columns, lines int, command string, variables ...string) *terminal {
	t.Helper()
	lab.Need(t, lab.Needs{Programs: []string{"tmux"}, Part: "sluice top on a terminal"})
	dir, err := os.MkdirTemp("", "top") // short: a socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	tm := &terminal{t, filepath.Join(dir, "tmux")}
	cmd := tm.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines), command)
	// The terminal that the tests were started on is none of theirs.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "TMUX" && name != "NO_COLOR" && !strings.HasPrefix(name, "LC_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, "LC_ALL=C.UTF-8", "SHELL=/bin/sh"), variables...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the screen:\n%s", tm.screen())
		}
		tm.tmux("kill-server").Run()
		os.RemoveAll(dir)
	})
	return tm
}

func (tm *terminal) tmux(args ...string) *exec.Cmd {
	return exec.Command("tmux", append([]string{"-S", tm.socket}, args...)...)
}

// keys types; names are tmux's, such as Enter.
func (tm *terminal) keys(keys ...string) {
	tm.t.Helper()
	if out, err := tm.tmux(append([]string{"send-keys"}, keys...)...).CombinedOutput(); err != nil {
		tm.t.Fatalf("tmux: %v: %s", err, out)
	}
}

func (tm *terminal) resize(columns, lines int) {
	tm.t.Helper()
	if out, err := tm.tmux("resize-window", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(lines)).CombinedOutput(); err != nil {
		tm.t.Fatalf("tmux: %v: %s", err, out)
	}
}

// screen is the text that stands on the screen; with escape sequences for what
// the flag -e is given.
func (tm *terminal) screen(flags ...string) string {
	out, _ := tm.tmux(append([]string{"capture-pane", "-p"}, flags...)...).Output()
	return string(out)
}

// until waits for a screen.
func (tm *terminal) until(what string, is func(screen string) bool) {
	tm.t.Helper()
	for deadline := time.Now().Add(patience); !is(tm.screen()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tm.t.Fatalf("never seen: %s", what)
		}
	}
}

// shows waits for a screen on which a regular expression matches.
func (tm *terminal) shows(expression string) {
	tm.t.Helper()
	tm.until(expression, regexp.MustCompile(expression).MatchString)
}

// lacks waits for a screen on which a text is not.
func (tm *terminal) lacks(text string) {
	tm.t.Helper()
	tm.until("a screen without "+text, func(s string) bool {
		return strings.Contains(s, "sluice") && !strings.Contains(s, text)
	})
}

// watched is a proxy that lets this machine reach itself.
type watched struct {
	*lab.Started
	t     *testing.T
	proxy string // the address of its listener
	flags []string
}

func startWatched(t *testing.T, dir string) *watched {
	t.Helper()
	file := filepath.Join(dir, "sluice.toml")
	const text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[egress]\nallow_private = [\"127.0.0.1\"]\n" +
		"[[rule]]\nname = \"here\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\nto = [\"127.0.0.1\"]\nports = [\"1-65535\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, flags: []string{"--config", file, "--admin", "unix:" + filepath.Join(dir, "admin.sock")}}
	w.Started = startServe(t, w.flags...)
	w.proxy = w.Listens()
	w.Says(`"ready"`)
	go io.Copy(io.Discard, w.Stdout) // records
	return w
}

// top is the command that watches it.
func (w *watched) top() string { return "sluice top " + strings.Join(w.flags[2:], " ") }

// connect asks for a tunnel and returns it with the status of the answer.
func (w *watched) connect(to string) (net.Conn, int) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.proxy)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * patience))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
	if err != nil {
		w.t.Fatal(err)
	}
	return c, resp.StatusCode
}

// origin listens; what it accepts it sends so many bytes each tenth of a second.
func origin(t *testing.T, bytes int) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	serve := func(c net.Conn) {
		go func() {
			io.Copy(io.Discard, c)
			c.Close()
		}()
		for {
			if _, err := c.Write(make([]byte, bytes)); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // a rate, and none that the test is about
		}
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return ln.Addr().String()
}

// tunnelTo opens a tunnel and reads what comes until it ends, which closes done.
func (w *watched) tunnelTo(to string) (c net.Conn, done chan struct{}) {
	w.t.Helper()
	c, status := w.connect(to)
	if status != http.StatusOK {
		w.t.Fatalf("status %d", status)
	}
	done = make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, c)
	}()
	return c, done
}

func TestTopShowsWhatPassesAndWhatDoesNot(t *testing.T) {
	dir := t.TempDir()
	w := startWatched(t, dir)
	busy, idle := origin(t, 10_000), origin(t, 0)
	_, ended := w.tunnelTo(busy)
	last, stays := w.tunnelTo(idle)
	if _, status := w.connect("192.0.2.1:443"); status != http.StatusForbidden {
		t.Fatalf("status %d", status)
	}
	tm := newTerminal(t, 120, 30, w.top()+`; echo ended with $?; exec cat`)

	// The busiest comes first, with its rate.
	tm.shows(`(?m)^>127\.0\.0\.1 +` + busy + ` .*connect .* \d[\d.]*kB +0B$`)
	tm.shows(`(?m)^ 127\.0\.0\.1 +` + idle + ` .* 0B +0B$`)
	tm.shows(`refused 1 \(rule_denied 1\)`)
	tm.shows(`tunnels 2/\d+`)

	// Sorted by destination, either way.
	low, high := min(busy, idle), max(busy, idle)
	tm.keys(">", ">", ">")
	tm.shows(`(?s)by destination ▲.*` + low + `.*` + high)
	tm.keys("o")
	tm.shows(`(?s)by destination ▼.*` + high + `.*` + low)

	// Filtered, while it is typed and after.
	_, port, _ := net.SplitHostPort(idle)
	tm.keys("/", port)
	tm.shows(`(?m)^/` + port + `_$`)
	tm.shows(`tunnels 1 of 2`)
	tm.lacks(busy)
	tm.keys("Enter")
	tm.shows(`(?m)^\? help`)
	tm.keys("Escape")
	tm.shows(busy)

	// A resize, to a narrow terminal and back.
	tm.resize(40, 15)
	tm.shows(`(?m)^.{28,39}DOWN/S$`)
	tm.resize(120, 30)
	tm.shows(`(?m)PROTO .*UP/S$`)

	// All about one, and its end.
	_, port, _ = net.SplitHostPort(busy)
	tm.keys("/", port, "Enter", "Enter")
	tm.shows(`(?m)^address +` + busy + `$`)
	tm.shows(`(?m)^rule +here$`)
	tm.keys("x")
	tm.shows(`kill\? y or n: 127\.0\.0\.1 to ` + busy)
	tm.keys("n")
	tm.shows(`(?m)^not killed`)
	tm.keys("x", "y")
	tm.shows(`(?m)^killed 127\.0\.0\.1 to ` + busy)
	tm.shows(`this tunnel has ended`)
	<-ended
	tm.keys("Escape")
	tm.shows(`CLIENT .*DESTINATION`)
	tm.keys("Escape") // two at once are another key
	tm.shows(idle)
	tm.lacks(busy)
	select {
	case <-stays:
		t.Error("the other tunnel was killed as well")
	default:
	}

	// A refusal, and why.
	tm.keys("r")
	tm.shows(`(?m)^>\S+ 127\.0\.0\.1 +192\.0\.2\.1:443 +rule_denied`)
	tm.keys("Enter")
	tm.shows(`what the rules say now\n *rule here +allow no +\S`)
	tm.shows(`denied: no rule lets 127\.0\.0\.1 reach 192\.0\.2\.1:443`)
	tm.keys("c")
	tm.shows(`(?m)^>127\.0\.0\.1 +1 `)
	tm.keys("d")
	tm.shows(`(?m)^>127\.0\.0\.1 +1 `)
	tm.keys("?")
	tm.shows(`draw the screen anew`)
	tm.keys("?", "t")
	tm.shows(idle)

	// Text that is pasted by mistake is no command.
	if out, err := tm.tmux("set-buffer", "xyq", ";", "paste-buffer", "-p").CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	tm.keys("?")
	tm.shows(`draw the screen anew`)
	tm.lacks("killed")
	tm.keys("?")

	// The proxy is restarted.
	w.Process.Signal(syscall.SIGTERM)
	tm.shows(`draining`)
	last.Close()
	if err := w.Wait(); err != nil {
		t.Error(err)
	}
	tm.shows(`no connection since \d\d:\d\d:\d\d, trying again`)
	again := startWatched(t, dir)
	other := origin(t, 0)
	_, cut := again.tunnelTo(other)
	tm.shows(other)
	tm.lacks("no connection")
	tm.lacks(idle)

	// All tunnels of a client are killed.
	tm.keys("c")
	tm.shows(`(?m)^>127\.0\.0\.1 +1 `)
	tm.keys("x")
	tm.shows(`kill\? y or n: all tunnels of 127\.0\.0\.1`)
	tm.keys("y")
	tm.shows(`killed 1: all tunnels of 127\.0\.0\.1`)
	<-cut

	// The terminal is given back as it was.
	tm.keys("q")
	tm.shows(`(?m)^ended with 0$`)
	tm.keys("echoed")
	tm.shows(`(?m)^echoed$`)
}

func TestASignalGivesTheTerminalBack(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	tm := newTerminal(t, 80, 10, `sh -c 'echo $$ >`+pid+`; exec sluice top --admin unix:/nowhere'; echo ended with $?; exec cat`)
	tm.shows(`no connection, trying again: dial unix /nowhere`)
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tm.shows(`(?m)^ended with 0$`)
	tm.keys("echoed")
	tm.shows(`(?m)^echoed$`)
}

func TestTopHasNoColourWhereNoneIsWanted(t *testing.T) {
	w := startWatched(t, t.TempDir())
	colour := regexp.MustCompile(`\x1b\[(\d+;)*3[0-8][;m]`)
	for _, tt := range []struct {
		variable string
		colour   bool
	}{
		{"NO_COLOR=", true}, // it says: not empty
		{"NO_COLOR=1", false},
	} {
		tm := newTerminal(t, 80, 10, w.top(), tt.variable)
		tm.shows(`tunnels 0/`)
		tm.shows(`/s +▁`)
		if got := tm.screen("-e"); colour.MatchString(got) != tt.colour {
			t.Errorf("%s: colour is %v:\n%q", tt.variable, !tt.colour, got)
		}
		tm.keys("C-c")
	}
}

func TestTopSaysWhatIsWrongWithATerminal(t *testing.T) {
	for variables, want := range map[string]string{
		"TERM=dumb": `this terminal cannot place text on the screen .*top --once`,
		"TERM=":     `TERM is not set.*top --once`,
	} {
		tm := newTerminal(t, 200, 10, variables+" sluice top --admin unix:/nowhere; echo ended with $?; exec cat")
		tm.shows(want)
		tm.shows(`(?m)^ended with 1$`)
	}
	tm := newTerminal(t, 200, 10, "sluice top --admin unix:/nowhere </dev/null; echo ended with $?; exec cat")
	tm.shows(`standard input is not a terminal.*top --once`)
	tm.shows(`(?m)^ended with 1$`)
}
