package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dial connects from another loopback address, which is another client.
func (r *running) dial(client string) (*net.TCPConn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp", r.addr())
	if err != nil {
		return nil, err
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn), nil
}

func (r *running) from(client string) *net.TCPConn {
	r.t.Helper()
	c, err := r.dial(client)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// resets tells whether the server ends a new connection by a reset, unasked.
func (r *running) resets(client string) bool {
	c, err := r.dial(client)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	return errors.Is(err, syscall.ECONNRESET)
}

// ask sends a CONNECT and returns the status line, or the error instead of one.
func ask(c net.Conn, to string) string {
	fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", to, to)
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"})
	if err != nil {
		return err.Error()
	}
	return resp.Status
}

// silent opens connections that say nothing, and waits until they are counted.
func (r *running) silent(client string, n int) (list []*net.TCPConn) {
	r.t.Helper()
	before, _ := r.waiting.Len()
	for range n {
		list = append(list, r.from(client))
	}
	waitFor(r.t, func() bool { now, _ := r.waiting.Len(); return now == before+n })
	return list
}

func TestSilentConnectionsOfOneClientKeepNobodyElseOut(t *testing.T) {
	r := run(t, base+"[limits]\nhandshakes = 4\n")
	to := origin(t)
	held := r.silent("127.0.0.2", 4)
	for range 3 {
		if !r.resets("127.0.0.2") {
			t.Error("one more than its four was let in")
		}
	}
	if got := ask(r.from("127.0.0.3"), to); !strings.HasPrefix(got, "200") {
		t.Errorf("another client: %s", got)
	}
	held[0].Close()
	waitFor(t, func() bool { n, _ := r.waiting.Len(); return n == 3 })
	if got := ask(r.from("127.0.0.2"), to); !strings.HasPrefix(got, "200") {
		t.Errorf("the same client with a place again: %s", got)
	}
}

func TestConnectionsWithATunnelAreNoHandshakes(t *testing.T) {
	r := run(t, base+"[limits]\nhandshakes = 1\n")
	to := origin(t)
	for range 5 {
		waitFor(t, func() bool { n, _ := r.waiting.Len(); return n == 0 })
		if got := ask(r.from("127.0.0.2"), to); !strings.HasPrefix(got, "200") {
			t.Fatal(got)
		}
	}
	// A kept HTTP connection that holds one to an origin has a tunnel's place.
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
	}))
	defer web.Close()
	kept := r.from("127.0.0.2")
	get := func(path string) {
		t.Helper()
		fmt.Fprintf(kept, "GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n", web.URL, path)
		resp, err := http.ReadResponse(bufio.NewReader(kept), nil)
		if err != nil || resp.StatusCode != 200 || resp.Close {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
	}
	get("/keep")
	if n, _ := r.waiting.Len(); n != 0 {
		t.Errorf("%d connections count as without a tunnel", n)
	}
	// Without one it has none, and is counted like any that waits for a request.
	get("/close")
	waitFor(t, func() bool { n, _ := r.waiting.Len(); return n == 1 })
	if !r.resets("127.0.0.2") {
		t.Error("an idle kept connection is not counted")
	}
	get("/keep")
	kept.Close()
	waitFor(t, func() bool { n, _ := r.waiting.Len(); return n == 0 })
}

func TestStrangersTakeHalfThePlacesAtMost(t *testing.T) {
	file := strings.Replace(base, `clients = ["127.0.0.0/8"]`, `clients = ["127.0.0.2", "127.0.0.3"]`, 1)
	r := run(t, file+"[server]\nmax_handshakes = 8\n")
	to := origin(t)
	r.silent("127.0.1.1", 2) // a quarter each
	if !r.resets("127.0.1.1") {
		t.Error("one source has more than a quarter of the places")
	}
	r.silent("127.0.1.2", 2)
	if !r.resets("127.0.1.3") {
		t.Error("strangers get more than half the places")
	}
	if got := ask(r.from("127.0.0.2"), to); !strings.HasPrefix(got, "200") {
		t.Errorf("a client that a rule admits: %s", got)
	}
	waitFor(t, func() bool { return strings.Contains(r.err.String(), `"over_handshakes":1,"over_max_handshakes":0`) })
}

func TestAFloodOfConnectionsIsNoFloodOfLines(t *testing.T) {
	r := run(t, base+"[limits]\nhandshakes = 1\n")
	r.turned.every = 100 * time.Millisecond
	r.silent("127.0.0.2", 1)
	begin := time.Now()
	for range 500 {
		r.resets("127.0.0.2")
	}
	waitFor(t, func() bool { return strings.Contains(r.err.String(), `"latest":"127.0.0.2","total":500`) })
	lines := strings.Count(r.err.String(), `"msg":"connections reset`)
	if most := 2 + int(time.Since(begin)/r.turned.every); lines > most {
		t.Errorf("%d lines, want %d at most", lines, most)
	}
	if out := r.out.String(); out != "" {
		t.Errorf("records: %s", out)
	}
}

func TestAFullProxyKeepsPlacesForClientsWithFewTunnels(t *testing.T) {
	r := run(t, base+"[server]\nmax_tunnels = 20\n") // two are kept, for those who have none
	to := origin(t)
	for i := range 18 {
		if got := ask(r.from("127.0.0.2"), to); !strings.HasPrefix(got, "200") {
			t.Fatalf("tunnel %d: %s", i, got)
		}
	}
	for _, c := range []struct{ client, want string }{
		{"127.0.0.2", "503 sluice: this proxy's last tunnels are for clients that have fewer"},
		{"127.0.0.3", "200"},
		{"127.0.0.3", "503 sluice: this proxy's last tunnels are for clients that have fewer"},
		{"127.0.0.4", "200"},
		{"127.0.0.5", "503 sluice: this proxy has no tunnel left"},
	} {
		if got := ask(r.from(c.client), to); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s, want %s", c.client, got, c.want)
		}
	}
}

// A client that sends a byte now and then is cut like one that sends none: for
// the first request of a connection, for later ones, and in either protocol.
func TestSendingSlowlyBuysNoTime(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	r := run(t, base+"[timeouts]\nhandshake = \"300ms\"\n")
	request := "GET " + web.URL + "/ HTTP/1.1\r\nHost: x\r\n\r\n"
	drip := "GET http://" + strings.Repeat("x", 5000)
	for _, c := range []struct{ name, first, slow string }{
		{"the first request", "", drip},
		{"a later request", request, drip},
		{"CONNECT", "", "CONNECT " + drip[11:]},
		{"SOCKS5", "", "\x05\xff" + strings.Repeat("\x01", 255)},
		{"SOCKS5 after its greeting", "\x05\x01\x00", "\x05\x01\x00\x03\xff" + drip},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := r.from("127.0.0.2")
			io.WriteString(conn, c.first)
			if c.first == request {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%v, %v", resp, err)
				}
				resp.Body.Close()
			}
			ended := make(chan struct{})
			go func() { io.Copy(io.Discard, conn); close(ended) }()
			for i := range c.slow {
				select {
				case <-ended:
					return
				case <-time.After(20 * time.Millisecond):
				}
				io.WriteString(conn, c.slow[i:i+1])
			}
			t.Error("it was never cut")
		})
	}
}

func openDescriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	return len(list)
}

func TestThousandsThatConnectAndCloseLeaveNothing(t *testing.T) {
	r := run(t, base+"[limits]\nnew_tunnels = \"100000/s\"\n")
	to := origin(t)
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	begun := []string{"", "C", "\x05", "CONNECT " + to + " HTTP/1.1\r\n\r\n", "\x05\x01\x00", "GET " + web.URL + "/ HTTP/1.1\r\nHost: x\r\n\r\n"}
	flood := func(n int) {
		for i := range n {
			c, err := net.Dial("tcp", r.addr())
			if errors.Is(err, syscall.ECONNRESET) {
				continue // faster than the server lets go of those before
			}
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(c, begun[i%len(begun)])
			if i%4 < 2 {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
		waitFor(t, func() bool { n, _ := r.waiting.Len(); return n == 0 && r.gate.Live().Len() == 0 })
	}
	flood(60) // what is made once
	goroutines, descriptors := runtime.NumGoroutine(), openDescriptors(t)
	flood(4000)
	waitFor(t, func() bool {
		return runtime.NumGoroutine() <= goroutines+crewSize && openDescriptors(t) <= descriptors
	})
	left := r.conns.Len()
	if _, clients := r.waiting.Len(); left != 0 || clients != 0 {
		t.Errorf("%d connections and %d clients are remembered", left, clients)
	}
}
