package admin

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sluice/acl"
	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/track"
)

const (
	// samplingTime is between the two looks that a rate is measured by.
	samplingTime = 250 * time.Millisecond
	// mostSamplings are the requests that may measure at once; others wait.
	mostSamplings = 4
	// chunk is how much of a long answer is made before it is sent.
	chunk = 64 << 10
)

// measured is a live transaction and how fast its bytes move. Its record is made when
// it is written: one that takes its time to read the answer would keep thousands.
type measured struct {
	track.Entry
	up, down int64 // bytes of the first look; then bytes per second
}

// measure looks twice at those live transactions that fit.
func (h *Handler) measure(ctx context.Context, entries []track.Entry, fits func(*track.Record) bool) ([]measured, error) {
	select {
	case h.sampling <- struct{}{}:
		defer func() { <-h.sampling }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var list []measured
	began := time.Now()
	for _, e := range entries {
		if r := e.Snapshot(); fits(&r) {
			list = append(list, measured{e, r.Up, r.Down})
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	select {
	case <-time.After(samplingTime):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	seconds := time.Since(began).Seconds()
	for i := range list {
		m := &list[i]
		up, down := m.Bytes()
		m.up, m.down = rate(up-m.up, seconds), rate(down-m.down, seconds)
	}
	return list, nil
}

func rate(bytes int64, seconds float64) int64 { return int64(float64(bytes)/seconds + 0.5) }

// appendTunnel appends a tunnel object with its age and rates.
func appendTunnel(b []byte, objects *accesslog.ObjectEncoder, m *measured) []byte {
	r := m.Snapshot()
	b = objects.Append(b, &r, time.Time{})
	b = b[:len(b)-1] // the brace
	b = strconv.AppendFloat(append(b, `,"age_seconds":`...), r.Total.Seconds(), 'f', 3, 64)
	b = strconv.AppendInt(append(b, `,"rate_up":`...), m.up, 10)
	b = strconv.AppendInt(append(b, `,"rate_down":`...), m.down, 10)
	return append(b, '}')
}

// tunnels lists what is live, the oldest first.
func (h *Handler) tunnels(w http.ResponseWriter, r *http.Request) error {
	fits, err := filter(r.URL.Query())
	if err != nil {
		return err
	}
	list, err := h.measure(r.Context(), h.o.Gate.Live().Entries(nil), fits)
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b measured) int { return cmp.Compare(a.ID, b.ID) })
	site.StartJSON(w)
	b := append(make([]byte, 0, chunk+4096), `{"time":"`...)
	b = append(accesslog.AppendTime(b, time.Now()), `","tunnels":[`...)
	objects := accesslog.NewObjectEncoder()
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTunnel(b, objects, &list[i])
		if len(b) >= chunk {
			if !taken(w, b) {
				return nil // nobody is there to be told
			}
			b = b[:0]
		}
	}
	w.Write(append(b, "]}\n"...))
	return nil
}

// taken sends a part of an answer; false: its reader has left, or is too slow.
func taken(w http.ResponseWriter, part []byte) bool {
	_, err := w.Write(part)
	return err == nil
}

// filter reads which live transactions are asked for.
func filter(q url.Values) (func(*track.Record) bool, error) {
	client, err := clientFilter(q)
	if err != nil {
		return nil, err
	}
	host, err := hostFilter(q.Get("host"))
	if err != nil {
		return nil, err
	}
	rule, protocol := q.Get("rule"), q.Get("protocol")
	known := []string{"", track.Connect.String(), track.HTTP.String(), track.SOCKS5.String()}
	if !slices.Contains(known, protocol) {
		return nil, site.BadRequest("protocol is connect, http or socks5, not %q", protocol)
	}
	return func(r *track.Record) bool {
		return client(r.Client.Addr()) && host(r.Host) &&
			(rule == "" || r.Rule == rule) && (protocol == "" || r.Protocol.String() == protocol)
	}, nil
}

// clientFilter reads an address or a CIDR.
func clientFilter(q url.Values) (func(netip.Addr) bool, error) {
	text := q.Get("client")
	if text == "" {
		return func(netip.Addr) bool { return true }, nil
	}
	p, err := acl.ParsePrefix(text)
	if err != nil {
		return nil, site.BadRequest("client: %v", err)
	}
	return func(a netip.Addr) bool { return p.Contains(a.WithZone("")) }, nil
}

// hostFilter reads a destination as rules have it, but for presets.
func hostFilter(text string) (func(string) bool, error) {
	if text == "" {
		return func(string) bool { return true }, nil
	}
	policy, err := acl.New([]acl.Rule{{Name: "asked", Action: acl.Allow, To: []string{text}, Ports: []acl.PortRange{{First: 1, Last: 65535}}}}, nil)
	if err != nil {
		return nil, site.BadRequest("host: %v", err)
	}
	return func(host string) bool {
		h, err := acl.ParseHost(host)
		return err == nil && policy.Decide(acl.Request{Client: netip.IPv6Loopback(), Host: h, Port: 1}).Action == acl.Allow
	}, nil
}

// live finds the transaction that a path names.
func (h *Handler) live(r *http.Request) (track.Entry, error) {
	id, err := track.ParseID(r.PathValue("id"))
	if err != nil {
		return track.Entry{}, site.BadRequest("%v", err)
	}
	l := h.o.Gate.Live().Get(id)
	if l == nil {
		return track.Entry{}, site.NotFound("%s is not live", id)
	}
	return track.Entry{ID: id, Live: l}, nil
}

func (h *Handler) tunnel(w http.ResponseWriter, r *http.Request) error {
	e, err := h.live(r)
	if err != nil {
		return err
	}
	list, err := h.measure(r.Context(), []track.Entry{e}, func(*track.Record) bool { return true })
	if err != nil {
		return err
	}
	site.StartJSON(w)
	w.Write(append(appendTunnel(nil, accesslog.NewObjectEncoder(), &list[0]), '\n'))
	return nil
}

// How a record tells that its transaction was ended here.
const (
	killedHow = "killed"
	killedWhy = "ended by DELETE on the admin address"
)

type killed struct {
	Killed int `json:"killed"`
}

func (h *Handler) kill(w http.ResponseWriter, r *http.Request) error {
	e, err := h.live(r)
	if err != nil {
		return err
	}
	e.Kill(killedHow, killedWhy)
	return site.Write(w, r, killed{1})
}

func (h *Handler) killClient(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if !q.Has("client") {
		return site.BadRequest("whose tunnels? name an address or a CIDR: /tunnels?client=192.0.2.7")
	}
	fits, err := clientFilter(q)
	if err != nil {
		return err
	}
	n := 0
	for _, e := range h.o.Gate.Live().Entries(nil) {
		if s := e.Snapshot(); fits(s.Client.Addr()) {
			e.Kill(killedHow, killedWhy)
			n++
		}
	}
	return site.Write(w, r, killed{n})
}
