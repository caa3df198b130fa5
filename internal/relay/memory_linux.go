package relay

import (
	"runtime/debug"
	"time"
)

// giveBackAfter is by how many the tunnels at rest must have grown for their
// handshakes to have left something worth giving back.
const giveBackAfter = 512

// giveBackDelay lets a wave of new tunnels come to its end.
const giveBackDelay = 2 * time.Second

// memory gives back to the system what a wave of tunnels has left behind when
// they have come to rest: stacks, buffers and connection objects of their
// handshakes. Nothing allocates then, so the collector would not run by itself
// for two minutes. It is guarded by the Poller's mu.
type memory struct {
	level int // tunnels at rest when memory was last given back, or fewer since
	timer *time.Timer
}

// grown is told now and then how many tunnels are at rest. Only growth by a
// quarter is worth a collection, so that waking and resting again costs none.
func (m *memory) grown(resting int) {
	if resting < m.level {
		m.level = resting
	}
	if resting < m.level+m.level/4+giveBackAfter/2 {
		return
	}
	m.level = resting
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
