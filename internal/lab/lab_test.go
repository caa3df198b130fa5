//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// twoHosts is a lab of a client and a server.
func twoHosts(t *testing.T) (n *Net, client, server *Host) {
	t.Helper()
	Need(t, Needs{Root: true, Part: "the lab's own tests"})
	n = New(t)
	client = n.Host(t, "client", netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("fd00::1/64"))
	server = n.Host(t, "server", netip.MustParsePrefix("198.19.0.1/15"), netip.MustParsePrefix("fd00::2/64"))
	return n, client, server
}

func get(h *Host, ca *CA, url string) (string, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext:       h.DialContext,
		DisableKeepAlives: true,
	}}
	if ca != nil {
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: ca.Pool()}
	}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "hello %s", r.Host)
})

func TestHostsMeetOnTheWireByAddressAndByName(t *testing.T) {
	n, client, server := twoHosts(t)
	ca := NewCA(t)
	n.Name(t, "www.example", server.Addr())
	plain := ServeHTTP(t, server, ":80", hello)
	secure := ServeHTTPS(t, server, ":443", ca, []string{"www.example"}, hello)
	for _, url := range []string{"http://198.19.0.1/", "http://[fd00::2]/", "http://www.example/", "https://www.example/"} {
		body, err := get(client, ca, url)
		if err != nil || !strings.HasPrefix(body, "hello ") {
			t.Errorf("%s: %q, %v", url, body, err)
		}
	}
	if got := plain.Accepts(); got != 3 {
		t.Errorf("the plain origin counts %d connections, want 3", got)
	}
	if in, out := secure.BytesIn(), secure.BytesOut(); in == 0 || out == 0 {
		t.Errorf("the TLS origin counts %d bytes in and %d out", in, out)
	}
}

func TestNothingLeadsOutside(t *testing.T) {
	_, client, _ := twoHosts(t)
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	for addr, want := range map[string]error{
		"192.0.2.1:80":          syscall.ENETUNREACH,
		outside.Addr().String(): syscall.ECONNREFUSED, // its own loopback
	} {
		if _, err := client.DialContext(t.Context(), "tcp", addr); !errors.Is(err, want) {
			t.Errorf("dial %s: %v, want %v", addr, err, want)
		}
	}
}

func TestCommandsSeeTheLabsNamesAndTheMachinesFiles(t *testing.T) {
	n, client, server := twoHosts(t)
	d := n.ServeDNS(t, server)
	d.Name("dns.example", netip.MustParseAddr("198.19.7.7"))
	n.Name(t, "hosts.example", server.Addr())
	if got := client.Output(t, "getent", "ahostsv4", "hosts.example"); !strings.HasPrefix(got, "198.19.0.1 ") {
		t.Errorf("hosts.example is %q", got)
	}
	if got := d.Queries(); len(got) != 0 {
		t.Errorf("a name of the hosts file was asked for at the name server: %v", got)
	}
	if got := client.Output(t, "getent", "ahostsv4", "dns.example"); !strings.HasPrefix(got, "198.19.7.7 ") {
		t.Errorf("dns.example is %q", got)
	}
	if got := d.Queries(); len(got) == 0 || got[0] != "dns.example" {
		t.Errorf("the name server was asked for %v", got)
	}
	file := filepath.Join(n.Dir(), "mark")
	if err := os.WriteFile(file, []byte("bound"), 0o644); err != nil {
		t.Fatal(err)
	}
	client.Bind(file, "/etc/passwd")
	if got := client.Output(t, "cat", "/etc/passwd"); got != "bound" {
		t.Errorf("the bound file reads %q", got)
	}
	if text, _ := os.ReadFile("/etc/passwd"); strings.HasPrefix(string(text), "bound") {
		t.Error("the bind has reached the machine's own mounts")
	}
}

func TestRoutesThatBlock(t *testing.T) {
	_, client, server := twoHosts(t)
	ServeHTTP(t, server, ":80", hello)
	client.Prohibit(t, server.Prefix())
	if _, err := get(client, nil, "http://server/"); !errors.Is(err, syscall.EACCES) {
		t.Errorf("prohibited: %v", err)
	}
	client.Open(t, server.Prefix())
	if _, err := get(client, nil, "http://server/"); err != nil {
		t.Errorf("open again: %v", err)
	}
	// Lost answers look like no answer: after one repeated SYN the kernel gives up.
	server.Blackhole(t, client.Prefix())
	client.Sysctl(t, "net.ipv4.tcp_syn_retries", "1")
	if _, err := get(client, nil, "http://server/"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("black hole: %v", err)
	}
}

func TestADaemonEndsWithItsTestAndItsChildrenToo(t *testing.T) {
	_, client, _ := twoHosts(t)
	var d *Daemon
	t.Run("running", func(t *testing.T) {
		d = client.Start(t, "sh", "-c", "trap '' TERM; echo ready; sleep 1000 & wait; sleep 1000")
		d.WaitOutput(t, "ready\n", 10*time.Second)
		stop := make(chan struct{})
		go func() { d.Stop(); close(stop) }()
		// The shell ignores SIGTERM: shorten the wait that Stop grants it.
		_ = syscall.Kill(-d.Pid(), syscall.SIGKILL)
		<-stop
	})
	if pids := processesIn(filepath.Join(netnsDir, client.netns)); len(pids) != 0 {
		t.Errorf("processes %v are left", pids)
	}
}

func TestWhatAKilledRunHasLeftIsSweptAway(t *testing.T) {
	Need(t, Needs{Root: true, Part: "the lab's own tests"})
	// A zombie until the test's end: ended, and not waited for.
	dead := command("true")
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dead.Wait() }()
	for !ended(dead.Process.Pid) {
		time.Sleep(time.Millisecond)
	}
	name := fmt.Sprintf("%s%d-gone-host", prefix, dead.Process.Pid)
	mustIP(t, "netns", "add", name)
	if err := os.MkdirAll(filepath.Join(processDir(dead.Process.Pid), "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	left := &Host{netns: name, net: &Net{dir: t.TempDir()}}
	sleeper := left.Command(context.Background(), "sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = sleeper.Wait() }()
	n := New(t)
	if got := namespaces(name); len(got) != 0 {
		t.Errorf("namespaces %v are left", got)
	}
	if _, err := os.Stat(processDir(dead.Process.Pid)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the files are left: %v", err)
	}
	if got := namespaces(n.id); len(got) != 1 {
		t.Errorf("the new lab has namespaces %v, want its wire", got)
	}
}

func TestWhatIsMissingIsSaidInASentence(t *testing.T) {
	for _, c := range []struct {
		name string
		what Needs
		want string
	}{
		{"nothing asked", Needs{}, ""},
		{"a program of every machine", Needs{Programs: []string{"sh"}}, ""},
		{"an unknown program", Needs{Programs: []string{"sluice-no-such"}}, "sluice-no-such"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(c.what.missing(), ", "); got != c.want {
				t.Errorf("missing %q, want %q", got, c.want)
			}
		})
	}
	if got := debianPackage("dockerd"); got != " (Debian package docker.io)" {
		t.Errorf("dockerd comes from %q", got)
	}
}

func TestWhatListensOnTheMachineItselfIsNotTakenForTheProgram(t *testing.T) {
	Need(t, Needs{Programs: []string{"python3"}})
	_, _, server := twoHosts(t)
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	port := outside.Addr().(*net.TCPAddr).Port
	// Long enough outside, before it enters the host's namespace, to be looked at there.
	cmd := server.Command(t.Context(), "python3", "-m", "http.server", strconv.Itoa(port))
	cmd.Args = append([]string{"sh", "-c", `sleep 0.2; exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	server.StartCommand(t, cmd).WaitListen(t, uint16(port))
	server.Dial(t, "tcp", fmt.Sprintf("198.19.0.1:%d", port))
}
