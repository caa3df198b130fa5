package admin

import (
	"math"
	"net/netip"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// view is what subscribers were told of, so that a tick tells only what is new.
type view struct {
	o        *Options
	refusals *refusals
	objects  *accesslog.ObjectEncoder

	at       time.Time // of the latest look
	up, down int64     // totals by then
	refused  uint64    // refusals told
	round    uint64    // of looks
	known    map[track.ID]*seen
	clients  groups[netip.Addr]
	hosts    groups[string]

	entries []track.Entry // kept for the next look
	changes changes       // likewise
	fresh   []refusal     // likewise
	record  track.Record  // likewise
	size    int           // of the latest tick, in bytes
}

// seen is a live transaction that was told of.
type seen struct {
	track.Live
	round    uint64 // in which it was live last
	up, down int64  // bytes told
	as       described
	client   *group
	host     *group // nil: it has no destination yet
}

// described is what becomes known of a transaction on its way to a destination. Once
// there is an address, it is all known.
type described struct {
	user, host, rule, decision string
	method, path               string
	port                       uint16
	address                    netip.AddrPort
}

func describe(r *track.Record) described {
	return described{r.User, r.Host, r.Rule, r.Decision, r.Method, r.Path, r.Port, r.Address}
}

// newView takes the first look.
func newView(o *Options, rs *refusals) *view {
	v := &view{
		o: o, refusals: rs, objects: accesslog.NewObjectEncoder(), at: time.Now(),
		known:   make(map[track.ID]*seen),
		clients: groups[netip.Addr]{of: make(map[netip.Addr]*group)},
		hosts:   groups[string]{of: make(map[string]*group)},
	}
	v.up, v.down, _ = o.Totals()
	_, v.refused = rs.since(nil, math.MaxUint64)
	v.changes.objects = v.objects
	v.look(&v.changes)
	v.clients.clear()
	v.hosts.clear()
	return v
}

// look brings the view to what is live now, and notes what has changed.
func (v *view) look(c *changes) {
	v.round++
	v.entries = v.o.Gate.Live().Entries(v.entries[:0])
	for i := range v.entries {
		e := &v.entries[i]
		s := v.known[e.ID]
		if s == nil {
			s = &seen{Live: e.Live}
			v.known[e.ID] = s
			v.described(e.ID, s, c)
		} else if !s.as.address.IsValid() {
			v.described(e.ID, s, c)
		}
		s.round = v.round
		s.move(e.ID, c)
	}
	clear(v.entries) // what has ended is not kept
	for id, s := range v.known {
		if s.round != v.round {
			s.move(id, nil)
			s.client.leave()
			s.host.leave()
			delete(v.known, id)
			c.close(id)
		}
	}
}

// described tells of a transaction that is new, or of which more is known now.
func (v *view) described(id track.ID, s *seen, c *changes) {
	v.record = s.Snapshot()
	r := &v.record
	as := describe(r)
	if s.client != nil && as == s.as {
		return
	}
	s.as = as
	if s.client == nil {
		key := limit.Key(r.Client.Addr())
		s.client = v.clients.enter(key, func() string { return limit.Name(key) })
	}
	if s.host == nil && r.Host != "" {
		s.host = v.hosts.enter(r.Host, func() string { return r.Host })
	}
	c.open(r)
	s.count(r.Up, r.Down)
}

// move notes what has been relayed since the last look.
func (s *seen) move(id track.ID, c *changes) {
	up, down := s.Bytes()
	if up == s.up && down == s.down {
		return
	}
	s.count(up, down)
	if c != nil {
		c.move(id, up, down)
	}
}

func (s *seen) count(up, down int64) {
	s.client.move(up-s.up, down-s.down)
	s.host.move(up-s.up, down-s.down)
	s.up, s.down = up, down
}
