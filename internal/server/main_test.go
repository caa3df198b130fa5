package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type running struct {
	*Server
	t             *testing.T
	stop, stopNow context.CancelFunc
	done          chan error
	out, err      lab.Transcript
	admin         string       // --admin
	file          atomic.Value // what a reload reads, a string
}

const base = `
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "lab"
action = "allow"
clients = ["127.0.0.0/8"]
ports = ["1-65535"]
[egress]
allow_private = ["127.0.0.0/8", "::1"]
`

// run starts a server; admin "" keeps tests off fixed ports.
func run(t *testing.T, file string) *running {
	t.Helper()
	r := &running{t: t, done: make(chan error, 1), admin: "127.0.0.1:0"}
	r.file.Store(file)
	cfg, err := r.load()
	if err != nil {
		t.Fatal(err)
	}
	if r.Server, err = New(cfg, Options{Stdout: &r.out, Stderr: &r.err, Load: r.load}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cut, stopNow := context.WithCancel(context.Background())
	r.stop, r.stopNow = stop, stopNow
	go func() { r.done <- r.Serve(ctx, cut) }()
	t.Cleanup(func() { stop(); stopNow(); r.wait() })
	return r
}

func (r *running) load() (*config.Config, error) {
	return config.Parse("test.toml", []byte(r.file.Load().(string)), config.Flags{Admin: &r.admin}, config.Presets{})
}

// reload puts another file in force.
func (r *running) reload(file string) {
	r.t.Helper()
	r.file.Store(file)
	if _, err := r.Reload(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) wait() {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.done <- err
		if err != nil {
			r.t.Error(err)
		}
	case <-time.After(20 * time.Second):
		r.t.Fatal("the server does not end")
	}
}

func (r *running) addr() string { return r.Addrs()[0].String() }

// connect opens a tunnel with CONNECT and returns its connection.
func (r *running) connect(to string) (net.Conn, string) {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			r.t.Fatalf("CONNECT %s: %q, then %v", to, head, err)
		}
	}
	line, _, _ := strings.Cut(string(head), "\r\n")
	return c, line
}

// origin says "hello" to whoever connects and holds the connection.
func origin(t *testing.T) string {
	return lab.Loopback(t, func(c net.Conn) {
		io.WriteString(c, "hello")
		io.Copy(io.Discard, c)
	})
}

func (r *running) records() []map[string]any {
	var list []map[string]any
	for line := range strings.Lines(r.out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			r.t.Errorf("not a record: %q", line)
		}
		list = append(list, m)
	}
	return list
}

func hello(t *testing.T, c net.Conn) {
	t.Helper()
	p := make([]byte, 5)
	if _, err := io.ReadFull(c, p); err != nil || string(p) != "hello" {
		t.Errorf("got %q, %v", p, err)
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
