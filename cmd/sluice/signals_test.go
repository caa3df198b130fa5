//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// started is a sluice that was started as its users start it.
type started struct {
	*exec.Cmd
	t      *testing.T
	stdout io.ReadCloser
	lines  *bufio.Scanner // of stderr
	read   chan struct{}  // closed when somebody has read all of stdout; nil: nobody does
	ended  bool
}

func startServe(t *testing.T, args ...string) *started {
	t.Helper()
	return startCommand(t, exec.Command("sluice", append([]string{"serve", "--admin", ""}, args...)...))
}

func startCommand(t *testing.T, cmd *exec.Cmd) *started {
	t.Helper()
	p := &started{Cmd: cmd, t: t}
	var err error
	if p.stdout, err = p.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.ended {
			p.Process.Kill()
			p.Wait()
		}
	})
	return p
}

// says waits for a line of stderr that has the text.
func (p *started) says(text string) string {
	p.t.Helper()
	for p.lines.Scan() {
		if strings.Contains(p.lines.Text(), text) {
			return p.lines.Text()
		}
	}
	p.t.Fatalf("it ended without saying %q", text)
	return ""
}

func (p *started) end() error {
	p.t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	return p.wait()
}

// wait reads what it still says, until it has ended.
func (p *started) wait() error {
	for p.lines.Scan() {
	}
	if p.read != nil {
		<-p.read
	}
	p.ended = true
	return p.Wait()
}

// refused sends a request that leaves a record, and waits for the first line of
// its answer: the connection's end comes after the record.
func refused(t *testing.T, proxy string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", proxy, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 4") {
		t.Fatalf("answer %q, %v", answer, err)
	}
}

func TestTheProxyOutlivesTheReaderOfItsLog(t *testing.T) {
	p := startServe(t, "--listen", "127.0.0.1:0")
	proxy := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(p.says(`"listening"`))
	p.says(`"ready"`)
	p.stdout.Close()
	for range 3 {
		refused(t, proxy)
	}
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestASignalEndsAProcessThatCannotEvenLog(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("sluice", "serve", "--admin", "", "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	w.Close()
	log := &started{t: t, lines: bufio.NewScanner(r)}
	proxy := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(log.says(`"listening"`))
	log.says(`"ready"`)
	// From here on nobody reads. A pipe holds 64 KiB (pipe(7)), a record has
	// more than 256 bytes.
	for range 64 << 10 / 256 {
		refused(t, proxy)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestASignalDuringALongStartIsHeeded(t *testing.T) {
	const file = "[[rule]]\nname = \"r\"\naction = \"allow\"\nclients = [\"192.0.2.1\"]\n"
	name := filepath.Join(t.TempDir(), "long.toml")
	// The file is a pipe: once it has a reader, the start has begun, and is not over
	// before its writer closes it.
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, "--listen", "127.0.0.1:0", "--config", name)
	w, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, file)
	p.Process.Signal(syscall.SIGHUP)
	w.Close()
	p.says(`"ready"`)
	p.says(`"logs reopened"`)
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSIGHUPReadsTheFileAgain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sluice.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[[rule]]\nname = \"old\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\n")
	p := startServe(t, "--listen", "127.0.0.1:0", "--config", name)
	p.says(`"ready"`)
	write("[[rule]]\nname = \"new\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\n")
	p.Process.Signal(syscall.SIGHUP)
	p.says(`"rule":"new"`)
	p.says(`"configuration reloaded"`)
	write("[[rule]\n")
	p.Process.Signal(syscall.SIGHUP)
	if line := p.says("nothing was changed"); !strings.Contains(line, name+":1:") {
		t.Errorf("the error does not say where: %s", line)
	}
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// Nobody writes to the pipe any more, so reading the file again takes for ever.
func TestAFileThatHangsHoldsUpNoSignal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe.toml")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, "--listen", "127.0.0.1:0", "--config", name)
	if err := os.WriteFile(name, []byte("open = false\n"), 0); err != nil {
		t.Fatal(err)
	}
	p.says(`"ready"`)
	p.Process.Signal(syscall.SIGHUP)
	p.says(`"logs reopened"`)
	p.Process.Signal(syscall.SIGUSR1)
	p.says(`"logs reopened"`)
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestAStartThatHangsCanBeEnded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe.toml")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, "--listen", "127.0.0.1:0", "--config", name)
	w, err := os.OpenFile(name, os.O_WRONLY, 0) // returns when the pipe is read
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := p.end(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// A log is rotated, and a reload asked for, also while the last tunnels end.
func TestSignalsAreHeededInADrain(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sluice.toml")
	if err := os.WriteFile(name, []byte("[server]\ndrain = \"1h\"\n[[rule]]\nname = \"r\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\nports = [\"1-65535\"]\n[egress]\nallow_private = [\"127.0.0.1\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, "--listen", "127.0.0.1:0", "--config", name)
	proxy := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(p.says(`"listening"`))
	p.says(`"ready"`)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", ln.Addr())
	if answer, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
		t.Fatalf("answer %q, %v", answer, err)
	}
	p.Process.Signal(syscall.SIGTERM)
	p.says(`"draining"`)
	p.Process.Signal(syscall.SIGUSR1)
	p.says(`"logs reopened"`)
	p.Process.Signal(syscall.SIGHUP)
	p.says(`"logs reopened"`)
	if line := p.says("nothing was changed"); !strings.Contains(line, "shutting down") {
		t.Errorf("it does not say why: %s", line)
	}
	if err := p.end(); err != nil { // the second
		t.Errorf("it ended with %v", err)
	}
}
