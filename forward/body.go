package forward

import (
	"net"

	"sluice/internal/relay"
)

// body is how the content of a message ends (RFC 9112, section 6.3).
type body struct {
	kind   kind
	length int64
}

type kind uint8

const (
	noBody     kind = iota
	sized           // after length bytes
	chunked         // with the last chunk
	untilClose      // with the connection
)

// body returns how a request's content ends.
func (h *head) body() body {
	switch {
	case h.chunked:
		return body{kind: chunked}
	case h.length > 0:
		return body{kind: sized, length: h.length}
	}
	return body{}
}

// answerBody returns how the content of an answer ends, which depends on the
// request's method.
func (h *head) answerBody(toHEAD bool) body {
	switch {
	case toHEAD || !h.mayHaveBody():
		return body{}
	case h.chunked || h.length > 0:
		return h.body()
	case h.length == 0:
		return body{}
	}
	return body{kind: untilClose}
}

// mayHaveBody tells whether answers of this status have content.
func (h *head) mayHaveBody() bool { return h.status >= 200 && h.status != 204 && h.status != 304 }

// lane is one direction of an exchange: what is written to dst is charged and
// counted. Errors of dst are told apart by relay.IsWriteError.
type lane struct {
	dst   *net.TCPConn
	meter relay.Meter
}

func (l lane) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return relay.Write(l.dst, p, l.meter)
}

// spliceFrom is how much there must be left of a body, or of a chunk, to splice
// it past this process. Below, one read and one write cost less.
const spliceFrom = 64 << 10

// copySized moves n bytes of a body, first those that are buffered.
func (l lane) copySized(in *reader, n int64) error {
	for n > 0 {
		if b := in.buffered(); len(b) > 0 {
			b = b[:min(n, int64(len(b)))]
			if err := l.write(b); err != nil {
				return err
			}
			n -= int64(len(b))
			in.skip(len(b))
			continue
		}
		if n >= spliceFrom {
			return relay.CopyN(l.dst, in.conn, n, l.meter)
		}
		in.large = n > smallBuffer
		if err := in.fill(largeBuffer); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// copyRest moves all that comes until the connection ends.
func (l lane) copyRest(in *reader) error {
	if err := l.write(in.buffered()); err != nil {
		return err
	}
	in.release()
	return relay.CopyAll(l.dst, in.conn, l.meter)
}

// copy moves a body as it is framed.
func (l lane) copy(in *reader, b body, plain bool, named []string) error {
	defer func() { in.large = false }()
	switch b.kind {
	case sized:
		return l.copySized(in, b.length)
	case chunked:
		return l.copyChunked(in, plain, named)
	case untilClose:
		return l.copyRest(in)
	}
	return nil
}
