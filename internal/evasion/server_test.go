//go:build linux

package evasion

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/server"
)

// patience is how long a test waits for what comes at once unless something is
// broken.
const patience = 20 * time.Second

// proxy is a server under test with the name server that it asks and the origins
// that it can reach.
type proxy struct {
	*server.Server
	names   *nameserver
	origins chan visit
	records chan record
}

// record is what a record in the log says.
type record struct {
	Host    string `json:"host"`
	Port    uint16 `json:"port"`
	Address string `json:"address"`
	Rule    string `json:"rule"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Tries   int    `json:"tries"`
}

// visit is a connection that came to an origin.
type visit struct {
	at   netip.AddrPort // the address that was dialled
	host string         // Host of the request that came over it, "" for none
}

// start runs a proxy on the listeners and under the rules of a file, and origins
// on some ports of every address.
func start(t *testing.T, file string, ports ...int) *proxy {
	t.Helper()
	p := &proxy{names: serveNames(t), origins: make(chan visit, 64), records: make(chan record, 64)}
	for _, port := range ports {
		p.serveOrigin(t, port)
	}
	admin := ""
	file = strings.Replace(file, "[egress]\n", "[egress]\nresolver = [\""+p.names.addr.String()+"\"]\n", 1)
	cfg, err := config.Parse("test.toml", []byte(file), config.Flags{Admin: &admin}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	if p.Server, err = server.New(cfg, server.Options{Stdout: recorder(p.records), Stderr: &stderr}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("the server's log: %s", stderr.String())
		}
	})
	return p
}

// recorder takes the access log, whole lines with each write.
type recorder chan record

// Write reads the records.
func (c recorder) Write(lines []byte) (int, error) {
	for line := range bytes.Lines(lines) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return 0, err
		}
		c <- r
	}
	return len(lines), nil
}

// serveOrigin answers one request on each connection to a port of any address,
// and tells of the connection when it ends.
func (p *proxy) serveOrigin(t *testing.T, port int) {
	t.Helper()
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.origins <- answer(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

func answer(c net.Conn) visit {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	a := c.LocalAddr().(*net.TCPAddr).AddrPort()
	v := visit{at: netip.AddrPortFrom(a.Addr().Unmap(), a.Port())}
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		v.host = r.Host
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	}
	return v
}

// outcome is all that came of one request.
type outcome struct {
	answer    string // what the client got: a status, a SOCKS5 reply, "closed"
	record    record
	visits    []visit
	questions []question
	traffic   // the proxy's alone
}

// ask sends one request and collects what came of it.
func (p *proxy) ask(t *testing.T, w way, b []byte) outcome {
	t.Helper()
	before := countTraffic(t)
	p.names.take()
	var o outcome
	o.answer = w.send(t, p.Addrs()[0].String(), b)
	select {
	case o.record = <-p.records:
	case <-time.After(patience):
		t.Fatalf("no record of %q", b)
	}
	after := countTraffic(t)
	o.questions = p.names.take()
	o.connects = after.connects - before.connects - 1 // one was the client's
	// The name server sends a datagram for each that it gets.
	o.datagrams = (after.datagrams - before.datagrams) / 2
	if o.record.Outcome == "ok" && o.record.Host != "" { // or the proxy itself was asked
		select {
		case v := <-p.origins:
			o.visits = append(o.visits, v)
		case <-time.After(patience):
			t.Fatalf("no origin was visited by %q", b)
		}
	}
	for len(p.origins) > 0 {
		o.visits = append(o.visits, <-p.origins)
	}
	return o
}
