//go:build linux

package evasion

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// way is one of the ways into the proxy.
type way string

const (
	connect  way = "CONNECT"
	absolute way = "absolute-form"
	socks    way = "SOCKS5"
)

var ways = []way{connect, absolute, socks}

// SOCKS5 address types (RFC 1928, section 4).
const (
	atypIPv4 = 1
	atypName = 3
	atypIPv6 = 4
)

// request spells a request for a host and a port as text, and says whether the
// way can: a slash in a URI is not the host's any more, and SOCKS5 has a byte for
// the length of a name and two for the port.
func (w way) request(host, port string) (b []byte, can bool) {
	target := host + ":" + port
	switch w {
	case connect:
		return []byte("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"), true
	case absolute:
		return []byte("GET http://" + target + "/ HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"), !strings.ContainsAny(host, "/?#")
	default:
		n, err := strconv.ParseUint(port, 10, 16)
		return socksRequest(atypName, host, uint16(n)), err == nil && strconv.FormatUint(n, 10) == port && len(host) < 256
	}
}

// socksRequest is greeting and request in one, the host as a name or as the bytes
// of an address.
func socksRequest(atyp byte, host string, port uint16) []byte {
	b := []byte{5, 1, 0, 5, 1, 0, atyp}
	if atyp == atypName {
		b = append(b, byte(len(host)))
	}
	return append(append(b, host...), byte(port>>8), byte(port))
}

// socksAddr asks for an address in binary form.
func socksAddr(a netip.Addr, port uint16) []byte {
	if a.Is4() {
		return socksRequest(atypIPv4, string(a.AsSlice()), port)
	}
	return socksRequest(atypIPv6, string(a.AsSlice()), port)
}

// send sends a request and returns the answer in short: the HTTP status, the
// SOCKS5 reply code, or "closed".
func (w way) send(t *testing.T, to string, b []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	if w == socks {
		reply := make([]byte, 2+4)
		if _, err := io.ReadFull(r, reply); err != nil {
			return "closed"
		}
		return strconv.Itoa(int(reply[3]))
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return "closed"
	}
	_, rest, _ := strings.Cut(line, " ")
	status, _, _ := strings.Cut(rest, " ")
	if status == "200" && w == absolute {
		_, _ = io.Copy(io.Discard, r)
	}
	return status
}
