package relay

import (
	"runtime/debug"
	"time"
)

// giveBackAfter is by how many the tunnels must have grown for their
// handshakes to have left something worth giving back.
const giveBackAfter = 512

// giveBackDelay lets a wave of new tunnels come to its end.
const giveBackDelay = 2 * time.Second

// memory gives back to the system what a wave of tunnels has left behind when
// they have come to rest: stacks, buffers and connection objects of their
// handshakes. Nothing allocates then, so the collector would not run by itself
// for two minutes. It is guarded by the Poller's mu.
type memory struct {
	level int // tunnels when memory was last given back, or fewer since
	timer *time.Timer
}

// grown is told now and then how many tunnels there are. Only growth by a
// quarter is worth a collection, so that coming and going costs none.
func (m *memory) grown(tunnels int) {
	if tunnels < m.level {
		m.level = tunnels
	}
	if tunnels < m.level+m.level/4+giveBackAfter/2 {
		return
	}
	m.level = tunnels
	if m.timer == nil {
		m.timer = time.AfterFunc(giveBackDelay, debug.FreeOSMemory)
	} else {
		m.timer.Reset(giveBackDelay)
	}
}

func (m *memory) stop() {
	if m.timer != nil {
		m.timer.Stop()
	}
}
