package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/lab"
)

// manager plays systemd for one service: it has the sockets, and hears what the
// service tells.
type manager struct {
	t       *testing.T
	http    net.Listener // ":auto" of the configuration
	socks   net.Listener
	sockets []*os.File
	config  string
	notify  *net.UnixConn
	env     []string
	records atomic.Int64 // that its processes have left
}

// newManager opens a listener for HTTP and one for SOCKS5, and writes the
// configuration of a service which is to have them.
func newManager(t *testing.T) *manager {
	t.Helper()
	dir := t.TempDir()
	m := &manager{t: t, config: filepath.Join(dir, "sluice.toml")}
	var err error
	m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.notify.Close() })
	m.env = []string{"NOTIFY_SOCKET=" + filepath.Join(dir, "notify")}
	m.http, m.socks = m.listen("tcp", "127.0.0.1:0"), m.listen("tcp", "127.0.0.1:0")
	m.configure("")
	return m
}

func (m *manager) configure(more string) {
	m.t.Helper()
	text := fmt.Sprintf(`
[[listener]]
address = %q
[[listener]]
address = %q
protocol = "socks5"
[[rule]]
name = "lab"
action = "allow"
clients = ["127.0.0.0/8"]
ports = ["1-65535"]
[egress]
allow_private = ["127.0.0.0/8"]
[limits]
new_tunnels = "100000/s"
%s`, m.http.Addr(), m.socks.Addr(), more)
	if err := os.WriteFile(m.config, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// listen opens a socket for the service. It is open until the test ends, as
// systemd's is until its unit stops.
func (m *manager) listen(network, address string) net.Listener {
	m.t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { ln.Close() })
	m.pass(ln)
	return ln
}

func (m *manager) pass(socket any) {
	m.t.Helper()
	f, err := socket.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { f.Close() })
	m.sockets = append(m.sockets, f)
}

// command is the service with its sockets. The shell knows the process id that it
// will have.
func (m *manager) command(args ...string) *exec.Cmd {
	script := fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec sluice serve "$@"`, len(m.sockets))
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", "--config", m.config}, args...)...)
	cmd.Env = append(os.Environ(), m.env...)
	cmd.ExtraFiles = m.sockets
	return cmd
}

// start starts the service and waits until it has said that it is ready.
func (m *manager) start(args ...string) *lab.Started {
	m.t.Helper()
	if len(args) == 0 {
		args = []string{"--admin", ""}
	}
	p := lab.Start(m.t, m.command(args...))
	m.hears("READY=1")
	p.Read = make(chan struct{})
	go func() {
		defer close(p.Read)
		for lines := bufio.NewScanner(p.Stdout); lines.Scan(); {
			m.records.Add(1)
		}
	}()
	return p
}

// hears waits for a message that has the text and returns it.
func (m *manager) hears(text string) string {
	m.t.Helper()
	m.notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 4096)
	for {
		n, err := m.notify.Read(b)
		if err != nil {
			m.t.Fatalf("the service does not tell %s: %v", text, err)
		}
		if message := string(b[:n]); strings.Contains(message, text) {
			return message
		}
	}
}

// echo returns the address of an origin that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

// tunnel opens one by CONNECT.
func tunnel(proxy net.Addr, to string) (net.Conn, error) {
	c, err := net.Dial("tcp", proxy.String())
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	return c, readConnected(c, "HTTP/1.1 200 ")
}

// readConnected reads a head that is sent in one go.
func readConnected(c net.Conn, want string) error {
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err == nil && !strings.HasPrefix(string(b[:n]), want) {
		err = fmt.Errorf("answer %q", b[:n])
	}
	if err != nil {
		c.Close()
	}
	return err
}

// trip sends a message through a tunnel and waits for its echo.
func trip(c net.Conn) error {
	const message = "there and back"
	if _, err := io.WriteString(c, message); err != nil {
		return err
	}
	b := make([]byte, len(message))
	if _, err := io.ReadFull(c, b); err != nil {
		return err
	}
	if string(b) != message {
		return fmt.Errorf("%q came back", b)
	}
	return nil
}

func TestSystemdHearsOfStartAndEnd(t *testing.T) {
	m := newManager(t)
	m.configure("[server]\ndrain = \"15s\"\n")
	p := lab.Start(t, m.command("--admin", ""))
	if got := m.hears("READY=1"); got != "READY=1\nSTATUS=serving 0 tunnels" {
		t.Errorf("at the start it hears %q", got)
	}
	c, err := tunnel(m.http.Addr(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Signal(syscall.SIGTERM)
	stopping := m.hears("STOPPING=1")
	if !strings.HasSuffix(stopping, "\nSTATUS=draining, 1 tunnel left") {
		t.Errorf("at the end it hears %q", stopping)
	}
	var within int
	if _, err := fmt.Sscanf(stopping, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", &within); err != nil || within < 15e6 || within > 30e6 {
		t.Errorf("for a drain of 15 s it asks for %d µs (%v)", within, err)
	}
	if err := trip(c); err != nil {
		t.Errorf("a tunnel in the drain: %v", err)
	}
	c.Close()
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSystemdsWatchdogIsKeptQuiet(t *testing.T) {
	m := newManager(t)
	// A ping each 250 ms; that it comes often enough is a matter of the machine.
	m.env = append(m.env, "WATCHDOG_USEC=500000")
	m.start()
	for range 3 {
		m.hears("WATCHDOG=1")
	}
}

func TestInheritedSocketsAreServed(t *testing.T) {
	m := newManager(t)
	admin := filepath.Join(t.TempDir(), "admin.sock")
	m.listen("unix", admin)
	p := m.start("--admin", "unix:"+admin)
	c, err := tunnel(m.http.Addr(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := trip(c); err != nil {
		t.Error(err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", admin)
	}
	client := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	if resp, err := client.Get("http://sluice/healthz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("admin address: %v, %v", resp, err)
	}
	c.Close()
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, err := os.Stat(admin); err != nil {
		t.Errorf("systemd's socket is gone: %v", err)
	}
}

func TestConnectionsOfAnInheritedSocketAreProbedAsOthersAre(t *testing.T) {
	m := newManager(t)
	m.start()
	c, err := tunnel(m.http.Addr(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if left := probeIn(t, m.http.Addr(), c.LocalAddr()); left <= time.Minute || left > 2*time.Minute {
		t.Errorf("the first probe comes in %v, not in two minutes", left)
	}
}

// probeIn tells when the kernel sends the first keep-alive probe from one end of a
// connection to the other.
func probeIn(t *testing.T, from, to net.Addr) time.Duration {
	t.Helper()
	hex := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(table)) {
			field := strings.Fields(line)
			if !strings.HasSuffix(field[1], hex(from)) || !strings.HasSuffix(field[2], hex(to)) {
				continue
			}
			var timer, ticks int // in hundredths of a second; 01 waits for an acknowledgement
			if _, err := fmt.Sscanf(field[5], "%x:%x", &timer, &ticks); err == nil && timer == 2 {
				return time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	t.Fatal("no keep-alive timer runs")
	return 0
}

func TestASocketWithoutAListenerIsWarnedOf(t *testing.T) {
	m := newManager(t)
	other := m.listen("tcp", "127.0.0.1:0")
	p := lab.Start(t, m.command("--admin", ""))
	if got := p.Says("no listener"); !strings.Contains(got, other.Addr().String()) {
		t.Errorf("it says %s", got)
	}
}

func TestAServiceThatIsPassedNoListenerDoesNotStart(t *testing.T) {
	m := newManager(t)
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	m.pass(udp)
	out, err := m.command("--admin", "").CombinedOutput()
	if exit := new(exec.ExitError); !errors.As(err, &exit) || !strings.Contains(string(out), "a datagram socket") {
		t.Errorf("it ended with %v and said %s", err, out)
	}
}

func TestSystemdSocketActivateStartsTheProxy(t *testing.T) {
	lab.Need(t, lab.Needs{Programs: []string{"systemd-socket-activate"}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	sluice, err := exec.LookPath("sluice")
	if err != nil {
		t.Fatal(err)
	}
	p := lab.Start(t, exec.Command("systemd-socket-activate", "--listen="+address, sluice, "serve", "--admin", "", "--listen", address))
	p.Says("Listening on " + address)
	refused(t, address) // which starts it
	p.Says(`"ready"`)
	if err := p.End(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestSystemdHearsOfAReload(t *testing.T) {
	m := newManager(t)
	p := m.start()
	for _, file := range []string{"", "[limits]\ntunnels = -1\n"} { // one is in order, and one is not
		m.configure(file)
		p.Signal(syscall.SIGHUP)
		if got := m.hears("RELOADING=1"); !strings.Contains(got, "\nMONOTONIC_USEC=") {
			t.Errorf("it hears %q", got)
		}
		m.hears("READY=1")
	}
	c, err := tunnel(m.http.Addr(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := trip(c); err != nil {
		t.Error(err)
	}
}
