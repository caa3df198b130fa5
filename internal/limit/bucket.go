package limit

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Budget is what the bytes of one tunnel are charged to, one way. It is the Bucket
// of its client, or none, and a reload may make it another one. The nil and the zero
// Budget are unlimited.
type Budget struct{ bucket atomic.Pointer[Bucket] }

// Bucket returns the bucket in force, or nil, which is unlimited. What waits for one
// may go when this returns another.
func (b *Budget) Bucket() *Bucket {
	if b == nil {
		return nil
	}
	return b.bucket.Load()
}

// Bucket is one direction's budget of bytes, shared by all tunnels that a client
// has under one rule. Its rate does not change. The nil Bucket is unlimited.
type Bucket struct {
	limiter *rate.Limiter
	chunk   int
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

// newBucket returns a full bucket, or nil for a rate that is no limit.
func newBucket(perSecond, burst int64) *Bucket {
	if perSecond <= 0 || perSecond == Unlimited {
		return nil
	}
	chunk := int64(float64(perSecond) * chunkTime.Seconds())
	return &Bucket{
		limiter: rate.NewLimiter(rate.Limit(perSecond), int(burst)),
		chunk:   int(min(max(chunk, minChunk), maxChunk, burst)),
	}
}

// is tells whether the bucket has this rate and burst.
func (b *Bucket) is(perSecond, burst int64) bool {
	return b.limiter.Limit() == rate.Limit(perSecond) && b.limiter.Burst() == int(burst)
}

// succeed takes over what is left in the bucket that this one takes the place of, so
// that a change of limits is no second burst. Debts are forgiven.
func (b *Bucket) succeed(old *Bucket, now time.Time) {
	left := min(max(int(old.limiter.TokensAt(now)), 0), b.limiter.Burst())
	b.limiter.ReserveN(now, b.limiter.Burst()-left)
}

// refill is how long it takes an empty bucket to be full again.
func (b *Bucket) refill() time.Duration {
	return time.Duration(float64(b.limiter.Burst()) / float64(b.limiter.Limit()) * float64(time.Second))
}

// Chunk returns the most bytes to ask Take for at once.
func (b *Bucket) Chunk() int {
	if b == nil {
		return math.MaxInt
	}
	return b.chunk
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
