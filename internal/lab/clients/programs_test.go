//go:build linux

package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"sluice/internal/lab"
)

// programVar makes this test binary run one of the Go programs below instead
// of the tests: as a process of its own it can stand in another namespace, with
// another environment, as the programs of other languages do.
const programVar = "SLUICE_CLIENT_PROGRAM"

var programs = map[string]func(args []string) error{
	"fetch":    fetchByEnvironment,
	"socks":    fetchBySOCKS,
	"pipeline": pipeline,
	"upgrade":  upgrade,
}

func TestMain(m *testing.M) {
	name := os.Getenv(programVar)
	if name == "" {
		os.Exit(lab.Main(m))
	}
	if err := programs[name](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// fetchByEnvironment [url] is every Go program that leaves the choice of proxy
// to net/http: docker, containerd, the go command.
func fetchByEnvironment(args []string) error {
	return show(&http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}, args[0])
}

// fetchBySOCKS [proxy, url] dials with golang.org/x/net/proxy.
func fetchBySOCKS(args []string) error {
	dialer, err := proxy.SOCKS5("tcp", args[0], nil, proxy.Direct)
	if err != nil {
		return err
	}
	return show(&http.Client{Transport: &http.Transport{DialContext: dialer.(proxy.ContextDialer).DialContext}}, args[1])
}

func show(c *http.Client, url string) error {
	c.Timeout = 30 * time.Second
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(os.Stdout, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// pipeline [proxy, host, n] sends n requests in one write before it reads, and
// one more on the same connection when all have been answered.
func pipeline(args []string) error {
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	host := args[1]
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	request := func(i int) string {
		return fmt.Sprintf("GET http://%s/n/%d HTTP/1.1\r\nHost: %s\r\n\r\n", host, i, host)
	}
	var all strings.Builder
	for i := range n {
		all.WriteString(request(i))
	}
	if _, err := io.WriteString(conn, all.String()); err != nil {
		return err
	}
	br := bufio.NewReader(conn)
	for i := range n {
		if err := expectAnswer(br, i); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, request(n)); err != nil {
		return err
	}
	return expectAnswer(br, n)
}

func expectAnswer(br *bufio.Reader, i int) error {
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return fmt.Errorf("answer %d: %w", i, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("answer %d: %w", i, err)
	}
	fmt.Print(string(body))
	if want := fmt.Sprintf("answer %d\n", i); string(body) != want {
		return fmt.Errorf("answer %d: %s %q, want %q", i, resp.Status, body, want)
	}
	return nil
}

// upgrade [proxy, host] asks in absolute form for a change of protocol, as a
// WebSocket client does for ws://, and talks both ways in the new one.
func upgrade(args []string) error {
	conn, err := dial(args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	host := args[1]
	if _, err := fmt.Fprintf(conn, "GET http://%s/upgrade HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n", host, host); err != nil {
		return err
	}
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "shout" {
		return fmt.Errorf("no switch of protocol: %s %v", resp.Status, resp.Header)
	}
	if err := expectLine(br, "READY"); err != nil {
		return err
	}
	for i := range 3 {
		if _, err := fmt.Fprintf(conn, "line %d\n", i); err != nil {
			return err
		}
		if err := expectLine(br, fmt.Sprintf("LINE %d", i)); err != nil {
			return err
		}
	}
	// The end is passed on too: our FIN ends the origin's loop, its close ours.
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	rest, err := io.ReadAll(br)
	if err != nil || len(rest) > 0 {
		return fmt.Errorf("after the end: %q, %w", rest, err)
	}
	return nil
}

func expectLine(br *bufio.Reader, want string) error {
	line, err := br.ReadString('\n')
	if err != nil {
		return fmt.Errorf("waiting for %q: %w", want, err)
	}
	fmt.Print(line)
	if line != want+"\n" {
		return fmt.Errorf("got %q, want %q", line, want)
	}
	return nil
}

func dial(addr string) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.TCPConn), nil
}
