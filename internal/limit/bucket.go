package limit

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Bucket is one direction's budget of bytes, shared by all tunnels that a client
// has under one rule. The nil Bucket is unlimited.
type Bucket struct {
	limiter *rate.Limiter
	chunk   atomic.Int64
}

// Unlimited is the rate, in bytes per second, that stands for no limit. Zero
// means the same.
const Unlimited = math.MaxInt64

// chunkTime is how much of the budget one tunnel takes at a time: short enough
// that the tunnels of a client take turns, long enough that a wake-up moves many
// segments.
const chunkTime = 20 * time.Millisecond

// maxChunk keeps the tunnels of fast clients in turns too: all of them have as much
// waiting in the kernel's receive buffer, or else who has more gets more.
const maxChunk = 512 << 10

// minChunk keeps slow clients from being served in crumbs: one Ethernet segment
// worth of payload.
const minChunk = 1460

func newBucket(perSecond, burst int64) *Bucket {
	if perSecond <= 0 || perSecond == Unlimited {
		return nil
	}
	b := &Bucket{limiter: rate.NewLimiter(rate.Limit(perSecond), int(burst))}
	b.set(perSecond, burst)
	return b
}

// set changes the budget of live tunnels too.
func (b *Bucket) set(perSecond, burst int64) {
	if b.limiter.Limit() != rate.Limit(perSecond) {
		b.limiter.SetLimit(rate.Limit(perSecond))
	}
	if b.limiter.Burst() != int(burst) {
		b.limiter.SetBurst(int(burst))
	}
	chunk := int64(float64(perSecond) * chunkTime.Seconds())
	b.chunk.Store(min(max(chunk, minChunk), maxChunk, burst))
}

// Chunk returns the most bytes to ask Take for at once.
func (b *Bucket) Chunk() int {
	if b == nil {
		return math.MaxInt
	}
	return int(b.chunk.Load())
}

// Take takes n bytes, at most Chunk, out of the budget and returns how long to
// wait before they may move. Callers are served in the order of their calls, so
// tunnels that take equal chunks get equal shares. It never blocks.
func (b *Bucket) Take(n int) time.Duration {
	if b == nil || n <= 0 {
		return 0
	}
	now := time.Now()
	r := b.limiter.ReserveN(now, min(n, b.limiter.Burst()))
	return r.DelayFrom(now)
}

// Return gives back what Take took for bytes that will not move: their tunnel was
// cut while it waited. Else clients that give up and try again would pile up a debt
// in which nobody gets anything.
func (b *Bucket) Return(n int) {
	if b == nil || n <= 0 {
		return
	}
	b.limiter.ReserveN(time.Now(), -n)
}
