package site

import (
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// mostConnections are open at once; others wait until one is closed, which idle
	// ones are before long.
	mostConnections = 64
	mostHeader      = 16 << 10 // bytes; a browser sends the cookies of all ports of a host
	// AnswerTime is how long a client may take to read an answer. It begins anew for an
	// endpoint that sets the deadline for writing.
	AnswerTime = 30 * time.Second
	// sendBuffer is what the kernel holds, in bytes, of what a client does not read.
	sendBuffer = 256 << 10
)

// Server returns a server for a handler, with bounds on what each request and
// connection may take. Close it before the handler.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      AnswerTime,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    mostHeader,
		// The library would answer OPTIONS * by itself.
		DisableGeneralOptionsHandler: true,
	}
}

// Listener bounds the connections of a listener.
func Listener(ln net.Listener) net.Listener {
	return netutil.LimitListener(bounded{ln}, mostConnections)
}

// bounded is a listener whose connections have small buffers, so that who does not
// read is found out soon.
type bounded struct{ net.Listener }

func (l bounded) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if b, ok := c.(interface{ SetWriteBuffer(int) error }); ok {
		_ = b.SetWriteBuffer(sendBuffer) // it is no matter where it cannot be set
	}
	return c, err
}
