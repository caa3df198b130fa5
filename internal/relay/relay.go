// Package relay is the only code that moves the bytes of tunnels. It knows two
// TCP connections, a budget for each direction, and an idle timeout; who may talk
// to whom was decided before, and what the result means is for the caller.
//
// On Linux a Poller relays: a few loops, one for each processor, each with an epoll
// set of its own. A tunnel is two sockets in such a set and some 200 bytes of state;
// it has no goroutine, no buffer and no pipe. When bytes arrive, the loop reads
// them into its one buffer and writes them, which is the cheapest way for a few of
// them. When they fill that buffer, it turns to splice(2), through a pipe that goes
// on to the next tunnel when it has run empty: only a receiver that takes nothing
// more makes a tunnel keep one. Sockets leave the Go runtime's own poller, for it
// would wake a thread for each message as well.
//
// Where there is no Poller, or no descriptor for it, a goroutine for each direction
// relays, by io.Copy as the standard library splices it, for exactly as many bytes as
// the kernel says are there (FIONREAD); so a pipe is held only while bytes move,
// counters are exact, and a budget is charged before and not after. Bodies of HTTP
// are moved in the same way. Elsewhere than on Linux bytes are copied.
//
// What was weighed, on two cores over loopback, each ratio to a peer measured in the
// same run (medians; internal/bench):
//
//	CPU of                                  1 tunnel,     round trip,    SOCKS5 opened
//	                                        a GB down     256 bytes      and closed
//	                                        of splice     of             of
//	                                        loop in C     microsocks     microsocks
//	goroutines that io.Copy for busy
//	tunnels, loops for quiet ones             1.6           1.2            1.3
//	loops for all, that wait in the
//	ordinary way                              -             -              1.2
//	loops that keep a processor through
//	short waits (see lingerTime)              1.1           1.0            1.0 to 1.2
//
// A goroutine for each direction, without loops, took 43 µs for a round trip where
// loops took 26 in the same run. Tried without gain: timers of budgets on a common
// grid, SO_RCVLOWAT while a budget waits, and asking the kernel's scheduler for
// short slices (sched_setattr(2)) against the 2 to 3 ms that a message waits where
// others use up all processors.
//
// The kernel's own relay, a sockmap with an eBPF verdict, takes 20 to 27 % less than
// the splice loop for round trips, counting the kernel's threads, but from 5 % more
// (64 tunnels) to twice as much (8) for bulk. It has no back-pressure: for a reader
// that had stopped it took in 1.8 GB in 3 s. It needs CAP_BPF and CAP_NET_ADMIN, and
// has no place for budgets.
//
// Figures beside other proxies are in internal/bench/RESULTS.md.
package relay

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/internal/limit"
)

// Side is one end of a tunnel.
type Side uint8

const (
	Nobody Side = iota
	Client
	Origin
	Caller // whoever called Kill, or the idle timeout
)

// How a tunnel ended.
const (
	ByFIN   = "fin"   // a side closed, and the other followed
	ByReset = "reset" // a side reset its connection, or is gone
	ByIdle  = "idle"  // no byte in either direction for the idle timeout
	ByError = "error" // another failure of a socket
)

// Result is how a tunnel went.
type Result struct {
	Up, Down int64 // bytes delivered to the kernel: client to origin, origin to client
	First    Side  // who ended it first
	How      string
	Err      error // the cause when How is ByError, else nil; a *Panic among others
}

// Options are what a tunnel runs under. The zero value has no limits.
type Options struct {
	Up, Down *limit.Budget // client to origin, origin to client; nil: unlimited
	Idle     time.Duration // without a byte in either direction; 0: for ever
	// Early is what the client sent before the tunnel stood; it goes to the
	// origin first. It is not kept longer than that.
	Early []byte
	// Poller relays the tunnel; nil: two goroutines do.
	Poller *Poller
}

// Tunnel relays between two connections. Start it once; the zero value is ready.
// It must not be copied.
type Tunnel struct {
	up, down flow
	end      func(Result)
	idle     time.Duration
	moved    atomic.Int64 // when bytes last moved, in nanoseconds since epoch below

	mu      sync.Mutex
	seat    seat     // in a Poller; at most one of seat and copying is taken
	copying *copying // nil: no goroutines relay it
	served  *loop    // whose goroutine has mu and serves it now; nil: none
	cut     bool     // both connections are closed by a kill, an error or the idle timeout
	noted   bool     // first, how and err are set
	ended   bool     // end was called
	first   Side
	how     string
	err     error
}

// flow is one direction.
type flow struct {
	count  atomic.Int64
	budget *limit.Budget
	closed atomic.Bool // the end of the source was passed on
	moving
}

var epoch = time.Now()

func sinceEpoch() int64 { return int64(time.Since(epoch)) }

// Start begins to relay and returns at once. The tunnel owns both connections
// from here on: they are closed when end is called, which happens exactly once,
// without a lock held, and must return soon: other tunnels wait meanwhile.
func (t *Tunnel) Start(client, origin *net.TCPConn, o Options, end func(Result)) {
	t.end, t.idle = end, o.Idle
	t.up.budget, t.down.budget = o.Up, o.Down
	t.moved.Store(sinceEpoch())
	defer t.startRecovered(client, origin)
	t.mu.Lock()
	defer t.mu.Unlock()
	if o.Poller == nil || !o.Poller.add(t, client, origin, o.Early) {
		t.copy(client, origin, o.Early)
	}
}

// Bytes returns what has been relayed so far: client to origin, and back.
func (t *Tunnel) Bytes() (up, down int64) { return t.up.count.Load(), t.down.count.Load() }

// Kill ends the tunnel now: both sides see a reset, for a clean end would tell
// them that all had been said. It does not wait. Before Start and after the end
// it does nothing.
func (t *Tunnel) Kill(how string) { t.abort(Caller, how, nil) }

// flowFrom returns the direction whose source is a side.
func (t *Tunnel) flowFrom(s Side) *flow {
	if s == Client {
		return &t.up
	}
	return &t.down
}

func other(s Side) Side { return Client + Origin - s }

// quiet returns for how long no byte has moved.
func (t *Tunnel) quiet() time.Duration { return time.Duration(sinceEpoch() - t.moved.Load()) }

// note keeps who ended the tunnel first and how; the caller holds mu.
func (t *Tunnel) note(first Side, how string, err error) {
	if !t.noted {
		t.noted, t.first, t.how, t.err = true, first, how, err
	}
}

// abort resets both connections.
func (t *Tunnel) abort(first Side, how string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.abortLocked(first, how, err)
}

func (t *Tunnel) abortLocked(first Side, how string, err error) {
	if t.cut || t.copying == nil && !t.seat.taken() {
		return
	}
	t.cut = true
	if first == Caller || t.how == ByFIN {
		t.noted = false // a cut tells more than the half-close before it
	}
	t.note(first, how, err)
	if t.copying != nil {
		t.copying.cut() // its goroutines end the tunnel
		return
	}
	t.leave(true)
	t.finish()
}

// broken passes the failure of a side's socket on: the other side gets a reset as
// well. The caller holds mu.
func (t *Tunnel) broken(side Side, err error) {
	if isReset(err) {
		t.abortLocked(side, ByReset, nil)
		return
	}
	t.abortLocked(side, ByError, err)
}

// finish tells the caller; the caller holds mu, and no byte moves any more.
func (t *Tunnel) finish() {
	if t.ended {
		return // by a panic, which did not wait for all goroutines
	}
	t.ended = true
	r := Result{First: t.first, How: t.how, Err: t.err}
	r.Up, r.Down = t.Bytes()
	if t.served != nil {
		t.served.ended = append(t.served.ended, ending{t.end, r})
		return
	}
	go t.end(r)
}

// ending is a call of end that is due.
type ending struct {
	end    func(Result)
	result Result
}

// maxLoops: one loop splices some GB, or relays some 100,000 small messages, a
// second, and few machines have the network for more than this many.
const maxLoops = 8

// Loops returns how many loops a Poller is to have where Go uses that many
// processors.
func Loops(processors int) int { return min(processors, maxLoops) }

// minTick is how often idle tunnels are looked for at most.
const minTick = 10 * time.Millisecond
