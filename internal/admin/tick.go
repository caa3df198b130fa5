package admin

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/track"
)

// mostTold is how many refusals one event tells.
const mostTold = 100

// changes are what a look finds, as the JSON arrays of a tick without their brackets.
type changes struct {
	objects               *accesslog.ObjectEncoder
	opened, closed, moved []byte
}

func (c *changes) clear() {
	c.opened, c.closed, c.moved = c.opened[:0], c.closed[:0], c.moved[:0]
}

func (c *changes) open(r *track.Record) {
	c.opened = append(c.objects.Append(c.opened, r, time.Time{}), ',')
}

func (c *changes) close(id track.ID) {
	c.closed = append(id.Append(append(c.closed, '"')), `",`...)
}

func (c *changes) move(id track.ID, up, down int64) {
	b := append(id.Append(append(c.moved, `["`...)), `",`...)
	b = append(strconv.AppendInt(b, up, 10), ',')
	c.moved = append(strconv.AppendInt(b, down, 10), "],"...)
}

// appendList appends a list as a field whose items each end in a comma.
func appendList(b []byte, name string, items []byte) []byte {
	b = append(append(append(b, `,"`...), name...), `":[`...)
	if len(items) > 0 {
		items = items[:len(items)-1]
	}
	return append(append(b, items...), ']')
}

// tick looks, and returns the event that tells what has changed.
func (v *view) tick() []byte {
	c := &v.changes
	c.clear()
	v.look(c)
	now := time.Now()
	seconds := now.Sub(v.at).Seconds()
	up, down, requests := v.o.Totals()
	b := make([]byte, 0, v.size+v.size/8+4096)
	b = v.appendHead(b, "tick", now)
	b = appendNumber(b, "count", int64(len(v.known)))
	b = appendTotals(b, up, down, requests)
	b = appendNumber(b, "rate_up", rate(up-v.up, seconds))
	b = appendNumber(b, "rate_down", rate(down-v.down, seconds))
	b = appendList(b, "opened", c.opened)
	b = appendList(b, "closed", c.closed)
	b = appendList(b, "moved", c.moved)
	v.fresh, v.refused = v.refusals.since(v.fresh[:0], v.refused)
	b = appendRefusals(append(b, `,"refused":`...), v.objects, atMost(v.fresh, mostTold))
	clear(v.fresh)
	b = v.clients.append(append(b, `,"clients":`...), "client", seconds)
	b = v.hosts.append(append(b, `,"destinations":`...), "host", seconds)
	v.clients.clear()
	v.hosts.clear()
	v.at, v.up, v.down, v.size = now, up, down, len(b)
	return append(b, "}\n\n"...)
}

// start returns the event that tells a new subscriber what the ticks to come go on
// from.
func (v *view) start() []byte {
	b := v.appendHead(nil, "start", v.at)
	b = site.AppendString(append(b, `,"version":`...), v.o.Version)
	b = append(accesslog.AppendTime(append(b, `,"started":"`...), v.o.Started), '"')
	b = appendNumber(b, "max_tunnels", int64(v.o.Gate.Policy().MaxTunnels))
	up, down, requests := v.o.Totals()
	b = appendTotals(b, up, down, requests)
	list, _ := v.refusals.since(nil, 0)
	list = slices.DeleteFunc(list, func(r refusal) bool { return r.number > v.refused }) // the next tick tells these
	b = appendRefusals(append(b, `,"refusals":`...), v.objects, atMost(list, mostTold))
	c := changes{objects: v.objects}
	for _, id := range slices.Sorted(maps.Keys(v.known)) {
		r := v.known[id].Snapshot()
		c.open(&r)
	}
	b = appendList(b, "tunnels", c.opened)
	return append(b, "}\n\n"...)
}

func (v *view) appendHead(b []byte, event string, at time.Time) []byte {
	b = append(append(append(b, "event: "...), event...), "\ndata: {\"time\":\""...)
	b = accesslog.AppendTime(b, at)
	return strconv.AppendBool(append(b, `","draining":`...), v.o.Gate.Draining())
}

func appendNumber(b []byte, name string, n int64) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return strconv.AppendInt(b, n, 10)
}

func appendTotals(b []byte, up, down int64, requests map[string]uint64) []byte {
	b = appendNumber(b, "bytes_up", up)
	b = appendNumber(b, "bytes_down", down)
	b = append(b, `,"requests":{`...)
	for i, outcome := range slices.Sorted(maps.Keys(requests)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = site.AppendString(b, outcome)
		b = strconv.AppendUint(append(b, ':'), requests[outcome], 10)
	}
	return append(b, '}')
}
