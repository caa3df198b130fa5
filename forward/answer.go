package forward

import (
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/track"
)

const (
	// answerTimeout bounds the time to hand an answer of our own to the kernel,
	// which takes none while the client reads.
	answerTimeout = 5 * time.Second

	// A client that is still sending when it is refused would lose the answer to
	// the reset that a plain close gives it (RFC 9112, section 9.6). What it sends
	// is thrown away this long and this far.
	lingerTime  = 2 * time.Second
	lingerBytes = 256 << 10
)

// refusal is an answer of our own.
type refusal struct {
	*egress.Error
	toHEAD bool // no body
	keep   bool // the connection may serve another request
}

// refuse answers a request with what kept it from its destination, and records
// it. A client that is gone gets none.
func (s *session) refuse(tx *gate.Transaction, r refusal) {
	if r.Kind == egress.ClientGone {
		tx.Fail(r.Error, 0)
		return
	}
	s.conn.SetDeadline(time.Now().Add(answerTimeout))
	_, err := s.conn.Write(s.h.appendRefusal(nil, r, tx.ID()))
	s.conn.SetDeadline(time.Time{})
	status := r.Kind.Status()
	if err != nil {
		status = 0
	}
	tx.Fail(r.Error, status)
	if !r.keep {
		s.linger()
	}
}

// appendRefusal writes an answer. The reason phrase carries the sentence as well,
// for Go programs, docker among them, show nothing else of a failed CONNECT.
func (h *Handler) appendRefusal(b []byte, r refusal, id track.ID) []byte {
	sentence := printable(r.Sentence)
	text := h.program() + ": " + sentence + "\nrequest " + id.String() + "\n"

	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(r.Kind.Status()), 10)
	b = append(b, ' ')
	b = append(b, h.program()...)
	b = append(b, ": "...)
	b = append(b, sentence...)
	b = append(b, "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, crlf...)
	if e := r.Kind.ProxyError(); e != "" {
		b = append(b, "Proxy-Status: "...)
		b = append(b, h.pseudonym()...)
		b = append(b, "; error="...)
		b = append(b, e...)
		b = append(b, `; details="`...)
		b = append(b, sfEscape.Replace(sentence)...)
		b = append(b, "\"\r\n"...)
	}
	if r.Kind == egress.AuthRequired {
		b = append(b, "Proxy-Authenticate: Basic realm=\"sluice\"\r\n"...)
	}
	if r.RetryAfter > 0 {
		b = appendNumber(b, []byte("Retry-After"), int64(math.Ceil(r.RetryAfter.Seconds())))
	}
	if !r.keep {
		b = append(b, "Connection: close\r\n"...)
	}
	b = append(b, crlf...)
	if r.toHEAD {
		return b
	}
	return append(b, text...)
}

// sfEscape escapes the text of a structured field's string (RFC 8941, section
// 3.3.3).
var sfEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// printable makes sure that a sentence is one line of printable ASCII.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// linger closes for writing and reads on for a moment. The connection is closed
// by whoever serves it.
func (s *session) linger() {
	if s.conn.CloseWrite() != nil {
		return
	}
	s.conn.SetReadDeadline(time.Now().Add(lingerTime))
	for thrown := 0; thrown < lingerBytes; {
		s.in.release()
		if s.in.fill(smallBuffer) != nil {
			return
		}
		thrown += len(s.in.buffered())
	}
}
