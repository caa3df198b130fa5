package console

import (
	"bytes"
	"net/http"
	"os"
	"sync"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/record"
)

// disk tries whether the cache's directory can be written.
type disk struct {
	dir string

	mu   sync.Mutex
	at   time.Time
	last string // what came of it
}

const (
	triedFor = 5 * time.Second
	tryBytes = 4096 // a block: an empty file can be made on a disk that is full
)

// trouble returns why nothing can be kept, or "". It tries at most every few seconds.
func (d *disk) trouble() string {
	if d.dir == "" {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at.IsZero() || time.Since(d.at) > triedFor {
		d.last, d.at = "", time.Now()
		if err := tryWriting(d.dir); err != nil {
			d.last = err.Error()
		}
	}
	return d.last
}

func tryWriting(dir string) error {
	f, err := os.CreateTemp(dir, ".healthz-*")
	if err != nil {
		return err
	}
	// Without a name at once, so that none is left whenever this process ends.
	err = os.Remove(f.Name())
	if _, e := f.Write(bytes.Repeat([]byte{'x'}, tryBytes)); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// healthy answers 200 as long as the process does: that nothing can be kept makes
// pulls slower, and starting anew would not help.
func (h *Handler) healthy(w http.ResponseWriter, _ *http.Request) error {
	answer := "ok"
	if trouble := h.disk.trouble(); trouble != "" {
		answer = "degraded: the cache cannot be written: " + trouble
	}
	site.Plain(w, http.StatusOK, string(site.Escaped([]byte(answer)))+"\n")
	return nil
}

func (h *Handler) ready(w http.ResponseWriter, _ *http.Request) error {
	if h.o.Draining() {
		site.Plain(w, http.StatusServiceUnavailable, "draining\n")
		return nil
	}
	site.Plain(w, http.StatusOK, "ok\n")
	return nil
}

// status is what the page shows but for what is kept.
type status struct {
	Time      time.Time      `json:"time"`
	Version   string         `json:"version"`
	Started   time.Time      `json:"started"`
	Draining  bool           `json:"draining"`
	Cache     cacheStatus    `json:"cache"`
	Totals    totals         `json:"totals"`
	History   history        `json:"history"`
	Upstreams []upstreamView `json:"upstreams"`
}

type cacheStatus struct {
	Bytes        int64  `json:"bytes"`
	MaxBytes     int64  `json:"max_bytes"`
	Contents     int    `json:"contents"`
	Partials     int    `json:"partials"`
	PartialBytes int64  `json:"partial_bytes"`
	Downloads    int    `json:"downloads"`
	Reads        int    `json:"reads"`
	Evictions    uint64 `json:"evictions"`
	EvictedBytes uint64 `json:"evicted_bytes"`
	Corrupt      uint64 `json:"corrupt"`
	Mismatches   uint64 `json:"mismatches"`
	Uncached     uint64 `json:"uncached"`
	Trouble      string `json:"trouble,omitempty"` // why nothing can be written
}

type totals struct {
	Requests uint64            `json:"requests"`
	Hits     uint64            `json:"hits"`
	ByHow    map[string]uint64 `json:"by_how"`
	Sent     int64             `json:"bytes_sent"`
	Fetched  int64             `json:"bytes_fetched"`
	Saved    int64             `json:"bytes_saved"`
}

type history struct {
	Seconds   float64    `json:"seconds"` // of a stretch
	Begin     time.Time  `json:"begin"`   // of the first
	Stretches [][4]int64 `json:"stretches"`
}

type upstreamView struct {
	Name  string     `json:"name"`
	URL   string     `json:"url"`
	State string     `json:"state"` // up, away, paused or unasked
	Since *time.Time `json:"since,omitempty"`
	Why   string     `json:"why,omitempty"`
	Asked *time.Time `json:"asked,omitempty"`

	Limit       int        `json:"limit,omitempty"`
	Remaining   *int       `json:"remaining,omitempty"` // nil: nothing was said; 0: none is left
	Window      float64    `json:"window_seconds,omitempty"`
	LimitSeen   *time.Time `json:"limit_seen,omitempty"`
	PausedUntil *time.Time `json:"paused_until,omitempty"`
}

func (h *Handler) status(w http.ResponseWriter, r *http.Request) error {
	now := time.Now()
	s := status{
		Time: now.UTC(), Version: h.o.Version, Started: h.o.Started.UTC(), Draining: h.o.Draining(),
		Cache: h.cacheStatus(), Totals: totalsOf(h.o.Metrics.Totals()), Upstreams: []upstreamView{},
	}
	length, stretches := h.o.Metrics.History()
	s.History = history{Seconds: length.Seconds(), Begin: stretches[0].Begin.UTC()}
	for _, one := range stretches {
		s.History.Stretches = append(s.History.Stretches, [4]int64{int64(one.Requests), int64(one.Hits), one.Sent, one.Fetched})
	}
	for _, u := range h.o.Metrics.Upstreams() {
		s.Upstreams = append(s.Upstreams, viewOf(&u, now))
	}
	return site.Write(w, r, s)
}

func (h *Handler) cacheStatus() cacheStatus {
	c := h.o.Store.Stats()
	return cacheStatus{
		Bytes: c.Bytes, MaxBytes: c.MaxSize, Contents: c.Blobs, Partials: c.Partials, PartialBytes: c.PartialBytes,
		Downloads: c.Downloads, Reads: c.Reads, Evictions: c.Evictions, EvictedBytes: c.EvictedBytes,
		Corrupt: c.Corrupt, Mismatches: c.Mismatches, Uncached: c.Uncached, Trouble: h.disk.trouble(),
	}
}

func totalsOf(t metrics.Totals) totals {
	hits, all := t.Hits()
	sent := int64(0)
	for _, n := range t.Sent {
		sent += n
	}
	return totals{all, hits, t.Requests, sent, t.Fetched, t.Saved()}
}

func viewOf(u *metrics.Upstream, now time.Time) upstreamView {
	v := upstreamView{
		Name: u.Name, URL: u.URL, State: "up", Why: u.Why, Since: moment(u.Since), Asked: moment(u.Asked),
		Limit: u.Limits.Limit, Window: u.Limits.Window.Seconds(), LimitSeen: moment(u.Limits.Seen),
	}
	if v.Limit > 0 {
		v.Remaining = &u.Limits.Remaining
	}
	switch {
	case u.Limits.PausedUntil.After(now):
		v.State, v.PausedUntil = "paused", moment(u.Limits.PausedUntil)
	case u.Away:
		v.State = "away"
	case u.Asked.IsZero():
		v.State = "unasked"
	}
	return v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Bounds of the list of requests.
const (
	usualRequests = 100
	mostRequests  = 1000
)

func (h *Handler) requests(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	limit, err := limitOf(q, usualRequests, mostRequests)
	if err != nil {
		return err
	}
	var list []*record.Record
	switch refused := q.Get("refused"); refused {
	case "", "false":
		list = h.o.Recent.Latest()
	case "true":
		list = h.o.Recent.LatestRefused()
	default:
		return site.BadRequest("refused: %q is neither true nor false", refused)
	}
	objects := accesslog.NewObjectEncoder()
	b := []byte(`{"requests":[`)
	for i, one := range list[:min(limit, len(list))] {
		if i > 0 {
			b = append(b, ',')
		}
		b = objects.AppendObject(b, one, one.Start.Add(one.Duration))
	}
	site.WriteJSON(w, append(b, "]}"...))
	return nil
}
