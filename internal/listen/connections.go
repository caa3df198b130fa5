package listen

import (
	"net"
	"sync"
)

// Connections are the accepted connections that their server has to close in the end.
// It is safe for concurrent use, and the zero value is ready.
type Connections struct {
	mu     sync.Mutex
	open   map[*net.TCPConn]struct{}
	closed bool
}

// Add takes a connection in; false: all were closed, and the caller closes this one.
func (c *Connections) Add(conn *net.TCPConn) bool {
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

// Remove lets go of one that was closed, or that another has taken over.
func (c *Connections) Remove(conn *net.TCPConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// Len returns how many there are.
func (c *Connections) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}

// CloseAll closes them, and takes no more.
func (c *Connections) CloseAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		conn.Close()
	}
}
