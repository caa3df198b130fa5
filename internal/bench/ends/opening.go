//go:build linux

package ends

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Protocol is how a client asks for a tunnel.
type Protocol int

const (
	Plain   Protocol = iota // not at all: the proxy knows its only target
	Connect                 // HTTP CONNECT
	Socks5                  // SOCKS5 without authentication
)

func (p Protocol) String() string {
	return [...]string{"plain TCP", "CONNECT", "SOCKS5"}[p]
}

// step is one message and its answer. complete tells how long the answer is once
// all of it is there, and 0 before.
type step struct {
	send     []byte
	complete func(got []byte) (n int, err error)
}

// opening is how a tunnel to the port on 127.0.0.1 is asked for.
func (p Protocol) opening(port int) []step {
	switch p {
	case Connect:
		target := "127.0.0.1:" + strconv.Itoa(port)
		return []step{{
			[]byte("CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n"),
			connectAnswer,
		}}
	case Socks5:
		request := append([]byte{5, 1, 0, 1}, loopback[:]...)
		request = append(request, byte(port>>8), byte(port))
		return []step{
			{[]byte{5, 1, 0}, socksMethod},
			{request, socksReply},
		}
	}
	return nil
}

func connectAnswer(got []byte) (int, error) {
	end := bytes.Index(got, []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	line, _, _ := bytes.Cut(got, []byte("\r\n"))
	if fields := bytes.Fields(line); len(fields) < 2 || string(fields[1]) != "200" {
		return 0, fmt.Errorf("CONNECT answered with %q", line)
	}
	return end + 4, nil
}

func socksMethod(got []byte) (int, error) {
	if len(got) < 2 {
		return 0, nil
	}
	if got[0] != 5 || got[1] != 0 {
		return 0, fmt.Errorf("SOCKS5 greeting answered with % x", got)
	}
	return 2, nil
}

// socksReply reads RFC 1928, section 6. The bound address has the form that the
// proxy likes.
func socksReply(got []byte) (int, error) {
	if len(got) < 5 {
		return 0, nil
	}
	if got[1] != 0 {
		return 0, fmt.Errorf("SOCKS5 request answered with reply %d", got[1])
	}
	n := 6
	switch got[3] {
	case 1:
		n += 4
	case 4:
		n += 16
	case 3:
		n += 1 + int(got[4])
	default:
		return 0, errors.New("SOCKS5 reply with an unknown type of address")
	}
	if len(got) < n {
		return 0, nil
	}
	return n, nil
}

// trip is one round trip of a message that begins with mode.
func trip(mode byte) step {
	message := make([]byte, messageSize)
	message[0] = mode
	return step{message, func(got []byte) (int, error) {
		if len(got) < messageSize {
			return 0, nil
		}
		return messageSize, nil
	}}
}
