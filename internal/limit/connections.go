package limit

import (
	"net/netip"
	"sync"
)

// Connections counts the client connections that hold no tunnel: those in their
// handshake, and kept HTTP connections between two requests that hold none to an
// origin. So each connection of a client takes a place either here or in a Table,
// and a client, or all together, never have more connections than both bounds
// added up: a connection that comes back from a tunnel is not turned away, but
// keeps new ones out.
//
// What has no bound of time of its own must not be counted here; whoever enters a
// connection closes it in the end.
type Connections struct {
	mu          sync.Mutex
	most, total int // of one client, of all
	used        int
	clients     map[netip.Addr]int // no entry is 0, so that whoever is gone is forgotten
}

// NewConnections returns a count with places for total connections, of which one
// client has at most perClient, and never more than a quarter.
func NewConnections(perClient, total int) *Connections {
	c := &Connections{clients: make(map[netip.Addr]int)}
	c.Resize(perClient, total)
	return c
}

// Resize changes the number of places. Connections that are over it now stay, and
// keep new ones out.
func (c *Connections) Resize(perClient, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.most, c.total = max(1, min(perClient, total/4)), total
}

// Places returns how many places one client has at most, and how many there are.
func (c *Connections) Places() (perClient, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most, c.total
}

// Connection is one that has entered. It starts out without a tunnel. The nil
// Connection is not counted.
type Connection struct {
	of   *Connections
	key  netip.Addr
	away bool // it holds a tunnel, or is closed
	over bool // closed
}

// Crowded tells whether half the places are taken. The rest is for clients that
// may hope for a tunnel.
func (c *Connections) Crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used >= c.total/2
}

// Enter takes a place for a connection without a tunnel, or says what bound keeps
// it from that: TooMany of this client, or Scarce, when there are none or the last
// ones are kept for clients with fewer. The Connection must be closed.
func (c *Connections) Enter(addr netip.Addr) (*Connection, Reason) {
	key := Key(addr)
	c.mu.Lock()
	defer c.mu.Unlock()
	own := c.clients[key]
	switch few := Few(c.used, c.total); {
	case own >= c.most:
		return nil, TooMany
	case c.used >= c.total, few > 0 && own >= few:
		return nil, Scarce
	}
	c.add(key, 1)
	return &Connection{of: c, key: key}, Admitted
}

func (c *Connections) add(key netip.Addr, n int) {
	c.used += n
	if own := c.clients[key] + n; own != 0 {
		c.clients[key] = own
	} else {
		delete(c.clients, key)
	}
}

// Len returns the number of connections that are counted, and that of their
// clients.
func (c *Connections) Len() (connections, clients int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, len(c.clients)
}

// Leave takes the connection out of the count while it holds a tunnel.
func (c *Connection) Leave() { c.set(true, false) }

// Return counts it again. After Close it does nothing.
func (c *Connection) Return() { c.set(false, false) }

// Close ends the count for good: the connection is closed, or its tunnel has
// taken it over.
func (c *Connection) Close() { c.set(true, true) }

func (c *Connection) set(away, over bool) {
	if c == nil {
		return
	}
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.over {
		return
	}
	c.over = over
	if c.away == away {
		return
	}
	c.away = away
	if away {
		c.of.add(c.key, -1)
	} else {
		c.of.add(c.key, 1)
	}
}
