package relay

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// platform is what a mover needs for waiting with empty hands and for splicing.
// Its callbacks are made once, for a closure for each burst would be an
// allocation for each burst.
type platform struct {
	raw    syscall.RawConn
	read   func(fd uintptr) bool
	peek   func(fd uintptr) bool
	buf    *[bufferSize]byte // borrowed while bytes are in it
	n      int
	err    error
	bulk   bool // bytes come faster than buffers drain: splice
	urgent bool // the next byte may be one behind urgent data
	splice io.LimitedReader
}

// move waits for bytes and moves at most limit of them, by the cheaper way. io.EOF
// is a clean end of src.
func (m *mover) move(limit int64) (n int64, err error) {
	if m.budget.Bucket() == nil && !m.bulk && limit >= bufferSize {
		n, err = m.moveSmall()
	} else {
		n, err = m.moveKnown(limit)
	}
	if err == io.EOF {
		err = m.ended()
	}
	return n, err
}

func (p *platform) init(m *mover) {
	raw, err := m.src.SyscallConn()
	if err != nil {
		p.err = err // src is closed: told by the first move
		return
	}
	p.raw, p.read, p.peek = raw, p.readSome, p.peekSome
	p.splice.R = m.src
}

// moveSmall waits for bytes and reads them into a borrowed buffer.
func (m *mover) moveSmall() (int64, error) {
	if m.raw == nil {
		return 0, m.err
	}
	if err := m.raw.Read(m.read); err != nil {
		return 0, err
	}
	buf, n, err := m.buf, m.n, m.err
	m.buf = nil
	if buf == nil {
		return 0, err
	}
	err = m.write(buf[:n])
	buffers.Put(buf)
	if err != nil {
		return 0, err
	}
	m.bulk = n == bufferSize
	return int64(n), nil
}

// readSome is called by the poller when the socket may be readable. It borrows a
// buffer only then, and returns false to wait on.
func (p *platform) readSome(fd uintptr) bool {
	buf := buffers.Get().(*[bufferSize]byte)
	n, err := unix.Read(int(fd), buf[:])
	for err == unix.EINTR {
		n, err = unix.Read(int(fd), buf[:])
	}
	if n > 0 {
		p.buf, p.n, p.err = buf, n, nil
		return true
	}
	buffers.Put(buf)
	if err == unix.EAGAIN {
		return false
	}
	if err == nil {
		err = io.EOF
	}
	p.err = err
	return true
}

// moveKnown waits until the kernel says how many bytes there are, charges the
// budget for as many as may go, and moves just those.
func (m *mover) moveKnown(limit int64) (int64, error) {
	if m.raw == nil {
		return 0, m.err
	}
	if err := m.raw.Read(m.peek); err != nil {
		return 0, err
	}
	if m.n == 0 {
		return 0, m.err
	}
	b := m.budget.Bucket()
	n := min(int64(m.n), limit, int64(b.Chunk()))
	if n < bufferSize {
		m.bulk = false
	}
	if err := m.take(b, int(n)); err != nil {
		return 0, err
	}
	if m.urgent {
		return m.moveOne()
	}
	m.splice.N = n
	moved, err := io.Copy(m.dst, &m.splice)
	m.add(moved)
	if err != nil && !m.readFailed(err) {
		err = &writeError{err}
	}
	return moved, err
}

// moveOne reads one byte and writes it, for splice(2) does not get past urgent
// data (tcp(7), MSG_OOB), which read(2) leaves out.
func (m *mover) moveOne() (int64, error) {
	var one [1]byte
	var n int
	var err error
	if e := m.raw.Read(func(fd uintptr) bool {
		n, err = unix.Read(int(fd), one[:])
		return err != unix.EAGAIN && err != unix.EINTR
	}); e != nil {
		return 0, e
	}
	switch {
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return 1, m.send(one[:])
}

// peekSome finds out how many bytes wait. FIONREAD says 0 both for "not yet" and
// for the end, which a peek of one byte tells apart, and when urgent data is next.
func (p *platform) peekSome(fd uintptr) bool {
	p.n, p.err, p.urgent = 0, nil, false
	n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	if err == nil && n > 0 {
		p.n = n
		return true
	}
	var one [1]byte
	n, _, err = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK)
	switch {
	case n > 0:
		p.n, p.urgent = n, true
	case err == unix.EAGAIN || err == unix.EINTR:
		return false
	case err == nil:
		p.err = io.EOF
	default:
		p.err = err
	}
	return true
}

// readFailed tells whether the error of a spliced copy came from src. The standard
// library does not say, but EPIPE comes from writing alone, and a connection that
// a reset has ended is dead.
func (m *mover) readFailed(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, unix.EPIPE) && m.dead()
}

// ended tells what the end of src was. The kernel tells of a reset once, to
// whichever call comes first; when that was the other direction's write, reads
// find an end that looks like a FIN. But a connection that has only been closed
// by its peer is not dead, as long as nothing was shut down on this side.
func (m *mover) ended() error {
	// The order matters: the other direction may shut the sending side down just
	// now, and says so before it does.
	if m.dead() && (m.halfClosed == nil || !m.halfClosed.Load()) {
		return unix.ECONNRESET
	}
	return io.EOF
}

// dead tells whether src is in state CLOSE, or was closed by both sides: poll(2)
// says POLLHUP then (the kernel's tcp_poll).
func (m *mover) dead() bool {
	hup := false
	m.raw.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds[:], 0)
		hup = err == nil && n == 1 && fds[0].Revents&unix.POLLHUP != 0
	})
	return hup
}
