//go:build linux

package ends

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A tunnel's first message has messageSize bytes, and its first byte tells the
// origin what to do from then on. So one origin serves every kind of work, and
// proxies that know a single target need no other.
const (
	modeDown  = 'D' // send without end
	modeUp    = 'U' // receive without end
	modeEcho  = 'E' // send back what comes
	modeQuiet = 'Q' // the same, by a loop of its own that preempts the others
)

// messageSize is the size of the messages of round trips, in bytes.
const messageSize = 256

// blockSize is what a bulk sender hands to the kernel at once, and what a
// receiver takes from it, in bytes.
const blockSize = 256 << 10

// Origin is the far end of all tunnels: a listener on 127.0.0.1.
type Origin struct {
	listener    int
	port        int
	main, quiet *loop
	received    atomic.Int64 // bytes of tunnels that send up
	block       []byte
}

// NewOrigin opens an origin. Close ends it and its connections.
func NewOrigin() (*Origin, error) {
	o := &Origin{block: make([]byte, blockSize)}
	if err := o.listen(); err != nil {
		return nil, err
	}
	var err error
	if o.main, err = newLoop(false); err != nil {
		unix.Close(o.listener)
		return nil, err
	}
	if o.quiet, err = newLoop(true); err != nil {
		o.main.close()
		unix.Close(o.listener)
		return nil, err
	}
	o.main.do(func() { err = o.main.add(o.listener, unix.EPOLLIN, o.accept) })
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *Origin) listen() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	err = unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback})
	if err == nil {
		err = unix.Listen(fd, 4096)
	}
	var name unix.Sockaddr
	if err == nil {
		name, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("listen on loopback: %w", err)
	}
	o.listener, o.port = fd, name.(*unix.SockaddrInet4).Port
	return nil
}

// Port is where the origin listens on 127.0.0.1.
func (o *Origin) Port() int { return o.port }

// Close closes the listener and all connections.
func (o *Origin) Close() {
	o.main.close()
	o.quiet.close()
}

func (o *Origin) accept(uint32) bool {
	for {
		fd, _, err := unix.Accept4(o.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			// Whatever failed, the connection is gone, and the clients tell.
			return !errors.Is(err, unix.EBADF)
		}
		noDelay(fd)
		o.main.add(fd, unix.EPOLLIN, func(uint32) bool { return o.begin(fd) })
	}
}

// begin reads the first message and goes over to what it asks for.
func (o *Origin) begin(fd int) bool {
	var buf [messageSize]byte
	n, err := unix.Read(fd, buf[:])
	if n <= 0 {
		return err == unix.EAGAIN
	}
	switch buf[0] {
	case modeDown:
		o.main.change(fd, unix.EPOLLOUT, send(fd, o.block))
	case modeUp:
		o.main.change(fd, unix.EPOLLIN, receive(fd, o.block, &o.received))
	case modeEcho:
		o.main.change(fd, unix.EPOLLIN, echo(fd))
		return write(fd, buf[:n])
	case modeQuiet:
		o.main.take(fd)
		o.quiet.post(func() {
			if o.quiet.add(fd, unix.EPOLLIN, echo(fd)) == nil && !write(fd, buf[:n]) {
				o.quiet.drop(fd)
			}
		})
	default:
		return false
	}
	return true
}

func echo(fd int) handler {
	return func(uint32) bool {
		var buf [messageSize]byte
		n, err := unix.Read(fd, buf[:])
		if n <= 0 {
			return err == unix.EAGAIN
		}
		return write(fd, buf[:n])
	}
}

// write sends a message, which the socket's empty buffer has room for.
func write(fd int, p []byte) bool {
	n, err := unix.Write(fd, p)
	return err == nil && n == len(p)
}

// loopback is 127.0.0.1.
var loopback = [4]byte(net.IPv4(127, 0, 0, 1).To4())

func noDelay(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) }
