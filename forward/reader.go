package forward

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// Sizes of the buffers that are lent out. Most heads fit into the first; bodies
// that must be looked at while they pass (chunked ones) get the second, so that
// one system call brings many chunks.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// Bounds of a head, of requests and answers alike.
const (
	maxHead  = 64 << 10 // bytes, the empty line included
	maxLines = 256      // header lines
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}
)

func borrow(large bool) []byte {
	if large {
		return largeBuffers.Get().(*[largeBuffer]byte)[:]
	}
	return smallBuffers.Get().(*[smallBuffer]byte)[:]
}

// giveBack takes a buffer of borrow, or any other, which is dropped.
func giveBack(b []byte) {
	switch cap(b) {
	case smallBuffer:
		smallBuffers.Put((*[smallBuffer]byte)(b[:smallBuffer]))
	case largeBuffer:
		largeBuffers.Put((*[largeBuffer]byte)(b[:largeBuffer]))
	}
}

// reader buffers what one connection sends. It holds a buffer only while bytes
// are in it: a connection that waits holds none. The zero reader must be given a
// connection by reset.
type reader struct {
	conn  *net.TCPConn
	raw   syscall.RawConn
	buf   []byte // borrowed; nil while empty
	from  int    // buf[from:to] is buffered
	to    int
	large bool // borrow a large buffer
	poll       // what the callbacks of raw leave
}

// reset makes the reader ready for a connection and forgets what was buffered.
func (r *reader) reset(conn *net.TCPConn) {
	r.release()
	r.conn, r.large = conn, false
	r.raw, r.err = conn.SyscallConn()
	r.poll.init(r)
}

// push buffers a copy of bytes that were read by someone else.
func (r *reader) push(b []byte) {
	if len(b) == 0 {
		return
	}
	r.buf = borrow(len(b) > smallBuffer)
	if len(b) > len(r.buf) {
		r.buf = make([]byte, len(b))
	}
	r.from, r.to = 0, copy(r.buf, b)
}

// buffered returns what was read and not taken. It is valid until the next fill
// or skip.
func (r *reader) buffered() []byte { return r.buf[r.from:r.to] }

// skip takes n of the buffered bytes.
func (r *reader) skip(n int) {
	r.from += n
	if r.from == r.to {
		r.release()
	}
}

func (r *reader) release() {
	giveBack(r.buf)
	r.buf, r.from, r.to = nil, 0, 0
}

// take returns a copy of what is buffered, or nil, and forgets it.
func (r *reader) take() []byte {
	b := bytes.Clone(r.buffered())
	r.release()
	return b
}

// errFull says that more was asked for than a bound admits.
var errFull = errors.New("over the bound")

// fill waits for bytes and appends them to what is buffered, at most limit bytes
// in all. Its errors are io.EOF, errFull, and those of the connection.
func (r *reader) fill(limit int) error {
	if r.buf != nil && r.to == len(r.buf) {
		if err := r.grow(limit); err != nil {
			return err
		}
	}
	return r.read()
}

// grow makes room behind what is buffered.
func (r *reader) grow(limit int) error {
	n := r.to - r.from
	if n >= limit {
		return errFull
	}
	if r.from > 0 {
		copy(r.buf, r.buffered())
		r.from, r.to = 0, n
		return nil
	}
	var bigger []byte
	if n < largeBuffer {
		bigger = borrow(true)
	} else {
		bigger = make([]byte, min(2*n, limit))
	}
	copy(bigger, r.buffered())
	giveBack(r.buf)
	r.buf, r.from, r.to = bigger, 0, n
	return nil
}

// head waits until a whole head is buffered and returns it, up to and with its
// empty line. One empty line ahead of a request is skipped if blank is set (RFC
// 9112, section 2.2). When a wait for more lines would follow, the first is given
// to check, so that what is no HTTP is told at once. Its errors are those of fill
// and of check, and flaws.
func (r *reader) head(blank bool, check func(line []byte) error) ([]byte, error) {
	var s lines
	for checked := false; ; {
		b := r.buffered()
		n, err := s.more(b)
		switch {
		case err != nil:
			return nil, err
		case n > len(crlf):
			return b[:n], nil
		case n > 0 && !blank:
			return nil, flawEmptyLine
		case n > 0:
			r.skip(n)
			s, blank = lines{}, false
			continue
		case s.first > 0 && !checked:
			if err := check(b[:s.first]); err != nil {
				return nil, err
			}
			checked = true
		}
		if err := r.fill(maxHead); err != nil {
			return nil, err
		}
	}
}

// lines looks for the lines of a head as they come in.
type lines struct {
	at    int // what is before was looked at
	start int // of the line that at is in
	first int // length of the first line; 0: it is not complete
	count int
}

// more returns the length of the head, its empty line included, or 0 if b, all
// that is there, does not hold it yet.
func (s *lines) more(b []byte) (int, error) {
	for {
		i := bytes.IndexByte(b[s.at:], '\n')
		if i < 0 {
			s.at = len(b)
			return 0, nil
		}
		end := s.at + i
		// RFC 9112, section 2.2, lets a recipient take a bare LF for the end of a
		// line. Not all do, so what one reads as two lines another reads as one.
		if end == 0 || b[end-1] != '\r' {
			return 0, flawBareLF
		}
		s.at = end + 1
		if end-1 == s.start {
			return s.at, nil
		}
		if s.first == 0 {
			s.first = end - 1
		}
		if s.count++; s.count > maxLines {
			return 0, errFull
		}
		s.start = s.at
	}
}

const crlf = "\r\n"

// unexpected turns the end of a connection into the error that it is in the
// middle of a message.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
