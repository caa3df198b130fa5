//go:build linux

package lab

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
)

// Origin is a web server on a host that counts what reaches it.
type Origin struct {
	accepts, requests, in, out atomic.Int64
}

// ServeHTTP serves handler on the host at addr until the test ends.
func ServeHTTP(t testing.TB, h *Host, addr string, handler http.Handler) *Origin {
	t.Helper()
	o := new(Origin)
	o.serve(t, countedListener{h.Listen(t, "tcp", addr), o}, handler)
	return o
}

// ServeHTTPS is ServeHTTP under TLS, with a certificate of ca for these names,
// for HTTP/1.1 and HTTP/2.
func ServeHTTPS(t testing.TB, h *Host, addr string, ca *CA, names []string, handler http.Handler) *Origin {
	t.Helper()
	o := new(Origin)
	o.serve(t, tls.NewListener(countedListener{h.Listen(t, "tcp", addr), o}, &tls.Config{
		Certificates: []tls.Certificate{ca.Leaf(t, names...).Certificate},
		NextProtos:   []string{"h2", "http/1.1"},
	}), handler)
	return o
}

func (o *Origin) serve(t testing.TB, l net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o.requests.Add(1)
			handler.ServeHTTP(w, r)
		}),
		// What a test does to the connections on purpose is no news.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// Accepts counts the TCP connections that have reached the server.
func (o *Origin) Accepts() int64 { return o.accepts.Load() }

// Requests counts the HTTP requests that have reached the server.
func (o *Origin) Requests() int64 { return o.requests.Load() }

// BytesIn counts the bytes read from all connections, those of TLS included.
func (o *Origin) BytesIn() int64 { return o.in.Load() }

// BytesOut counts the bytes written to all connections, those of TLS included.
func (o *Origin) BytesOut() int64 { return o.out.Load() }

type countedListener struct {
	net.Listener
	o *Origin
}

func (l countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.o.accepts.Add(1)
	return countedConn{c, l.o}, nil
}

// countedConn hides the ReadFrom of the connection in it, so that every byte
// passes through Write.
type countedConn struct {
	net.Conn
	o *Origin
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.o.in.Add(int64(n))
	return n, err
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.o.out.Add(int64(n))
	return n, err
}
