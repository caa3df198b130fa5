package admin

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/admin/site"
)

// A client that takes no answer, or sends no whole request, is cut off. The bounds of
// time are those of the server, a hundredth of each.
func TestAClientThatDoesNotGoOnIsCutOff(t *testing.T) {
	g, _ := transactions(t, 5000) // an answer of some megabytes
	h := New(Options{Gate: g, Totals: func() (int64, int64, map[string]uint64) { return 0, 0, nil }})
	s := site.Server(h)
	for _, bound := range []*time.Duration{&s.ReadHeaderTimeout, &s.ReadTimeout, &s.WriteTimeout, &s.IdleTimeout} {
		*bound /= 100
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var closed sync.Map // connections of the server that are
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed.Store(c.RemoteAddr().String(), true)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(site.Listener(ln)) })
	defer func() {
		s.Close()
		wg.Wait()
		h.Close()
	}()
	for name, sent := range map[string]string{
		"takes no answer":          "GET /tunnels HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"stops in a request":       "GET /tunnels HTTP/1.1\r\nHo",
		"says nothing":             "",
		"asks for nothing further": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.(*net.TCPConn).SetReadBuffer(4 << 10)
			io.WriteString(c, sent)
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				if _, ok := closed.Load(c.LocalAddr().String()); ok {
					return
				}
				if time.Now().After(end) {
					t.Fatal("it keeps its connection")
				}
			}
		})
	}
	t.Run("watches", func(t *testing.T) { // for longer than any of the bounds
		resp, err := http.Get("http://" + ln.Addr().String() + "/events")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		ticks := 0
		for lines := bufio.NewReader(resp.Body); ticks < 2; {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("after %d ticks: %v", ticks, err)
			}
			if line == "event: tick\n" {
				ticks++
			}
		}
	})
}
