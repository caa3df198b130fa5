package admin

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/track"
)

// kept is how many refusals are remembered.
const kept = 256

// longest is how many bytes of a text that clients have a hand in are kept of each.
const longest = 512

// refusals are the latest transactions that did not end well.
type refusals struct {
	mu   sync.Mutex
	ring [kept]refusal
	n    uint64 // how many there were since the start
}

type refusal struct {
	track.Record
	at time.Time
}

func (s *refusals) add(r *track.Record, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.ring[s.n%kept]
	e.Record, e.at = *r, at
	e.Path, e.Reason, e.User = shortened(r.Path), shortened(r.Reason), shortened(r.User)
	s.n++
}

// shortened returns a text, or a copy of its beginning, so that the whole is not
// kept.
func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}

// since appends those after the first n, the latest first and at most that many, and
// returns how many there were in all.
func (s *refusals) since(list []refusal, n uint64, most int) ([]refusal, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.n; i > n && s.n-i < min(kept, uint64(most)); i-- {
		list = append(list, s.ring[(i-1)%kept])
	}
	return list, s.n
}

func (h *Handler) latestRefusals(w http.ResponseWriter, r *http.Request) error {
	list, _ := h.refusals.since(nil, 0, kept)
	startJSON(w)
	b := appendRefusals([]byte(`{"refusals":`), accesslog.NewObjectEncoder(), list)
	w.Write(append(b, "}\n"...))
	return nil
}

func appendRefusals(b []byte, objects *accesslog.ObjectEncoder, list []refusal) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = objects.Append(b, &list[i].Record, list[i].at)
	}
	return append(b, ']')
}
