//go:build !linux

package relay

import (
	"context"
	"net"
)

// Poller watches the sockets of tunnels; on this system there is none.
type Poller struct{}

// NewPoller returns nil, which Options take for "a goroutine for each direction".
func NewPoller(int, bool) (*Poller, error) { return nil, nil }

// Answers returns nil.
func (p *Poller) Answers(context.Context) error { return nil }

// Close does nothing.
func (p *Poller) Close() {}

func (p *Poller) add(*Tunnel, *net.TCPConn, *net.TCPConn, []byte) bool { return false }

// seat is empty where there is no Poller.
type seat struct{}

func (s *seat) taken() bool { return false }

func (t *Tunnel) leave(reset bool) {}

func (t *Tunnel) crashSeat() {}

// moving is empty where there is no Poller.
type moving struct{}

type loop struct{ ended []ending }
