//go:build linux

package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/config"
	"sluice/internal/lab"
	"sluice/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// record is a line of the access log.
type record map[string]any

func (r record) text(name string) string {
	switch v := r[name].(type) {
	case nil:
		return ""
	case float64:
		return fmt.Sprintf("%.0f", v)
	default:
		return fmt.Sprint(v)
	}
}

// served is a running server.
type served struct {
	*server.Server
	t    testing.TB
	addr netip.AddrPort // of its one listener
	log  *journal
	stop context.CancelFunc
	read int // records that were taken
}

// serve runs a server on a port of its own, with this configuration beside the
// listener, until the test ends.
func serve(t testing.TB, file string) *served {
	t.Helper()
	return serveWith(t, "", file)
}

// serveWith is serve with keys of the top level.
func serveWith(t testing.TB, top, file string) *served {
	t.Helper()
	return serveFile(t, top+"[[listener]]\naddress = \"127.0.0.1:0\"\n"+file)
}

// serveAt is serve on another address.
func serveAt(t testing.TB, address, file string) *served {
	t.Helper()
	return serveFile(t, "[[listener]]\naddress = \""+address+"\"\n"+file)
}

func serveFile(t testing.TB, file string) *served {
	t.Helper()
	off := ""
	cfg, err := config.Parse("test.toml", []byte(file), config.Flags{Admin: &off}, config.Presets{})
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, log: &journal{}}
	if s.Server, err = server.New(cfg, server.Options{Stdout: s.log, Stderr: &s.log.other}); err != nil {
		t.Fatal(err)
	}
	s.addr = s.Addrs()[0]
	ctx, stop := context.WithCancel(context.Background())
	cut, cutNow := context.WithCancel(context.Background())
	s.stop = stop
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, cut) }()
	t.Cleanup(func() {
		stop()
		cutNow()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the server does not end")
		}
		if t.Failed() {
			t.Logf("records:\n%s\nlog:\n%s", s.log, &s.log.other)
		}
	})
	return s
}

// record waits for the next record and takes it.
func (s *served) record() record {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if list := s.log.records(s.t); len(list) > s.read {
			s.read++
			return list[s.read-1]
		}
		if time.Now().After(deadline) {
			s.t.Fatal("no record was left")
		}
	}
}

// noRecord asserts that nothing more was recorded.
func (s *served) noRecord() {
	s.t.Helper()
	if list := s.log.records(s.t); len(list) > s.read {
		s.t.Errorf("records too many: %v", list[s.read:])
	}
}

// dial connects to the proxy.
func (s *served) dial() *net.TCPConn {
	s.t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(s.addr))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// journal is an access log that can be read while it is written.
type journal struct {
	lab.Transcript
	other lab.Transcript // what is no access record
}

func (j *journal) records(t testing.TB) []record {
	t.Helper()
	var list []record
	for line := range strings.Lines(j.String()) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q is no record: %v", line, err)
		}
		list = append(list, r)
	}
	return list
}

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}
