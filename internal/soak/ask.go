//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The clients, by source address. Each has its own limits at Sluice.
var (
	ordinary = clients{netip.MustParseAddr("127.1.0.1"), 64}
	slowed   = clients{netip.MustParseAddr("127.3.0.1"), 8} // the rule "slowed" has them
	hostile  = clients{netip.MustParseAddr("127.2.0.1"), 4}
)

// clients are some addresses in a row.
type clients struct {
	first netip.Addr
	count int
}

func (c clients) any(r *rand.Rand) netip.Addr {
	a := c.first.As4()
	a[3] += byte(r.IntN(c.count))
	return netip.AddrFrom4(a)
}

// dial connects to Sluice from an address.
func dial(from netip.Addr, to netip.AddrPort) (*net.TCPConn, error) {
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	d := net.Dialer{LocalAddr: local, Timeout: patience}
	d.SetMultipathTCP(false)
	c, err := d.Dial("tcp4", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// destination is the host that a client asks for. By address there is only the
// zone "good".
func destination(t *tunnel, byAddress bool) string {
	zone := t.kind.zone
	if zone == "" {
		zone = zoneGood
		if byAddress {
			return addrOf(t.number).String()
		}
	}
	return fmt.Sprintf("%d.%s.test", t.number, zone)
}

// ask asks Sluice for a tunnel and sends early along with that. It returns
// whether the tunnel is open, or what Sluice said instead.
func (e *end) ask(w way, host string, port uint16, early int64) (status int, err error) {
	r := bufio.NewReader(e.conn)
	e.r = r
	first := e.out.at(0, int(early))
	if w == byCONNECT {
		return e.askHTTP(r, net.JoinHostPort(host, strconv.Itoa(int(port))), first)
	}
	return e.askSOCKS(r, host, port, first)
}

// open is the status of a tunnel that is open; SOCKS5's own is 0.
const open = 200

func (e *end) askHTTP(r *bufio.Reader, target string, early []byte) (int, error) {
	request := "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"
	if _, err := e.conn.Write(append([]byte(request), early...)); err != nil {
		return 0, err
	}
	e.sent += int64(len(early))
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	parts := strings.SplitN(line, " ", 3)
	if len(parts) < 3 {
		return 0, fmt.Errorf("the answer begins with %q", line)
	}
	for { // the fields
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		if line == "\r\n" {
			return strconv.Atoi(parts[1])
		}
	}
}

// socksRequest is all that a client says in SOCKS5 (RFC 1928, sections 3 and 4).
func socksRequest(host string, port uint16) []byte {
	request := []byte{5, 1, 0, 5, 1, 0}
	if a, err := netip.ParseAddr(host); err == nil {
		request = append(append(request, 1), a.AsSlice()...)
	} else {
		request = append(append(request, 3, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(request, port)
}

func (e *end) askSOCKS(r *bufio.Reader, host string, port uint16, early []byte) (int, error) {
	if _, err := e.conn.Write(append(socksRequest(host, port), early...)); err != nil {
		return 0, err
	}
	e.sent += int64(len(early))
	var method [2]byte
	if _, err := io.ReadFull(r, method[:]); err != nil {
		return 0, err
	}
	if method != [2]byte{5, 0} {
		return 0, fmt.Errorf("the method is % x", method)
	}
	var reply [10]byte
	if _, err := io.ReadFull(r, reply[:]); err != nil {
		return 0, err
	}
	if reply[0] != 5 || reply[3] != 1 {
		return 0, fmt.Errorf("the reply is % x", reply)
	}
	if reply[1] == 0 {
		return open, nil
	}
	return int(reply[1]), nil
}

// runTunnel is the whole life of a tunnel on the client's side.
func (s *runner) runTunnel(t *tunnel, from netip.Addr, r *rand.Rand) {
	t.client.here = true
	conn, err := dial(from, s.proxy.listener)
	if err != nil {
		t.client.err = err
		return
	}
	defer conn.Close()
	e := newEnd(s.noise, t, conn, false)
	e.rand = r
	port, early := s.origins.tunnels, int64(0)
	if t.kind.zone == zoneClosed {
		port = closedPort
	}
	if t.kind.speaks && r.IntN(3) == 0 {
		early = min(t.up/23, 4000) // no more than the first round of messages has
	}
	t.status, err = e.ask(t.way, destination(t, r.IntN(4) == 0), port, early)
	t.answered = time.Now()
	t.connected = err == nil && t.status == open
	if err != nil {
		t.client.err = fmt.Errorf("no answer: %w", err)
	} else if t.connected && t.kind.client != nil {
		e.early = early
		t.client.err = t.kind.client(t, e)
	}
	t.client.of(e)
	if t.connected {
		s.meet(t)
	}
}

// meet waits until the origin is done with a tunnel, too.
func (s *runner) meet(t *tunnel) {
	select {
	case <-t.met:
	case <-time.After(patience):
		t.client.err = errors.Join(t.client.err, errors.New("the origin is not done with it"))
	}
}
