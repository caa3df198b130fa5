package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/lab"
	"sluice/internal/server"
)

// proxy is a running server and an origin that echoes, with the tunnels between.
type proxy struct {
	*server.Server
	t      *testing.T
	origin string
	admin  string // URL of the admin address
	stop   func()
}

// serve runs a proxy that lets loopback reach the origin's port alone. admin is its
// admin address.
func serve(t *testing.T, origin, admin string) *proxy {
	t.Helper()
	_, port, _ := net.SplitHostPort(origin)
	file := fmt.Sprintf(`
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "others"
action = "allow"
clients = ["192.0.2.0/24"]
[[rule]]
name = "watched"
action = "deny"
mode = "observe"
clients = ["127.0.0.99"]
ports = ["1-65535"]
[[rule]]
name = "lab"
action = "allow"
clients = ["127.0.0.0/8"]
ports = [%s]
[egress]
allow_private = ["127.0.0.0/8"]
[server]
drain = "0s"
`, port)
	cfg, err := config.Parse("test.toml", []byte(file), config.Flags{Admin: &admin}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, origin: origin}
	if p.Server, err = server.New(cfg, server.Options{Stdout: io.Discard, Stderr: io.Discard, Version: "v0-test"}); err != nil {
		t.Fatal(err)
	}
	p.admin = "http://" + p.AdminAddr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, ctx) }()
	p.stop = sync.OnceFunc(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the server does not end")
		}
	})
	t.Cleanup(p.stop)
	return p
}

// echo returns the address of an origin that sends back what it gets.
func echo(t *testing.T) string {
	return lab.Loopback(t, func(c net.Conn) { io.Copy(c, c) })
}

// connect asks for a tunnel from a loopback address, and returns the answer's line.
func (p *proxy) connect(from, to string) (net.Conn, string) {
	p.t.Helper()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
	c, err := dialer.Dial("tcp", p.Addrs()[0].String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(3 * time.Minute))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	head := bufio.NewReaderSize(c, 16) // it sends nothing by itself behind the head
	var line string
	for text := "-"; text != "\r\n"; {
		if text, err = head.ReadString('\n'); err != nil {
			p.t.Fatalf("CONNECT %s: %v", to, err)
		}
		if line == "" {
			line = text
		}
	}
	return c, strings.TrimSpace(line)
}

// trip sends n bytes through a tunnel to the origin and reads them back.
func trip(t *testing.T, c net.Conn, n int) {
	go c.Write(make([]byte, n))
	if _, err := io.CopyN(io.Discard, c, int64(n)); err != nil {
		t.Error(err)
	}
}

// get asks the admin address for JSON.
func (p *proxy) get(path string, v any) {
	p.t.Helper()
	answer, err := http.Get(p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(v); err != nil {
		p.t.Fatal(err)
	}
}

// metric sums the values of a metric whose labels contain each of with.
func (p *proxy) metric(name string, with ...string) int64 {
	p.t.Helper()
	answer, err := http.Get(p.admin + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	var sum float64
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		series, value, _ := strings.Cut(strings.Replace(lines.Text(), "} ", "}\x00", 1), "\x00")
		if !strings.HasPrefix(series, name+"{") {
			continue
		}
		fits := true
		for _, label := range with {
			fits = fits && strings.Contains(series, label)
		}
		if v, err := strconv.ParseFloat(value, 64); fits && err == nil {
			sum += v
		}
	}
	return int64(sum)
}
