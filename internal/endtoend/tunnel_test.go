//go:build linux

package endtoend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// budgets are the limits under which every story of a tunnel is told: bytes that
// are charged take another way through the proxy than bytes that are not.
var budgets = map[string]string{
	"unlimited": "",
	"charged":   "[limits]\nupload = \"900MB/s\"\ndownload = \"900MB/s\"\nburst = \"64KiB\"\n",
}

// tunnel is one that stands: what is written at one end comes out at the other.
type tunnel struct {
	*served
	way            way
	client, origin *net.TCPConn
	up, down       int64 // bytes that were counted before: the heads of an upgrade
}

// inEveryTunnel tells a story in tunnels of each way in and each budget. A granted
// upgrade is the tunnel of absolute-form.
func inEveryTunnel(t *testing.T, story func(*testing.T, func() *tunnel)) {
	for _, w := range ways {
		for name, limits := range budgets {
			t.Run(string(w)+"/"+name, func(t *testing.T) {
				s := serve(t, admitAll+limits+"[egress]\nallow_private = [\"127.0.0.0/8\"]\n")
				story(t, func() *tunnel { return s.open(t, w) })
				s.noRecord()
			})
		}
	}
}

// open makes a tunnel.
func (s *served) open(t *testing.T, w way) *tunnel {
	t.Helper()
	ln := listen(t)
	defer ln.Close()
	tun := &tunnel{served: s, way: w, client: s.dial()}
	ask := request{to: ln.Addr().String()}
	if w == absolute {
		ask.lines = "Connection: Upgrade\r\nUpgrade: echo\r\n"
	}
	io.WriteString(tun.client, w.bytes(ask))
	ln.SetDeadline(time.Now().Add(patience))
	var err error
	if tun.origin, err = ln.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.origin.Close() })
	tun.origin.SetDeadline(time.Now().Add(patience))
	if w == absolute {
		tun.upgrade(t)
		return tun
	}
	got := make([]byte, len(w.granted()))
	if _, err := io.ReadFull(tun.client, got); err != nil || string(got) != w.granted() {
		t.Fatalf("the client got %q, %v", got, err)
	}
	return tun
}

// upgrade has the origin grant an upgrade.
func (tun *tunnel) upgrade(t *testing.T) {
	t.Helper()
	var head bytes.Buffer
	if _, err := http.ReadRequest(bufio.NewReader(io.TeeReader(oneByte{tun.origin}, &head))); err != nil {
		t.Fatalf("the origin got %q, %v", head.String(), err)
	}
	tun.up = int64(head.Len())
	io.WriteString(tun.origin, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	head.Reset()
	if _, err := http.ReadResponse(bufio.NewReader(io.TeeReader(oneByte{tun.client}, &head)), nil); err != nil {
		t.Fatalf("the client got %q, %v", head.String(), err)
	}
	tun.down = int64(head.Len())
}

// leaves takes the tunnel's record and holds it against how it went. closedBy may
// be two sides with a bar between, where either may have been first.
func (tun *tunnel) leaves(t *testing.T, closedBy, how string, up, down int64) {
	t.Helper()
	r := tun.record()
	want := record{"protocol": string(tun.way), "outcome": "ok", "decision": "allow", "reason": "", "rule": "all",
		"closed_how": how, "bytes_up": fmt.Sprint(tun.up + up), "bytes_down": fmt.Sprint(tun.down + down)}
	want["status"] = map[way]string{connect: "200", absolute: "101", socks: ""}[tun.way]
	for name := range want {
		if r.text(name) != want.text(name) {
			t.Errorf("the record's %s is %q, want %q", name, r.text(name), want.text(name))
		}
	}
	if by := r.text("closed_by"); by == "" || !strings.Contains(closedBy, by) {
		t.Errorf("closed by %q, want %s", by, closedBy)
	}
}

// direction is one way through a tunnel: from writes, and to reads.
type direction struct {
	name     string // the side that writes
	from, to *net.TCPConn
}

// directions are both ways, which must not differ in anything.
func (tun *tunnel) directions() []direction {
	return []direction{{"client", tun.client, tun.origin}, {"origin", tun.origin, tun.client}}
}

// bytes sorts what a direction has carried, and what the other one has, into up
// and down.
func (d direction) bytes(there, back int64) (up, down int64) {
	if d.name == "client" {
		return there, back
	}
	return back, there
}

// both tells a story for each direction, in a tunnel of its own.
func both(t *testing.T, open func() *tunnel, story func(*tunnel, direction)) {
	for i := range 2 {
		tun := open()
		d := tun.directions()[i]
		story(tun, d)
		if t.Failed() {
			t.Fatalf("with the %s as the one who writes", d.name)
		}
	}
}

// pattern is n bytes whose order shows.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*i>>7 + i)
	}
	return b
}

// reads asserts that exactly this comes, and then the end.
func reads(t *testing.T, c *net.TCPConn, want []byte) {
	t.Helper()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
}

// isReset asserts that a connection ends with a reset and not with a close.
func isReset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if b, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %d bytes %v, not a reset", len(b), err)
	}
}

// reset ends a connection with a reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}
