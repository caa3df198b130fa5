//go:build !linux

package relay

import "net"

// Poller is where tunnels rest; on this system none does.
type Poller struct{}

// NewPoller returns nil, which Options take for "stay active".
func NewPoller() (*Poller, error) { return nil, nil }

// Close does nothing.
func (p *Poller) Close() {}

func (p *Poller) add(*Tunnel, *net.TCPConn, *net.TCPConn) bool { return false }

// rest is empty where tunnels never rest.
type rest struct{}

func (r *rest) resting() bool { return false }

func (t *Tunnel) leaveRest(bool) {}

func (t *Tunnel) crashRest() {}
