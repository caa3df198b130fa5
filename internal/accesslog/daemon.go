package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// The local sockets of the daemons that take logs: syslog(3) has always used the
// one, sd_journal_send(3) uses the other.
const (
	syslogSocket  = "/dev/log"
	journalSocket = "/run/systemd/journal/socket"
)

// sendTime is how long a daemon whose queue is full is waited for, each time.
const sendTime = 250 * time.Millisecond

// daemon sends each line as one datagram to a daemon's socket. It connects anew
// when the daemon has been restarted.
type daemon struct {
	path    string
	end     []byte // of a line; its last byte is not sent
	tooLong func() // is told of a line that the system sends in no datagram

	mu     sync.Mutex
	conn   net.Conn // nil: the daemon is away
	closed bool
}

// openDaemon returns an output to a daemon that listens.
func openDaemon(name, path, end string, tooLong func()) (*output, error) {
	d := &daemon{path: path, end: []byte(end), tooLong: tooLong}
	if _, err := d.connect(nil); err != nil {
		return nil, fmt.Errorf("open access log: no %s takes records at %s: %w", name, path, err)
	}
	return &output{w: d, file: d, chunk: maxFileChunk, end: end}, nil
}

// connect returns the connection, made anew where it is the one that failed.
func (d *daemon) connect(failed net.Conn) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, net.ErrClosed
	}
	if d.conn != nil && d.conn != failed {
		return d.conn, nil
	}
	if d.conn != nil {
		d.conn.Close()
		d.conn = nil
	}
	conn, err := net.Dial("unixgram", d.path)
	if err != nil {
		return nil, err
	}
	d.conn = conn
	return conn, nil
}

// Write sends whole lines. It returns the bytes of those that were sent.
func (d *daemon) Write(p []byte) (n int, err error) {
	conn, err := d.connect(nil)
	if err != nil {
		return 0, err
	}
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return 0, err
	}
	for n < len(p) {
		line, _, _ := bytes.Cut(p[n:], d.end)
		size := min(len(line)+len(d.end), len(p)-n)
		if conn, err = d.send(conn, p[n:n+size-1]); err != nil {
			return n, err
		}
		n += size
	}
	return n, nil
}

// send sends one datagram, over a new connection if the daemon was restarted.
func (d *daemon) send(conn net.Conn, line []byte) (net.Conn, error) {
	_, err := conn.Write(line)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.EMSGSIZE) {
		if conn, err = d.connect(conn); err != nil {
			return nil, err
		}
		if err = conn.SetWriteDeadline(time.Now().Add(sendTime)); err == nil {
			_, err = conn.Write(line)
		}
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		d.tooLong() // trying again would not help, and hold up all that follows
		err = nil
	}
	return conn, err
}

// Close ends the connection, and a Write that waits.
func (d *daemon) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.conn == nil {
		return nil
	}
	return d.conn.Close()
}
