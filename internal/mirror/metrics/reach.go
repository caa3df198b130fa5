package metrics

import (
	"strconv"
	"time"

	"sluice/internal/mirror/upstream"
)

// Upstream is the state of an upstream.
type Upstream struct {
	UpstreamState
	Asked time.Time // when it was asked last; zero: never since the start
	Away  bool      // it, or a host that it named, did not answer, or with 5xx
	Since time.Time // since when it is away
	Why   string    // it is away
}

// Upstreams returns the state of all that are configured, in their order.
func (m *Metrics) Upstreams() []Upstream {
	if m.o.Upstreams == nil {
		return nil
	}
	configured := m.o.Upstreams()
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]Upstream, len(configured))
	for i, c := range configured {
		list[i] = Upstream{UpstreamState: c}
		if l := &list[i].Limits; l.Window > 0 && now.Sub(l.Seen) > l.Window {
			l.Limit, l.Remaining = 0, 0 // its window is over: what is left now is not known
		}
		if r := m.reached[c.Name]; r != nil {
			r.tell(&list[i], now)
		}
	}
	return list
}

// A registry is several hosts: itself, who gives tokens, and who has the blobs. One of
// them may be blocked where the others are not.
const (
	itself = iota
	tokens
	redirected
	places
)

// remembered is how long the failure of one place counts while others answer: what was
// not asked again since may long be well.
const remembered = 5 * time.Minute

// reach is what came of the latest exchanges with an upstream, by place.
type reach struct {
	asked time.Time
	place [places]struct {
		failed time.Time // the last of a row of failures; zero: it answers
		since  time.Time // the first
		why    string
	}
	latest int
}

func (r *reach) add(e upstream.Event, now time.Time) {
	r.latest = itself
	switch {
	case e.Kind == "token":
		r.latest = tokens
	case e.Redirect > 0:
		r.latest = redirected
	}
	r.asked = now
	p := &r.place[r.latest]
	why := failure(e)
	if why == "" {
		p.failed = time.Time{}
		return
	}
	if p.failed.IsZero() {
		p.since = now
	}
	p.failed, p.why = now, why
	if r.latest == redirected {
		p.why = "a host that it leads to: " + why
	}
}

// failure returns why an exchange failed for a reason that lies with the upstream, or
// the way to it; "" where it did not.
func failure(e upstream.Event) string {
	switch {
	case e.Status >= 500:
		return "it answers " + strconv.Itoa(e.Status)
	case e.Status != 0:
		return ""
	case e.Failure == upstream.Unreachable:
		return "it cannot be reached"
	case e.Failure == upstream.Refused:
		return "it may not be asked"
	case e.Failure == upstream.Broken:
		return "its answers are of no use"
	}
	return ""
}

func (r *reach) tell(u *Upstream, now time.Time) {
	u.Asked = r.asked
	for i := range r.place {
		p := &r.place[i]
		old := i != r.latest && now.Sub(p.failed) > remembered
		if p.failed.IsZero() || old || u.Away && !p.since.Before(u.Since) {
			continue
		}
		u.Away, u.Since, u.Why = true, p.since, p.why
		if i == tokens {
			u.Why = "its token server: " + p.why
		}
	}
}
