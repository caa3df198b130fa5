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

	"sluice/internal/lab"
)

// startServe runs a proxy without an admin address.
func startServe(t *testing.T, args ...string) *lab.Started {
	t.Helper()
	return lab.Start(t, exec.Command("sluice", append([]string{"serve", "--admin", ""}, args...)...))
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
	proxy := p.Listens()
	p.Says(`"ready"`)
	p.Stdout.Close()
	for range 3 {
		refused(t, proxy)
	}
	if err := p.End(); err != nil {
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
	log := bufio.NewScanner(r)
	line, _ := lab.Says(log, `"listening"`)
	proxy := regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(line)
	if _, ok := lab.Says(log, `"ready"`); !ok {
		t.Fatal("it ended before it was ready")
	}
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
	p.Signal(syscall.SIGHUP)
	w.Close()
	p.Says(`"ready"`)
	p.Says(`"logs reopened"`)
	if err := p.End(); err != nil {
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
	p.Says(`"ready"`)
	write("[[rule]]\nname = \"new\"\naction = \"allow\"\nclients = [\"127.0.0.1\"]\n")
	p.Signal(syscall.SIGHUP)
	p.Says(`"rule":"new"`)
	p.Says(`"configuration reloaded"`)
	write("[[rule]\n")
	p.Signal(syscall.SIGHUP)
	if line := p.Says("nothing was changed"); !strings.Contains(line, name+":1:") {
		t.Errorf("the error does not say where: %s", line)
	}
	if err := p.End(); err != nil {
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
	p.Says(`"ready"`)
	p.Signal(syscall.SIGHUP)
	p.Says(`"logs reopened"`)
	p.Signal(syscall.SIGUSR1)
	p.Says(`"logs reopened"`)
	if err := p.End(); err != nil {
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
	if err := p.End(); err != nil {
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
	proxy := p.Listens()
	p.Says(`"ready"`)
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
	p.Signal(syscall.SIGTERM)
	p.Says(`"draining"`)
	p.Signal(syscall.SIGUSR1)
	p.Says(`"logs reopened"`)
	p.Signal(syscall.SIGHUP)
	p.Says(`"logs reopened"`)
	if line := p.Says("nothing was changed"); !strings.Contains(line, "shutting down") {
		t.Errorf("it does not say why: %s", line)
	}
	if err := p.End(); err != nil { // the second
		t.Errorf("it ended with %v", err)
	}
}
