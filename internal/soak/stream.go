//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// period is the length after which the bytes of a stream repeat: a prime, so that
// no buffer's size hides a byte that was lost or came twice.
const period = 65521

// noise is what streams consist of, twice over, so that a period can be cut out
// of it anywhere.
type noise [2 * period]byte

func newNoise() *noise {
	n := new(noise)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(n[:period]) // it never fails
	copy(n[period:], n[:period])
	return n
}

// stream is one direction of one tunnel: bytes that both ends know beforehand.
type stream struct {
	noise *noise
	start int64
}

// at returns what the stream has at an offset, at most a period.
func (s stream) at(offset int64, n int) []byte {
	o := (s.start + offset) % period
	return s.noise[o : o+int64(min(n, period))]
}

// pieces is how much is read or written at a time.
const pieces = 32 << 10

// patience bounds everything that one end of a tunnel does: what takes longer
// hangs.
const patience = 90 * time.Second

// end is one end of a tunnel, with what went through it. One goroutine may send
// while another receives.
type end struct {
	conn    *net.TCPConn
	r       io.Reader // of conn, with what was read too far
	origin  bool      // which end it is
	out, in stream
	sent    int64 // taken by the kernel
	got     int64
	early   int64 // sent ahead of its time, along with the request
	spoiled bool  // what came is not what was sent
	rand    *rand.Rand
}

// newEnd makes an end of a tunnel out of a connection.
func newEnd(n *noise, t *tunnel, c *net.TCPConn, origin bool) *end {
	_ = c.SetDeadline(time.Now().Add(patience)) // fails only on a connection that is gone
	up, down := stream{n, int64(t.number) * 7919}, stream{n, int64(t.number)*7919 + period/2}
	e := &end{conn: c, r: c, origin: origin, out: up, in: down, rand: rand.New(rand.NewPCG(uint64(t.number), 0))}
	if origin {
		e.out, e.in = down, up
	}
	return e
}

// What is wrong with what came.
var (
	errSpoiled  = errors.New("other bytes came than were sent")
	errCleanEnd = errors.New("a clean end came where the other side was cut off")
)

// send sends the next n bytes, but for those that were sent early.
func (e *end) send(n int64) error {
	done := min(n, e.early)
	e.early -= done
	n -= done
	for n > 0 {
		m, err := e.conn.Write(e.out.at(e.sent, int(min(n, pieces))))
		e.sent += int64(m)
		n -= int64(m)
		if err != nil {
			return fmt.Errorf("send after %d bytes: %w", e.sent, err)
		}
	}
	return nil
}

// recv receives n bytes.
func (e *end) recv(n int64) error {
	buf := make([]byte, min(n, pieces))
	for n > 0 {
		m, err := e.r.Read(buf[:min(n, int64(len(buf)))])
		if !bytes.Equal(buf[:m], e.in.at(e.got, m)) {
			e.spoiled = true
		}
		e.got += int64(m)
		n -= int64(m)
		if err != nil && n > 0 {
			return fmt.Errorf("receive after %d bytes: %w", e.got, err)
		}
	}
	if e.spoiled {
		return errSpoiled
	}
	return nil
}

// recvAll receives n bytes and a clean end behind them.
func (e *end) recvAll(n int64) error {
	if err := e.recv(n); err != nil {
		return err
	}
	return e.recvEnd()
}

// recvEnd receives a clean end.
func (e *end) recvEnd() error {
	m, err := e.r.Read(make([]byte, 1))
	e.got += int64(m)
	switch {
	case m > 0:
		return errors.New("more bytes came than were sent")
	case err != io.EOF:
		return fmt.Errorf("for a clean end after %d bytes: %w", e.got, err)
	}
	return nil
}

// recvCut receives until the connection breaks; a clean end is an error.
func (e *end) recvCut() error {
	err := e.recv(1 << 62)
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w after %d bytes", errCleanEnd, e.got)
	case isTimeout(err), e.spoiled:
		return err
	}
	return nil // a reset is what was wanted
}

// recvReset waits for a reset on a connection whose end was read already, for
// then reading tells of none (tcp(7)).
func (e *end) recvReset() error {
	raw, err := e.conn.SyscallConn()
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var told int
		if err := raw.Control(func(fd uintptr) { told, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }); err != nil {
			return err
		}
		if err != nil || told != 0 {
			return err
		}
	}
	return errors.New("no reset came")
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// finish says that no more is to come.
func (e *end) finish() error { return e.conn.CloseWrite() }

// reset breaks the connection off.
func (e *end) reset() error {
	_ = e.conn.SetLinger(0) // fails only on a connection that is gone
	return e.conn.Close()
}

// pause waits for some random time below d.
func (e *end) pause(d time.Duration) { time.Sleep(e.upTo(d)) }

func (e *end) upTo(d time.Duration) time.Duration {
	return time.Duration(e.rand.Int64N(int64(d)))
}

// part returns some random number up to n.
func (e *end) part(n int64) int64 { return e.rand.Int64N(n + 1) }

// both does two things at once.
func both(a, b func() error) error {
	var wg sync.WaitGroup
	var errA error
	wg.Go(func() { errA = a() })
	errB := b()
	wg.Wait()
	return errors.Join(errA, errB)
}
