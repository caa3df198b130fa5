package socks

import (
	"errors"
	"io"
	"net"
	"time"

	"sluice/internal/egress"
)

// Read returns what was read before the session began, then what the client
// sends.
func (s *session) Read(p []byte) (int, error) {
	if len(s.early) > 0 {
		n := copy(p, s.early)
		s.early = s.early[n:]
		return n, nil
	}
	return s.conn.Read(p)
}

// errNoReply keeps the library from answering what gets no answer.
var errNoReply = errors.New("closed without a reply")

// Write sends what the library says. A failure reply gets the code of the one
// table, for the library guesses it from the text of errors and has no code for
// some; a request that cannot be read is closed without one.
func (s *session) Write(p []byte) (int, error) {
	if s.failure != nil && isReply(p) {
		if s.failure.Kind == egress.Malformed {
			if p[1] != commandNotSupported {
				return 0, errNoReply
			}
		} else {
			p = append([]byte(nil), p...) // a Write leaves its argument as it is
			p[1] = s.failure.Kind.Reply()
		}
	}
	return s.conn.Write(p)
}

// isReply tells a reply to a request (RFC 1928, section 6) from the shorter
// messages of the method negotiation.
func isReply(p []byte) bool { return len(p) >= 10 && p[0] == Version }

// commandNotSupported is a reply that the library sends by itself.
const commandNotSupported = 0x07

// WriteTo ends the library's copy from the client at once.
func (s *session) WriteTo(io.Writer) (int64, error) { return 0, nil }

// ReadFrom ends the library's copy to the client at once.
func (s *session) ReadFrom(io.Reader) (int64, error) { return 0, nil }

// Close does nothing: Serve closes the connection, or the relay.
func (s *session) Close() error { return nil }

func (s *session) LocalAddr() net.Addr                { return s.conn.LocalAddr() }
func (s *session) RemoteAddr() net.Addr               { return s.conn.RemoteAddr() }
func (s *session) SetDeadline(t time.Time) error      { return s.conn.SetDeadline(t) }
func (s *session) SetReadDeadline(t time.Time) error  { return s.conn.SetReadDeadline(t) }
func (s *session) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }

// target is the origin as the library sees it. What it writes there is what the
// client sent behind its request without waiting for the reply; the relay sends
// that first.
type target struct {
	early []byte
}

// Write keeps early bytes for the relay.
func (t *target) Write(p []byte) (int, error) {
	t.early = append(t.early, p...)
	return len(p), nil
}

// Read and WriteTo end the library's copy from the origin at once.
func (t *target) Read([]byte) (int, error)         { return 0, io.EOF }
func (t *target) WriteTo(io.Writer) (int64, error) { return 0, nil }
func (t *target) Close() error                     { return nil }
func (t *target) RemoteAddr() net.Addr             { return t.LocalAddr() }
func (t *target) SetDeadline(time.Time) error      { return nil }
func (t *target) SetReadDeadline(time.Time) error  { return nil }
func (t *target) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is what the success reply names as bound address. The proxy's own
// addresses are nobody's business, and no client needs them for CONNECT.
func (t *target) LocalAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero} }
