//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// way is how a client asks.
type way string

const (
	byCONNECT way = "CONNECT"
	bySOCKS5  way = "SOCKS5"
	byHTTP    way = "HTTP"
)

// ending is how much of a tunnel is to be accounted for.
type ending uint8

const (
	// clean: both ends got all that was sent and a clean end, and so says the record.
	clean ending = iota
	// idle: both ends got all that was sent, and then Sluice's idle timeout.
	idle
	// cut: one end broke off. What the other got is at most what the record tells,
	// and that at most what was sent.
	cut
	// refused: no tunnel came about.
	refused
)

// tunnel is one tunnel or HTTP request as those at both of its ends see it. Its
// number is in the destination that the client asks for, so that records can be
// told apart.
type tunnel struct {
	number   uint32
	kind     *kind
	way      way
	up, down int64 // bytes that are to go through

	client, origin account
	begun          time.Time
	answered       time.Time // the client was told that it is connected, or why not; zero: never
	connected      bool
	status         int  // of the refusal: HTTP's, or SOCKS5's reply
	last           bool // the answer says that its connection closes
	afterDrop      bool // of a connection whose origin has dropped its side
	sentAgain      bool // the request, on another connection

	once sync.Once
	met  chan struct{} // closed when the origin is done with it
}

// account is what one end of a tunnel has seen.
type account struct {
	here      bool  // the end took part
	sent, got int64 // bytes of the tunnel; of an HTTP request those of its body or of its answer's
	raw       int64 // of an HTTP request or answer: bytes with heads and framing, as they came
	err       error // what should not have been
}

func (a account) String() string {
	if !a.here {
		return "not there"
	}
	return fmt.Sprintf("sent %d, got %d, %v", a.sent, a.got, a.err)
}

func (t *tunnel) done() { t.once.Do(func() { close(t.met) }) }

func (a *account) of(e *end) { a.sent, a.got = e.sent, e.got }

func (t *tunnel) String() string {
	return fmt.Sprintf("%d (%s, %s)", t.number, t.way, t.kind.name)
}

// A tunnel's number is the last 22 bits of an address out of 127.64.0.0/10, and
// the first label of a name.
const numbers = 1 << 22

func addrOf(number uint32) netip.Addr {
	n := uint32(127)<<24 | 64<<16 | number%numbers
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func numberOf(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return uint32(b[1]&0x3f)<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// book has all tunnels, by number.
type book struct {
	mu   sync.Mutex
	list []*tunnel
}

// open enters a new tunnel.
func (b *book) open(k *kind, w way, up, down int64) *tunnel {
	t := &tunnel{kind: k, way: w, up: up, down: down, begun: time.Now(), met: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	t.number = uint32(len(b.list))
	b.list = append(b.list, t)
	return t
}

// find returns a tunnel, or nil.
func (b *book) find(number uint32) *tunnel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int(number) >= len(b.list) {
		return nil
	}
	return b.list[number]
}

func (b *book) all() []*tunnel {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.list
}
