package doctor

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// Bytes of SOCKS5 (RFC 1928) and of its password exchange (RFC 1929).
// golang.org/x/net/proxy speaks it too, but tells a reply in words alone.
const (
	socksVersion    = 5
	passwordVersion = 1
	methodNone      = 0
	methodPassword  = 2
	commandConnect  = 1
	typeIPv4        = 1
	typeName        = 3
	typeIPv6        = 4
	replyNotAllowed = 2
)

// replies are the meanings that RFC 1928, section 6, gives.
var replies = []string{
	1: "general failure", 2: "not allowed by the proxy's rules", 3: "network unreachable",
	4: "host unreachable", 5: "connection refused", 6: "TTL expired",
	7: "command not supported", 8: "address type not supported",
}

// socksConnect asks for a tunnel on a new connection to the proxy. Names are sent
// as they are, to be resolved at the proxy.
func socksConnect(c net.Conn, user *url.Userinfo, address string) error {
	methods := []byte{socksVersion, 1, methodNone}
	if user != nil {
		methods = []byte{socksVersion, 2, methodNone, methodPassword}
	}
	if _, err := c.Write(methods); err != nil {
		return err
	}
	var choice [2]byte
	if _, err := io.ReadFull(c, choice[:]); err != nil {
		return err
	}
	switch {
	case choice[0] != socksVersion:
		return errors.New("its answer is no SOCKS5")
	case choice[1] == methodPassword && user != nil:
		if err := socksPassword(c, user); err != nil {
			return err
		}
	case choice[1] != methodNone:
		return &Refusal{Sentence: "the proxy wants a user and a password", Credentials: true}
	}
	request, err := socksRequest(address)
	if err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	return socksReply(c)
}

func socksPassword(c net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) > 255 || len(password) > 255 {
		return errors.New("SOCKS5 has no room for a user or password of more than 255 bytes")
	}
	message := append([]byte{passwordVersion, byte(len(name))}, name...)
	message = append(append(message, byte(len(password))), password...)
	if _, err := c.Write(message); err != nil {
		return err
	}
	var answer [2]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return err
	}
	if answer[1] != 0 {
		return &Refusal{Sentence: "the proxy does not take this user and password", Credentials: true}
	}
	return nil
}

func socksRequest(address string) ([]byte, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, err
	}
	request := []byte{socksVersion, commandConnect, 0}
	switch a, err := netip.ParseAddr(host); {
	case err == nil && a.Is4():
		request = append(append(request, typeIPv4), a.AsSlice()...)
	case err == nil:
		request = append(append(request, typeIPv6), a.AsSlice()...)
	default:
		request = append(append(request, typeName, byte(len(host))), host...)
	}
	return append(request, byte(port>>8), byte(port)), nil
}

// socksReply reads no byte more than the reply has.
func socksReply(c net.Conn) error {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	if code := int(head[1]); code != 0 {
		meaning := "unknown"
		if code < len(replies) {
			meaning = replies[code]
		}
		return &Refusal{Reply: code, Sentence: meaning}
	}
	length := map[byte]int{typeIPv4: net.IPv4len, typeIPv6: net.IPv6len}[head[3]]
	if head[3] == typeName {
		var n [1]byte
		if _, err := io.ReadFull(c, n[:]); err != nil {
			return err
		}
		length = int(n[0])
	}
	if length == 0 {
		return fmt.Errorf("its reply has an address of unknown type %d", head[3])
	}
	_, err := io.ReadFull(c, make([]byte, length+2)) // address and port
	return err
}
