package limit

import "time"

// forgetAfter is how long a client without tunnels is remembered at least: its
// rate of new tunnels must not start afresh by a pause. An opening bucket is
// full again after one second, a byte bucket after its refill time.
const forgetAfter = time.Minute

// mostIdle bounds the clients without tunnels that each shard of a table
// remembers. Over it the one that has been idle longest is forgotten early, and
// finds its budgets full: that costs less than memory that whoever has a large
// network could take.
const mostIdle = 2048

// rest puts a client that has no tunnel last in the ring of those.
func (s *shard) rest(c *client, now time.Time) {
	c.idle = now
	last := s.idle.prev
	c.prev, c.next = last, &s.idle
	last.next, s.idle.prev = c, c
	if s.resting++; s.resting > mostIdle {
		s.forget(s.idle.next)
	}
}

// wake takes a client out of the ring.
func (s *shard) wake(c *client) {
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
	s.resting--
}

func (s *shard) forget(c *client) {
	s.wake(c)
	delete(s.clients, c.key)
}

// sweep drops clients that are long gone, at most once per forgetAfter, so that
// the cost of a sweep is spread over the admissions between two.
func (s *shard) sweep(now time.Time) {
	if now.Sub(s.swept) < forgetAfter {
		return
	}
	s.swept = now
	for c := s.idle.next; c != &s.idle; {
		next := c.next
		if now.Sub(c.idle) >= c.memory() {
			s.forget(c)
		}
		c = next
	}
}

func (c *client) memory() time.Duration {
	m := forgetAfter
	for _, b := range c.budgets {
		m = max(m, b.refill())
	}
	return m
}
