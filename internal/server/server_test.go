package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"sluice/internal/config"
)

func TestBothProtocolsAnswerOnOnePortAndOnPortsOfTheirOwn(t *testing.T) {
	file := strings.Replace(base, "[[rule]]", `[[listener]]
address = "127.0.0.2:0"
protocol = "http"
[[listener]]
address = "127.0.0.3:0"
protocol = "socks5"
[[rule]]`, 1)
	r := run(t, file)
	to := origin(t)
	viaSOCKS := func(addr string) error {
		d, err := proxy.SOCKS5("tcp", addr, nil, proxy.Direct)
		if err != nil {
			return err
		}
		c, err := d.Dial("tcp", to)
		if err == nil {
			hello(t, c)
			c.Close()
		}
		return err
	}
	viaHTTP := func(addr string) error {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\n\r\n", to)
		if _, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: "CONNECT"}); err != nil {
			return err
		}
		return nil
	}
	for i, want := range []struct{ http, socks bool }{{true, true}, {true, false}, {false, true}} {
		addr := r.Addrs()[i].String()
		if err := viaHTTP(addr); (err == nil) != want.http {
			t.Errorf("HTTP on listener %d: %v", i, err)
		}
		if err := viaSOCKS(addr); (err == nil) != want.socks {
			t.Errorf("SOCKS5 on listener %d: %v", i, err)
		}
	}
}

func TestTheProxyIsNeverReachedThroughItself(t *testing.T) {
	r := run(t, base)
	_, port, _ := net.SplitHostPort(r.addr())
	_, adminPort, _ := net.SplitHostPort(r.AdminAddr().String())
	for _, to := range []string{"127.0.0.1:" + port, "localhost:" + port, "127.0.0.1:" + adminPort} {
		if _, status := r.connect(to); !strings.HasPrefix(status, "HTTP/1.1 403 sluice: ") {
			t.Errorf("CONNECT %s: %s", to, status)
		}
	}
	for _, rec := range r.records() {
		if rec["outcome"] != "loop" {
			t.Errorf("record %v", rec)
		}
	}
}

func TestSIGTERMLetsTunnelsEnd(t *testing.T) {
	r := run(t, base+"[server]\ndrain = \"20s\"\n")
	c, _ := r.connect(origin(t))
	hello(t, c)
	addr := r.addr()
	r.stop()
	waitFor(t, func() bool { return strings.Contains(r.err.String(), `"msg":"draining","tunnels":1`) })
	if d, err := net.Dial("tcp", addr); err == nil {
		d.Close()
		t.Error("still accepting while draining")
	}
	if resp, err := http.Get("http://" + r.AdminAddr().String() + "/readyz"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready while draining: %v %v", resp, err)
	} else {
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	c.Write([]byte("bye"))
	c.Close()
	r.wait()
	if recs := r.records(); len(recs) != 1 || recs[0]["closed_by"] != "client" || recs[0]["bytes_up"] != 3.0 {
		t.Errorf("records %v", recs)
	}
}

func TestTheDrainTimeCutsWhatIsLeft(t *testing.T) {
	r := run(t, base+"[server]\ndrain = \"100ms\"\n")
	c, _ := r.connect(origin(t))
	hello(t, c)
	r.stop()
	r.wait()
	if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the cut tunnel ends with %v, want a reset", err)
	}
	if recs := r.records(); len(recs) != 1 || recs[0]["closed_by"] != "sluice" || recs[0]["closed_how"] != "drain" || recs[0]["bytes_down"] != 5.0 {
		t.Errorf("records %v", recs)
	}
}

func TestASecondSignalCutsAtOnce(t *testing.T) {
	r := run(t, base+"[server]\ndrain = \"10m\"\n")
	c, _ := r.connect(origin(t))
	hello(t, c)
	r.stop()
	r.stopNow()
	r.wait()
	if recs := r.records(); len(recs) != 1 || recs[0]["closed_how"] != "drain" {
		t.Errorf("records %v", recs)
	}
}

func TestADialUnderWayHoldsUpNoEnd(t *testing.T) {
	for _, c := range []struct{ name, request, answer string }{
		{"connect", "CONNECT example.com:80 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 "},
		{"http", "GET http://example.com/ HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 503 "},
		{"socks5", "\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x00\x50", "\x05\x00\x05\x01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			silent, err := net.ListenPacket("udp", "127.0.0.1:0") // a name server that does not answer
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			r := run(t, base+fmt.Sprintf("resolver = [%q]\n[server]\ndrain = \"0s\"\n[timeouts]\ndial = \"10m\"\n", silent.LocalAddr()))
			conn, err := net.Dial("tcp", r.addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, c.request)
			if _, _, err := silent.ReadFrom(make([]byte, 512)); err != nil {
				t.Fatal(err)
			}
			r.stop()
			r.wait()
			if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), c.answer) {
				t.Errorf("answer %q", answer)
			}
			if recs := r.records(); len(recs) != 1 || recs[0]["outcome"] != "server_full" || recs[0]["closed_by"] != "sluice" || recs[0]["closed_how"] != "drain" {
				t.Errorf("records %v", recs)
			}
		})
	}
}

// stuck is a log whose reader has stopped.
type stuck struct{ wake chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.wake; return len(p), nil }

// Neither requests nor the end wait for a log.
func TestLogsThatTakeNoMoreHoldNothingUp(t *testing.T) {
	for _, both := range []bool{false, true} {
		cfg, err := config.Parse("test.toml", []byte(base+"[server]\ndrain = \"1m\"\n"), config.Flags{Admin: new(string)}, config.Presets{})
		if err != nil {
			t.Fatal(err)
		}
		log := stuck{make(chan struct{})}
		defer close(log.wake)
		r := &running{t: t, done: make(chan error, 1)}
		o := Options{Stdout: log, Stderr: &r.err}
		if both {
			o.Stderr = log
		}
		if r.Server, err = New(cfg, o); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		go func() { r.done <- r.Serve(ctx, context.Background()) }()
		for range 3 {
			if _, status := r.connect("192.0.2.1:80"); !strings.HasPrefix(status, "HTTP/1.1 403 ") {
				t.Errorf("answer %s", status)
			}
		}
		waitFor(t, func() bool { return r.gate.Live().Len() == 0 })
		stop()
		r.wait()
		if !both && !strings.Contains(r.err.String(), `"msg":"the access log does not take its last records","lost":3`) {
			t.Errorf("it does not say so: %s", r.err.String())
		}
	}
}

func TestAProbeLeavesNoRecordAndNoError(t *testing.T) {
	r := run(t, base)
	for range 3 {
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	r.stop()
	r.wait()
	if out := r.out.String(); out != "" {
		t.Errorf("records: %s", out)
	}
	if strings.Contains(r.err.String(), `"level":"error"`) {
		t.Errorf("errors: %s", r.err.String())
	}
}

func TestASilentClientIsClosedAtItsDeadline(t *testing.T) {
	r := run(t, base+"[timeouts]\nhandshake = \"200ms\"\n")
	c, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := c.Read(make([]byte, 1)); n != 0 || os.IsTimeout(err) {
		t.Errorf("read %d, %v", n, err)
	}
}

func TestANewServerOpensAllListenersOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	free.Close()
	cfg, err := config.Parse("t", fmt.Appendf(nil, "[admin]\naddress=\"\"\n[[listener]]\naddress=%q\n[[listener]]\naddress=%q\n", addr, taken.Addr()), config.Flags{}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("error %v does not name the address", err)
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Errorf("the first listener was left open: %v", err)
	} else {
		again.Close()
	}
}

func TestTheStartTellsWhatIsUnsafe(t *testing.T) {
	r := run(t, base)
	log := r.err.String()
	for _, want := range []string{`"msg":"rule","rule":"lab"`, `"msg":"listening"`, `"msg":"ready"`, `"max_tunnels":`} {
		if !strings.Contains(log, want) {
			t.Errorf("the start does not say %s:\n%s", want, log)
		}
	}
}
