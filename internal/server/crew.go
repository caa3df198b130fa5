package server

import (
	"slices"
	"sync"
	"time"
)

// crewSize is how many goroutines wait for work at most, with some 16 KiB of stack
// each.
const crewSize = 64

// crewPatience is after how long a goroutine that was not needed leaves; it may
// take twice as long.
const crewPatience = 2 * time.Second

// crew runs functions on goroutines that it keeps: their stacks have grown to what
// a handshake needs, which a new goroutine would do anew, a copy for each size. The
// zero value is ready.
type crew struct {
	mu     sync.Mutex
	idle   []chan func() // the last to come is the first to go, with a warm stack
	unused int           // the fewest in idle since the last look
	timer  *time.Timer   // looks while there are any; nil before
	closed bool
}

// run calls f on a goroutine that does nothing else meanwhile. It does not wait.
func (c *crew) run(f func()) {
	c.mu.Lock()
	var worker chan func()
	if n := len(c.idle); n > 0 {
		worker = c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.unused = min(c.unused, n-1)
	}
	c.mu.Unlock()
	if worker == nil {
		go c.work(f)
		return
	}
	worker <- f
}

func (c *crew) work(f func()) {
	jobs := make(chan func(), 1)
	for f != nil {
		f()
		if !c.rest(jobs) {
			return
		}
		f = <-jobs
	}
}

// rest tells whether a goroutine may wait for work.
func (c *crew) rest(jobs chan func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) == crewSize {
		return false
	}
	c.idle = append(c.idle, jobs)
	if len(c.idle) == 1 {
		c.unused = 0
		if c.timer == nil {
			c.timer = time.AfterFunc(crewPatience, c.look)
		} else {
			c.timer.Reset(crewPatience)
		}
	}
	return true
}

// look sends those away who were not needed since the last look.
func (c *crew) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for _, worker := range c.idle[:c.unused] {
		close(worker)
	}
	c.idle = slices.Delete(c.idle, 0, c.unused)
	c.unused = len(c.idle)
	if len(c.idle) > 0 {
		c.timer.Reset(crewPatience)
	}
}

// close ends the goroutines: who works, when its function returns.
func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	for _, worker := range c.idle {
		close(worker)
	}
	c.idle = nil
}
