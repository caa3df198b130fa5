package server

import (
	"context"
	"slices"
	"time"
)

// lastRequestTime is how long whoever was accepted has to say what for, once the
// server is about to end. Clients ask at once when they are connected; what stays
// silent for that long is a connection kept for later.
const lastRequestTime = time.Second

// lastRequests waits for the requests of connections that an inherited listener has
// accepted. They cannot be put back into the queue for the next process, and this
// one serves them (see gate.Source). Nobody accepts any more.
func (s *Server) lastRequests(cut context.Context, listeners []*listener) {
	if !slices.ContainsFunc(listeners, func(l *listener) bool { return l.inherited }) {
		return
	}
	ctx, cancel := context.WithTimeout(cut, lastRequestTime)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if n, _ := s.waiting.Len(); n == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}
