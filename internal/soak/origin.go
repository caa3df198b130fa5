//go:build linux

package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// origins listen on one port for tunnels and on one for HTTP, on all addresses of
// 127.0.0.0/8: the address that a connection is for tells its tunnel's number.
type origins struct {
	book      *book
	noise     *noise
	tunnels   uint16 // ports
	http      uint16
	listeners []net.Listener
	strangers atomic.Int64 // connections that belong to no tunnel
	wg        sync.WaitGroup
}

func serveOrigins(b *book, n *noise) (*origins, error) {
	o := &origins{book: b, noise: n}
	for _, p := range []struct {
		port  *uint16
		serve func(*net.TCPConn)
	}{{&o.tunnels, o.serveTunnel}, {&o.http, o.serveHTTP}} {
		l, err := net.Listen("tcp4", ":0")
		if err != nil {
			o.close()
			return nil, err
		}
		*p.port = l.Addr().(*net.TCPAddr).AddrPort().Port()
		o.listeners = append(o.listeners, l)
		o.wg.Go(func() { o.accept(l, p.serve) })
	}
	return o, nil
}

func (o *origins) close() {
	for _, l := range o.listeners {
		l.Close()
	}
	o.wg.Wait()
}

func (o *origins) accept(l net.Listener, serve func(*net.TCPConn)) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			time.Sleep(10 * time.Millisecond)
		default:
			o.wg.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	}
}

// numberAt is the number of the tunnel that a connection belongs to.
func numberAt(c *net.TCPConn) uint32 {
	return numberOf(c.LocalAddr().(*net.TCPAddr).AddrPort().Addr())
}

// serveTunnel plays a tunnel's origin.
func (o *origins) serveTunnel(c *net.TCPConn) {
	t := o.book.find(numberAt(c))
	if t == nil || t.kind.origin == nil {
		o.strangers.Add(1)
		return
	}
	defer t.done()
	e := newEnd(o.noise, t, c, true)
	t.origin.here = true
	t.origin.err = t.kind.origin(t, e)
	t.origin.of(e)
}
