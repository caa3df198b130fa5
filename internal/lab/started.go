package lab

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Started is a program of ours that was started as its users start it, whose log on
// stderr the test reads as it comes.
type Started struct {
	*exec.Cmd
	Stdout io.ReadCloser // its records; nil: the test has them elsewhere
	// Read is closed when somebody has read all of Stdout, which Wait waits for; nil:
	// nobody does.
	Read chan struct{}

	t     testing.TB
	lines *bufio.Scanner // of stderr
	ended bool
}

// Start starts a command. It is killed at the end of the test, unless it has ended.
func Start(t testing.TB, cmd *exec.Cmd) *Started {
	t.Helper()
	p := &Started{Cmd: cmd, t: t}
	var err error
	if p.Stdout, err = p.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stderr)
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.ended {
			p.Process.Kill()
			p.Cmd.Wait()
		}
	})
	return p
}

// Says waits for a line of the log that has the text, and returns it.
func (p *Started) Says(text string) string {
	p.t.Helper()
	line, ok := Says(p.lines, text)
	if !ok {
		p.t.Fatalf("it ended without saying %q", text)
	}
	return line
}

// Says reads until a line has the text; false: none has, and there are no more.
func Says(lines *bufio.Scanner, text string) (line string, ok bool) {
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text(), true
		}
	}
	return "", false
}

var loopbackAddress = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// Listens waits until it says where it listens on loopback, and returns that.
func (p *Started) Listens() string {
	p.t.Helper()
	return loopbackAddress.FindString(p.Says(`"listening"`))
}

// Signal sends it a signal.
func (p *Started) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// End tells it to end, and waits.
func (p *Started) End() error {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Wait reads what it still says, until it has ended.
func (p *Started) Wait() error {
	for p.lines.Scan() {
	}
	if p.Read != nil {
		<-p.Read
	}
	p.ended = true
	return p.Cmd.Wait()
}
