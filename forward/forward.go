// Package forward takes HTTP/1.0 and HTTP/1.1 in: CONNECT, and requests in
// absolute-form (RFC 9110, RFC 9112). It reads and writes the protocol and leaves
// the rest to others: deciding, limiting, dialling and recording to package gate,
// moving the bytes of tunnels and of large bodies to package relay.
//
// It does not use net/http. A forward proxy must read more strictly than a web
// server, pass on more faithfully than a web client, and hand a connection over
// with every byte that was read too early. So a message that two recipients could
// read in two ways is refused with 400 and a close, or is written anew so that one
// reading is left; what a client sends reaches the origin in its order and
// spelling, with a Via added and without the fields that are a matter of the one
// connection; a request is never sent twice, unless it is idempotent, has no body,
// and met a kept connection that the origin had closed; an answer that ends early
// reaches the client as a reset; connections to origins are kept for the one
// client connection that they were dialled for, and serve no other.
//
// A connection that waits for its next request holds no buffer.
package forward

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/track"
)

// keepAlive is how long a connection may wait for its next request.
const keepAlive = 60 * time.Second

// Handler serves HTTP on accepted connections. It must not be copied.
type Handler struct {
	Gate *gate.Gate
	// Via is this proxy's pseudonym in Via and Proxy-Status, a token; "":
	// "sluice". In Via it is followed by a random part, by which a request that
	// comes back is known.
	Via string
	// Program is what a refusal calls this program; "": "sluice".
	Program string
	// Self answers requests to the proxy itself, from clients that a rule names by
	// address; nil: they are refused as malformed. It is called from many
	// goroutines. Set it before the first request.
	Self func(SelfRequest) SelfAnswer
	// End is asked about each CONNECT, before the rules are, and returns what the
	// tunnel ends in within this process; nil, of the function or what it returns: it
	// leads to the host that it names. It is called from many goroutines. Set it before
	// the first request.
	End func(acl.Host, uint16) End

	once sync.Once
	name string    // in Via
	via  [2]string // the line, by the minor version of what came in
}

// End is what a tunnel ends in that leads to no other host.
type End interface {
	// Admit decides about a client in the rules' stead: by what, for the record, and
	// nil or why it is refused.
	Admit(client netip.Addr) (rule string, e *egress.Error)
	// Serve takes over a connection whose CONNECT was granted, and returns at once.
	// early is what came behind the CONNECT. When the connection is closed, the place
	// must be, and then the transaction be ended.
	Serve(tx *gate.Transaction, place *gate.Origin, conn *net.TCPConn, early []byte)
}

func (h *Handler) pseudonym() string {
	if h.Via == "" {
		return "sluice"
	}
	return h.Via
}

func (h *Handler) program() string {
	if h.Program == "" {
		return "sluice"
	}
	return h.Program
}

func (h *Handler) prepare() {
	h.name = h.pseudonym() + "-" + rand.Text()[:12]
	h.via = [2]string{"Via: 1.0 " + h.name + crlf, "Via: 1.1 " + h.name + crlf}
}

// Serve handles one accepted connection until it ends and closes it, unless a
// tunnel has taken it over when Serve returns. early is what was read from it
// already; it is copied. The first request's head must be complete within the
// policy's handshake time after accepted, each other's within the same time after
// its first byte. Every request leaves one record, and so does what was begun and
// is none; a connection that closes, or is too slow, without having sent anything
// leaves none.
func (h *Handler) Serve(conn *net.TCPConn, early []byte, src gate.Source, accepted time.Time) {
	h.once.Do(h.prepare)
	s := &session{h: h, conn: conn, src: src, since: accepted}
	defer s.end()
	s.in.reset(conn)
	s.in.push(early)
	conn.SetReadDeadline(s.headDeadline(accepted))
	for s.request() {
		if !s.await() {
			return
		}
	}
}

// session is one client connection.
type session struct {
	h      *Handler
	conn   *net.TCPConn
	src    gate.Source
	in     reader
	origin *gate.Origin // kept for the next request; nil: there is none
	out    reader       // what origin sends
	taken  bool         // a tunnel owns both connections
	since  time.Time    // the request is waited for: from accept, or its first byte
}

// end closes what is the session's own.
func (s *session) end() {
	s.in.release()
	s.dropOrigin()
	if !s.taken {
		s.conn.Close()
	}
}

func (s *session) dropOrigin() {
	s.out.release()
	if s.origin != nil {
		s.origin.Close()
		s.origin = nil
	}
}

// reset makes the end of the connection, which follows, a reset: what the client
// has of the answer is not the whole.
func (s *session) reset() { s.conn.SetLinger(0) }

func (s *session) headDeadline(from time.Time) time.Time {
	if d := s.h.Gate.Policy().Handshake; d > 0 {
		return from.Add(d)
	}
	return time.Time{}
}

// await waits for the first byte of the next request.
func (s *session) await() bool {
	if len(s.in.buffered()) == 0 {
		s.conn.SetReadDeadline(time.Now().Add(keepAlive))
		if s.in.fill(smallBuffer) != nil {
			return false
		}
	}
	s.since = time.Now()
	s.conn.SetReadDeadline(s.headDeadline(s.since))
	return true
}

// request serves one request. It tells whether another may follow.
func (s *session) request() (another bool) {
	var tx *gate.Transaction
	defer func() {
		if v := recover(); v != nil {
			s.panicked(tx, v)
			another = false
		}
	}()
	h := newHead()
	defer h.free()
	b, err := s.readHead(h)
	if len(s.in.buffered()) == 0 {
		return false // nobody asked for anything
	}
	s.conn.SetReadDeadline(time.Time{})
	proto := track.HTTP
	if bytes.HasPrefix(s.in.buffered(), []byte("CONNECT ")) {
		proto = track.Connect
	}
	tx = s.h.Gate.Begin(s.src, proto)
	if err != nil {
		s.unreadable(tx, err)
		return false
	}
	switch {
	case proto == track.Connect:
		s.connect(tx, h, len(b))
		return false
	case s.h.asksSelf(h):
		s.self(tx, h, len(b))
		return false
	}
	return s.exchange(tx, h, len(b))
}

// panicked ends the connection that a panic came in, and no other; tx is nil if
// the request was not read yet.
func (s *session) panicked(tx *gate.Transaction, value any) {
	if tx == nil {
		tx = s.h.Gate.Begin(s.src, track.HTTP)
	}
	tx.Panicked(value)
	abort(s.conn)
}

// readHead reads the head of a request. It stays buffered.
func (s *session) readHead(h *head) ([]byte, error) {
	if len(s.in.buffered()) == 0 {
		if err := s.in.fill(smallBuffer); err != nil {
			return nil, err
		}
	}
	if err := checkFirst(s.in.buffered()[0]); err != nil {
		return nil, err
	}
	h.start()
	b, err := s.in.head(true, h.requestLine)
	if err != nil {
		return nil, err
	}
	return b, h.readRequest(b)
}

// checkFirst tells from the first byte what is no HTTP, for its sender waits for
// an answer and will not send a line.
func checkFirst(c byte) error {
	switch {
	case c == 0x16: // RFC 8446, section 5.1: a handshake record
		return flawTLS
	case c == 0x04 || c == 0x05:
		return flawSOCKS
	case !tokens[c] && c != '\r' && c != '\n':
		return flawNoHTTP
	}
	return nil
}

// unreadable answers and records what is no request.
func (s *session) unreadable(tx *gate.Transaction, err error) {
	tx.Began(s.since)
	var f flaw
	switch {
	case errors.As(err, &f):
		s.refuse(tx, refusal{Error: malformed(f), toHEAD: bytes.HasPrefix(s.in.buffered(), []byte("HEAD "))})
	case errors.Is(err, errFull):
		s.refuse(tx, refusal{Error: &egress.Error{Kind: egress.HeaderTooLarge,
			Sentence: fmt.Sprintf("the request's head has more than %d bytes or %d lines", maxHead, maxLines)}})
	case errors.Is(err, os.ErrDeadlineExceeded):
		// A close without an answer: it would be taken for one to a later request.
		tx.Fail(gate.Malformed("the request was not complete in time"), 0)
	default:
		if err == io.EOF {
			err = nil
		}
		tx.Fail(&egress.Error{Kind: egress.ClientGone, Sentence: "the client left in the middle of its request", Err: err}, 0)
	}
}

func malformed(f flaw) *egress.Error { return gate.Malformed(string(f)) }
