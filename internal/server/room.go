package server

import (
	"fmt"

	"sluice/internal/config"
)

// room is how many connections of all clients there are places for.
type room struct {
	handshakes int // without a tunnel: one descriptor each
	tunnels    int // two each, the client's and the origin's
	extra      int // of sockets that dials have beyond one each; 0: no bound
	warnings   []string
}

// What there is room for when descriptors are plenty.
const (
	mostHandshakes = 4096
	mostTunnels    = 20000
)

// Shares of the descriptors. What is kept for the process itself serves listeners,
// logs, pollers, the admin address, spares, pipes, and what a tunnel has only while
// it is dialled: sockets of look-ups and further attempts.
const (
	handshakeShare = 8  // one in eight
	processShare   = 16 // one in sixteen, but
	processLeast   = 32
	extraShare     = 64 // of these, one in 64 of all, but
	extraLeast     = 8
)

// roomFor divides the descriptors so that connections cannot use them up: the
// configured bounds, or the most that there is room for, are lowered to what they
// allow. 0 descriptors: it is not known how many there are.
func roomFor(cfg *config.Config, descriptors uint64) room {
	r := room{handshakes: mostHandshakes, tunnels: mostTunnels}
	if cfg.Server.MaxHandshakes > 0 {
		r.handshakes = cfg.Server.MaxHandshakes
	}
	if cfg.Server.MaxTunnels > 0 {
		r.tunnels = cfg.Server.MaxTunnels
	}
	if descriptors == 0 {
		return r
	}
	r.extra = max(int(descriptors/extraShare), extraLeast)
	left := int(descriptors) - max(int(descriptors/processShare), processLeast)
	share := int(descriptors / handshakeShare)
	if cfg.Server.MaxHandshakes > 0 {
		share = left / 2
	}
	r.lower("max_handshakes", &r.handshakes, share, cfg.Server.MaxHandshakes > 0, descriptors)
	r.lower("max_tunnels", &r.tunnels, (left-r.handshakes)/2, cfg.Server.MaxTunnels > 0, descriptors)
	return r
}

// lower brings a bound to what there is room for, and says so if it was asked for.
func (r *room) lower(key string, bound *int, room int, asked bool, descriptors uint64) {
	room = max(1, room)
	if *bound <= room {
		return
	}
	if asked {
		r.warnings = append(r.warnings, fmt.Sprintf("%s is %d, but RLIMIT_NOFILE, which is %d, has room for %d only: raise it (LimitNOFILE= of the unit, --ulimit nofile= of docker run)", key, *bound, descriptors, room))
	}
	*bound = room
}
