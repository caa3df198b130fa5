package upstream

import "time"

// Limits are what the upstream last said of its rate limit to the mirror's own
// requests, those with credentials if there are any.
type Limits struct {
	Limit       int           // requests in a window; 0: it said nothing
	Remaining   int           // of them
	Window      time.Duration // 0: not said
	Seen        time.Time     // zero: it said nothing
	PausedUntil time.Time     // no request is made before; zero: not paused
}
