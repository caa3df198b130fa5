//go:build unix

package forward

import (
	"io"

	"golang.org/x/sys/unix"
)

// poll has the callbacks that a reader gives to its RawConn, made once for each
// connection, and what they leave.
type poll struct {
	reader *reader
	some   func(fd uintptr) bool
	ready  func(fd uintptr) bool
	err    error
}

func (p *poll) init(r *reader) {
	p.reader = r
	if p.some == nil {
		p.some, p.ready = p.readSome, p.peek
	}
}

// read waits with empty hands, and borrows a buffer only when there is something
// to put into it.
func (r *reader) read() error {
	if r.raw == nil {
		return r.err
	}
	if err := r.raw.Read(r.some); err != nil {
		return err
	}
	return r.err
}

// readSome is called by the runtime's poller when the socket may be readable; it
// returns false to wait on.
func (p *poll) readSome(fd uintptr) bool {
	r := p.reader
	if r.buf == nil {
		r.buf = borrow(r.large)
	}
	n, err := unix.Read(int(fd), r.buf[r.to:])
	for err == unix.EINTR {
		n, err = unix.Read(int(fd), r.buf[r.to:])
	}
	if n > 0 {
		r.to += n
		p.err = nil
		return true
	}
	if r.from == r.to {
		r.release()
	}
	if err == unix.EAGAIN {
		return false
	}
	p.err = err
	if err == nil {
		p.err = io.EOF
	}
	return true
}

// wait blocks until bytes could be read, and takes none. Its errors are io.EOF
// and those of the connection.
func (r *reader) wait() error {
	if r.raw == nil {
		return r.err
	}
	if err := r.raw.Read(r.ready); err != nil {
		return err
	}
	return r.err
}

func (p *poll) peek(fd uintptr) bool {
	return p.peekOnce(fd) != unix.EAGAIN
}

func (p *poll) peekOnce(fd uintptr) error {
	var one [1]byte
	n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
	}
	p.err = err
	if err == nil && n == 0 {
		p.err = io.EOF
	}
	return err
}

// waitReset blocks until a connection that has bytes to read, or whose peer has
// closed its side, is reset. A read would go on to tell those, so the socket's own
// error is asked for.
func (r *reader) waitReset() error {
	if r.raw == nil {
		return r.err
	}
	var reset error
	err := r.raw.Read(func(fd uintptr) bool {
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && n != 0 {
			err = unix.Errno(n)
		}
		reset = err
		return err != nil
	})
	if err != nil {
		return err
	}
	return reset
}

// quiet tells whether the connection stands and has nothing to read: an answer
// that nobody asked for, or the end, must not meet the next request.
func (r *reader) quiet() bool {
	if r.raw == nil || len(r.buffered()) > 0 {
		return false
	}
	err := r.raw.Read(func(fd uintptr) bool {
		_ = r.peekOnce(fd) // nothing is waited for
		return true
	})
	return err == nil && r.err == unix.EAGAIN
}
