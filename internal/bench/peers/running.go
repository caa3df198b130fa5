//go:build linux

package peers

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// Running is the processes of a bench, so that all end with it. Its zero value has none.
type Running struct {
	mu     sync.Mutex
	all    map[*Process]bool
	closed bool
}

// Start starts a peer, and keeps it to be ended.
func (r *Running) Start(p Peer, s Setup) (*Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errors.New("the bench is closed")
	}
	started, err := p.Start(s)
	if err != nil {
		return nil, err
	}
	if r.all == nil {
		r.all = make(map[*Process]bool)
	}
	r.all[started] = true
	return started, nil
}

// Stop ends a peer.
func (r *Running) Stop(p *Process) {
	p.Stop()
	r.mu.Lock()
	delete(r.all, p)
	r.mu.Unlock()
}

// Close ends all that run. Nothing starts after it.
func (r *Running) Close() {
	r.mu.Lock()
	r.closed = true
	all := r.all
	r.all = nil
	r.mu.Unlock()
	for p := range all {
		p.Stop()
	}
}

// FreePort finds one outside the usual range of connecting sockets
// (net.ipv4.ip_local_port_range), of which others take some at any time.
func FreePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
	}
	return 0, errors.New("no free port on 127.0.0.1 from 20000 to 30000")
}
