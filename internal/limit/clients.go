package limit

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Client is the state of one client's budgets.
type Client struct {
	Key     netip.Addr // as Key returns it
	Tunnels int        // at once
	// New is how many tunnels it may open at once now, and what it gets each second;
	// both 0 when there is no bound.
	New, NewPerSecond float64
	Budgets           []ClientBudget // of bytes; those without a bound are left out
}

// ClientBudget is one budget of bytes.
type ClientBudget struct {
	Upload    bool   // client to origin
	Class     string // the rule that it is kept for; "": all without a rate of their own
	Rate      int64  // bytes per second
	Burst     int64  // bytes
	Available int64  // bytes that may move at once; below 0: so many wait for their turn
}

// Name returns how a key of Key is told to people: an IPv4 address, or the /64 of
// IPv6.
func Name(key netip.Addr) string {
	if key.Is6() {
		return netip.PrefixFrom(key, 64).String()
	}
	return key.String()
}

// Clients returns all that are remembered: those with tunnels, and those that had
// one lately. They are in no order. Admissions wait for a part of the table at most.
func (t *Table) Clients() []Client {
	list := make([]Client, 0, t.Len())
	for i := range t.shards {
		list = t.shards[i].appendClients(list)
	}
	return list
}

func (s *shard) appendClients(list []Client) []Client {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, c := range s.clients {
		out := Client{Key: key, Tunnels: c.tunnels}
		if c.opening != nil {
			out.New, out.NewPerSecond = c.opening.TokensAt(now), float64(c.opening.Limit())
		}
		for k, b := range c.budgets {
			out.Budgets = append(out.Budgets, ClientBudget{
				Upload: k.upload, Class: k.class,
				Rate: int64(b.limiter.Limit()), Burst: int64(b.limiter.Burst()), Available: int64(b.limiter.TokensAt(now)),
			})
		}
		slices.SortFunc(out.Budgets, func(a, b ClientBudget) int {
			if a.Upload != b.Upload {
				if a.Upload {
					return 1
				}
				return -1
			}
			return cmp.Compare(a.Class, b.Class)
		})
		list = append(list, out)
	}
	return list
}
