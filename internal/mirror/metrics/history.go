package metrics

import (
	"maps"
	"time"
)

// Totals are sums since the start.
type Totals struct {
	Since    time.Time
	Requests map[string]uint64 // for manifests and blobs that were answered, by how
	Sent     map[string]int64  // bytes of content to clients, by how
	Fetched  int64             // bytes from upstreams
}

// Saved returns the bytes sent less those fetched; it may be below 0.
func (t Totals) Saved() int64 {
	saved := -t.Fetched
	for _, n := range t.Sent {
		saved += n
	}
	return saved
}

// Hits returns how many requests for manifests and blobs were answered, and how many
// of these without a fetch of their own.
func (t Totals) Hits() (hits, all uint64) {
	for how, n := range t.Requests {
		all += n
		if SparesFetch(how) {
			hits += n
		}
	}
	return hits, all
}

// Totals returns the sums.
func (m *Metrics) Totals() Totals {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.totals
	t.Requests, t.Sent = maps.Clone(t.Requests), maps.Clone(t.Sent)
	return t
}

// sample is what came to pass in a stretch of time.
type sample struct {
	Requests, Hits uint64
	Sent, Fetched  int64
}

// Stretch is what came to pass in a stretch of time.
type Stretch struct {
	Begin    time.Time
	Requests uint64 // for manifests and blobs that were answered
	Hits     uint64 // of these, without a fetch of their own
	Sent     int64  // bytes to clients
	Fetched  int64  // bytes from upstreams
}

// History returns what came to pass since the start, the oldest first, in stretches of
// this length, of which the last is not over.
func (m *Metrics) History() (length time.Duration, list []Stretch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := &m.history
	h.add(time.Now(), sample{})
	for i, s := range h.list {
		list = append(list, Stretch{h.since.Add(time.Duration(i) * h.length), s.Requests, s.Hits, s.Sent, s.Fetched})
	}
	return h.length, list
}

const (
	mostStretches = 240
	firstLength   = 5 * time.Second
)

// history is the whole time since the start in so many stretches at most: when there
// would be more, two become one.
type history struct {
	since  time.Time
	length time.Duration
	list   []sample
}

func (h *history) begin(now time.Time) {
	h.since, h.length, h.list = now, firstLength, make([]sample, 1, mostStretches)
}

func (h *history) add(now time.Time, s sample) {
	at := now.Sub(h.since)
	for at >= mostStretches*h.length {
		h.fold()
	}
	for int(at/h.length) >= len(h.list) {
		h.list = append(h.list, sample{})
	}
	h.list[len(h.list)-1].plus(s)
}

// fold makes stretches twice as long.
func (h *history) fold() {
	h.length *= 2
	n := (len(h.list) + 1) / 2
	for i := range n {
		s := h.list[2*i]
		if 2*i+1 < len(h.list) {
			s.plus(h.list[2*i+1])
		}
		h.list[i] = s
	}
	h.list = h.list[:n]
}

func (s *sample) plus(other sample) {
	s.Requests += other.Requests
	s.Hits += other.Hits
	s.Sent += other.Sent
	s.Fetched += other.Fetched
}
