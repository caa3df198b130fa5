package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/lab"
)

// exhausted is a server in a process of its own with few descriptors, which takes
// and frees all that are left when it is told.
type exhausted struct {
	*running
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	listen string
	dials  int
}

// calm is after what time without a failure it looks whether a shortage is over.
const calm = 300 * time.Millisecond

const exhaustible = "TestTheServerOfAProcessWithFewDescriptors"

func startExhausted(t *testing.T) *exhausted {
	t.Helper()
	cmd := exec.Command("sh", "-c", `ulimit -n 256; exec "$@"`, "sh", os.Args[0], "-test.run=^"+exhaustible+"$", "-test.v")
	cmd.Env = append(os.Environ(), "SERVER_TEST_EXHAUST=1")
	x := &exhausted{running: &running{t: t}, cmd: cmd}
	var err error
	if x.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	x.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.in.Close(); cmd.Wait() })
	x.listen = strings.TrimSpace(x.answer("listening"))
	return x
}

// answer reads on to a line that begins with a word and returns its rest.
func (x *exhausted) answer(word string) string {
	x.t.Helper()
	for {
		line, err := x.out.ReadString('\n')
		if err != nil {
			x.t.Fatalf("waiting for %q: %v", word, err)
		}
		if rest, ok := strings.CutPrefix(line, word); ok {
			return rest
		}
	}
}

func (x *exhausted) do(what string) {
	x.t.Helper()
	fmt.Fprintln(x.in, what)
	x.answer("done " + what)
}

// dial connects as another client each time.
func (x *exhausted) dial() net.Conn {
	x.t.Helper()
	x.dials++
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+x.dials%200))}}
	c, err := d.Dial("tcp", x.listen)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func (x *exhausted) ask(to string) string {
	x.t.Helper()
	c := x.dial()
	defer c.Close()
	return ask(c, to)
}

// ticks is the processor time of the process, in hundredths of a second (proc(5),
// stat, fields 14 and 15).
func (x *exhausted) ticks() int {
	x.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", x.cmd.Process.Pid))
	if err != nil {
		x.t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return user + system
}

func TestWithoutDescriptorsClientsAreToldAndServiceReturns(t *testing.T) {
	to := origin(t)
	x := startExhausted(t)
	tunnel := x.dial()
	fmt.Fprintf(tunnel, "CONNECT %s HTTP/1.1\r\n\r\n", to)
	if _, err := io.ReadFull(tunnel, make([]byte, len("HTTP/1.1 200 Connection established\r\n\r\nhello"))); err != nil {
		t.Fatal(err)
	}
	x.do("take")
	for range 20 { // more than there are spares
		if got := x.ask(to); !strings.HasPrefix(got, "503 sluice: ") {
			t.Fatalf("admitted: %s", got)
		}
	}
	if got := x.ask("192.0.2.1:443"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("denied: %s", got)
	}
	c := x.dial()
	io.WriteString(c, "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50")
	reply := make([]byte, 4)
	if _, err := io.ReadFull(c, reply); err != nil || reply[3] != 1 {
		t.Errorf("SOCKS5: % x, %v", reply, err)
	}
	time.Sleep(3 * calm) // that nobody comes does not mean that it is over
	// Whoever says nothing has the spares for a while, and makes nothing spin.
	for range 30 {
		x.dial()
	}
	before := x.ticks()
	time.Sleep(time.Second)
	if spent := x.ticks() - before; spent > 50 {
		t.Errorf("%d hundredths of a second of processor time in one of waiting", spent)
	}
	if got := x.ask(to); !strings.HasPrefix(got, "503 ") {
		t.Errorf("behind silent connections: %s", got)
	}
	if _, err := tunnel.Write([]byte("still")); err != nil {
		t.Error(err)
	}
	x.do("free")
	waitFor(t, func() bool { return strings.HasPrefix(x.ask(to), "200") })
	x.do("calm") // until it says that it accepts again
	x.in.Close()
	log, _ := io.ReadAll(x.out)
	if n := bytes.Count(log, []byte(`"msg":"accept"`)); n != 1 {
		t.Errorf("%d lines say that accepting fails:\n%s", n, log)
	}
	if n := bytes.Count(log, []byte(`"msg":"accepting again"`)); n != 1 {
		t.Errorf("%d lines say that it works again:\n%s", n, log)
	}
	if err := x.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, log)
	}
}

// It is the process that the test above starts.
func TestTheServerOfAProcessWithFewDescriptors(t *testing.T) {
	if os.Getenv("SERVER_TEST_EXHAUST") == "" {
		t.Skip("part of another test")
	}
	file := strings.Replace(base, `ports = ["1-65535"]`, "ports = [\"1-65535\"]\nto = [\"127.0.0.1\"]", 1) + "[timeouts]\nhandshake = \"5m\"\n"
	cfg, err := config.Parse("test.toml", []byte(file), config.Flags{Admin: new(string)}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	var log lab.Transcript
	s, err := New(cfg, Options{Stdout: io.Discard, Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	s.shortage.calm = calm
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, ctx) }()
	fmt.Println("\nlistening", s.Addrs()[0])
	var taken []*os.File
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		switch lines.Text() {
		case "take":
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				taken = append(taken, f)
			}
		case "free":
			for _, f := range taken {
				f.Close()
			}
		case "calm":
			waitFor(t, func() bool { return strings.Contains(log.String(), "accepting again") })
		}
		fmt.Println("\ndone", lines.Text())
	}
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	fmt.Println(log.String())
}
