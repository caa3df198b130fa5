//go:build linux

package main

import (
	"errors"
	"time"
)

// kind is one story that a tunnel can have.
type kind struct {
	name     string
	weight   int
	up, down int64 // bytes at most
	ending   ending
	speaks   bool // the client speaks first, so it may do so before it has an answer
	zone     string
	client   func(*tunnel, *end) error
	origin   func(*tunnel, *end) error
}

// The zones of names, by what becomes of them; see names.go.
const (
	zoneGood      = "good"      // one address
	zoneMany      = "many"      // 200 more, none of which may be dialled or answers
	zoneLate      = "late"      // an answer after a while
	zoneLong      = "long"      // an answer that is truncated over UDP
	zoneServfail  = "servfail"  // the name server's own fault
	zoneMissing   = "missing"   // no such name
	zoneSilent    = "silent"    // no answer
	zoneForbidden = "forbidden" // no rule has it
	zoneInside    = "inside"    // nothing but addresses that are not public
	zoneClosed    = "closed"    // nobody listens there
	zoneAbandoned = "abandoned" // no answer, and the client does not wait for one
)

func tunnelKinds() []*kind {
	list := []*kind{
		{name: "messages", weight: 30, up: 40_000, down: 40_000, speaks: true, client: messages(true), origin: messages(false)},
		{name: "bulk", weight: 20, up: 3_000_000, down: 6_000_000, client: bulk, origin: bulk},
		{name: "half-closed by client", weight: 10, up: 300_000, down: 300_000, speaks: true, client: firstThen(true), origin: firstThen(false)},
		{name: "half-closed by origin", weight: 10, up: 300_000, down: 300_000, client: firstThen(false), origin: firstThen(true)},
		{name: "nothing said", weight: 4, client: bulk, origin: bulk},
		{name: "slow reader", weight: 6, up: 3_000_000, down: 3_000_000, client: slowly, origin: slowly},
		{name: "reset by client", weight: 12, up: 2_000_000, down: 2_000_000, ending: cut, client: breaks, origin: broken},
		{name: "reset by origin", weight: 12, up: 2_000_000, down: 2_000_000, ending: cut, client: broken, origin: breaks},
		{name: "reset while stalled", weight: 4, up: 9_000_000, down: 9_000_000, ending: cut, client: breaksUnread, origin: broken},
		{name: "reset after half-close", weight: 5, up: 100_000, down: 3_000_000, ending: cut, client: finishesAndBreaks, origin: brokenAfterEnd},
		{name: "idle", weight: 2, up: 50_000, down: 50_000, ending: idle, speaks: true, client: fallsSilent, origin: fallsSilent},
		{name: "idle, half-closed", weight: 1, up: 50_000, down: 50_000, ending: idle, speaks: true, client: finishesAndFallsSilent, origin: hearsEndAndFallsSilent},
	}
	for _, zone := range []string{zoneMany, zoneLate, zoneLong} {
		list = append(list, &kind{name: "name: " + zone, zone: zone, weight: 3, up: 20_000, down: 20_000, speaks: true, client: messages(true), origin: messages(false)})
	}
	for _, zone := range []string{zoneServfail, zoneMissing, zoneForbidden, zoneInside, zoneClosed} {
		list = append(list, &kind{name: "name: " + zone, zone: zone, weight: 2, ending: refused})
	}
	return append(list, &kind{name: "name: " + zoneSilent, zone: zoneSilent, weight: 1, ending: refused})
}

// messages go to and fro, now and then with a pause in which a tunnel goes to
// rest.
func messages(first bool) func(*tunnel, *end) error {
	return func(t *tunnel, e *end) error {
		out, in := mine(t, e)
		rounds := int64(1 + t.number%23)
		for i := range rounds {
			say := func() error { return e.send(share(out, i, rounds)) }
			hear := func() error { return e.recv(share(in, i, rounds)) }
			steps := []func() error{hear, say}
			if first {
				steps = []func() error{say, hear}
			}
			if first && e.rand.IntN(8) == 0 {
				e.pause(300 * time.Millisecond)
			}
			for _, step := range steps {
				if err := step(); err != nil {
					return err
				}
			}
		}
		if err := e.finish(); err != nil {
			return err
		}
		return e.recvEnd()
	}
}

// share is the part of n bytes that is sent in one round of several.
func share(n, round, rounds int64) int64 { return n*(round+1)/rounds - n*round/rounds }

// mine returns what an end is to send, and to get.
func mine(t *tunnel, e *end) (out, in int64) {
	if e.origin {
		return t.down, t.up
	}
	return t.up, t.down
}

// bulk is everything at once in both directions.
func bulk(t *tunnel, e *end) error {
	out, in := mine(t, e)
	return both(func() error { return sendAll(e, out) }, func() error { return e.recvAll(in) })
}

func sendAll(e *end, n int64) error {
	if err := e.send(n); err != nil {
		return err
	}
	return e.finish()
}

// firstThen is one side saying everything and closing its direction, before the
// other says anything.
func firstThen(first bool) func(*tunnel, *end) error {
	return func(t *tunnel, e *end) error {
		out, in := mine(t, e)
		if first {
			if err := sendAll(e, out); err != nil {
				return err
			}
			return e.recvAll(in)
		}
		if err := e.recvAll(in); err != nil {
			return err
		}
		e.pause(200 * time.Millisecond)
		return sendAll(e, out)
	}
}

// slowly is bulk with an end that does not read until buffers are full.
func slowly(t *tunnel, e *end) error {
	out, in := mine(t, e)
	return both(func() error { return sendAll(e, out) }, func() error {
		e.pause(1500 * time.Millisecond)
		if err := e.recv(in / 2); err != nil {
			return err
		}
		e.pause(700 * time.Millisecond)
		return e.recvAll(in - in/2)
	})
}

// breaks sends and reads a part, and resets the connection.
func breaks(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := both(func() error { return e.send(e.part(out / 4)) }, func() error { return e.recv(in / 4) }); err != nil {
		return err
	}
	e.pause(150 * time.Millisecond)
	return e.reset()
}

// breaksUnread reads nothing until the other cannot send any more, and resets.
func breaksUnread(_ *tunnel, e *end) error {
	e.pause(time.Second)
	return e.reset()
}

// broken sends and receives until the connection is reset. The kernel tells of
// that once: if sending was told, receiving finds what looks like a clean end.
func broken(t *tunnel, e *end) error {
	out, _ := mine(t, e)
	var told bool
	var errSend, errRecv error
	_ = both(func() error {
		errSend = e.send(out)
		told = errSend != nil && !isTimeout(errSend)
		return nil
	}, func() error { errRecv = e.recvCut(); return nil })
	switch {
	case isTimeout(errSend):
		return errSend
	case told && errors.Is(errRecv, errCleanEnd):
		return nil
	}
	return errRecv
}

// finishesAndBreaks ends its direction properly and breaks off the other.
func finishesAndBreaks(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := sendAll(e, out); err != nil {
		return err
	}
	if err := e.recv(in / 4); err != nil {
		return err
	}
	e.pause(150 * time.Millisecond)
	return e.reset()
}

// brokenAfterEnd is told a clean end, and finds the reset when it sends.
func brokenAfterEnd(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := e.recvAll(in); err != nil {
		return err
	}
	for e.sent < 1<<30 { // more than all buffers hold
		if err := e.send(max(out, pieces)); err != nil {
			if isTimeout(err) {
				return err
			}
			return nil
		}
	}
	return nil
}

// fallsSilent ends with Sluice's idle timeout.
func fallsSilent(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := both(func() error { return e.send(out) }, func() error { return e.recv(in) }); err != nil {
		return err
	}
	return e.recvCut()
}

// finishesAndFallsSilent ends with the idle timeout though half of it is closed.
func finishesAndFallsSilent(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := sendAll(e, out); err != nil {
		return err
	}
	if err := e.recv(in); err != nil {
		return err
	}
	return e.recvCut()
}

// hearsEndAndFallsSilent is its other end, which cannot tell a reset by reading:
// it has been told the end.
func hearsEndAndFallsSilent(t *tunnel, e *end) error {
	out, in := mine(t, e)
	if err := e.recvAll(in); err != nil {
		return err
	}
	if err := e.send(out); err != nil {
		return err
	}
	return e.recvReset()
}
