package server

import (
	"net"
	"sync"
)

// connections are those that no tunnel has taken over.
type connections struct {
	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	closed bool
}

func (c *connections) add(conn *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.open == nil {
		c.open = make(map[*net.TCPConn]struct{})
	}
	c.open[conn] = struct{}{}
	return true
}

func (c *connections) remove(conn *net.TCPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		conn.Close()
	}
}
