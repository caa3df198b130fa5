//go:build linux

package endtoend

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
)

// way is one of the ways into the proxy.
type way string

const (
	connect  way = "connect" // as records name it
	absolute way = "http"
	socks    way = "socks5"
)

var ways = []way{connect, absolute, socks}

// request is what a client asks for.
type request struct {
	to    string // host:port
	login string // user:password, "" for none
	lines string // more header lines
}

// bytes is the request as it is sent, for SOCKS5 without waiting for answers in
// between.
func (w way) bytes(r request) string {
	if w == socks {
		greeting, command := socksRequest(r)
		return greeting + command
	}
	if r.login != "" {
		r.lines += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(r.login)) + "\r\n"
	}
	if w == connect {
		return fmt.Sprintf("CONNECT %[1]s HTTP/1.1\r\nHost: %[1]s\r\n%[2]s\r\n", r.to, r.lines)
	}
	return fmt.Sprintf("GET http://%[1]s/path?secret=1 HTTP/1.1\r\nHost: %[1]s\r\n%[2]s\r\n", r.to, r.lines)
}

// socksRequest is the greeting of RFC 1928 with the credentials of RFC 1929, and
// the command behind it.
func socksRequest(r request) (greeting, command string) {
	greeting = "\x05\x01\x00"
	if r.login != "" {
		user, password, _ := strings.Cut(r.login, ":")
		greeting = "\x05\x01\x02\x01" + string(rune(len(user))) + user + string(rune(len(password))) + password
	}
	host, port := split(r.to)
	to := "\x03" + string(rune(len(host))) + host
	if a, err := netip.ParseAddr(host); err == nil {
		to = map[bool]string{true: "\x01", false: "\x04"}[a.Is4()] + string(a.AsSlice())
	}
	return greeting, "\x05\x01\x00" + to + string([]byte{byte(port >> 8), byte(port)})
}

// split parts host:port and takes brackets off; what is no port is 0.
func split(to string) (host string, port uint16) {
	i := strings.LastIndexByte(to, ':')
	fmt.Sscan(to[i+1:], &port)
	return strings.Trim(to[:i], "[]"), port
}

// granted is what a client is sent when its tunnel stands.
func (w way) granted() string {
	if w == socks {
		return "\x05\x00" + socksReply(0)
	}
	return "HTTP/1.1 200 Connection established\r\n\r\n"
}

// socksReply is a reply that names no address (RFC 1928, section 6).
func socksReply(code byte) string {
	return "\x05" + string([]byte{code}) + "\x00\x01\x00\x00\x00\x00\x00\x00"
}
