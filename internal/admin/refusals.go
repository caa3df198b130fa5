package admin

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// kept is how many refusals are remembered.
const kept = 256

// longest is how many bytes of a text that clients have a hand in are kept of each.
const longest = 512

// refusals are the latest transactions that did not end well. Once all places are
// taken, the client that has most of them makes room: a scan drives out itself, and
// hides nobody else.
type refusals struct {
	mu   sync.Mutex
	ring [kept]refusal
	who  [kept]*refusedClient // of each in the ring
	of   map[netip.Addr]*refusedClient
	n    uint64 // how many there were since the start
}

type refusal struct {
	track.Record
	at     time.Time
	number uint64 // from 1, since the start
}

// refusedClient is a client with refusals in the ring.
type refusedClient struct {
	key    netip.Addr
	places int
}

func (s *refusals) add(r *track.Record, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.room()
	s.n++
	e := &s.ring[i]
	e.Record, e.at, e.number = *r, at, s.n
	e.Path, e.Reason, e.User = shortened(r.Path), shortened(r.Reason), shortened(r.User)
	s.who[i] = s.client(limit.Key(r.Client.Addr()))
	s.who[i].places++
}

func (s *refusals) client(key netip.Addr) *refusedClient {
	if s.of == nil {
		s.of = make(map[netip.Addr]*refusedClient)
	}
	c := s.of[key]
	if c == nil {
		c = &refusedClient{key: key}
		s.of[key] = c
	}
	return c
}

// room returns a free place, or makes one: the oldest of those that have most.
func (s *refusals) room() int {
	if s.n < kept {
		return int(s.n)
	}
	out := 0
	for i, c := range s.who {
		if most := s.who[out].places; c.places > most || c.places == most && s.ring[i].number < s.ring[out].number {
			out = i
		}
	}
	c := s.who[out]
	if c.places--; c.places == 0 {
		delete(s.of, c.key)
	}
	return out
}

// shortened returns a text, or a copy of its beginning, so that the whole is not
// kept.
func shortened(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "..."
}

// since appends those that are kept of all after the first n, the latest first, and
// returns how many there were in all.
func (s *refusals) since(list []refusal, n uint64) ([]refusal, uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range min(s.n, kept) {
		if s.ring[i].number > n {
			list = append(list, s.ring[i])
		}
	}
	slices.SortFunc(list, latest)
	return list, s.n
}

func latest(a, b refusal) int { return cmp.Compare(b.number, a.number) }

// atMost returns so many of a list that has the latest first: the latest of each
// client, then the second of each, and so on.
func atMost(list []refusal, most int) []refusal {
	if len(list) <= most {
		return list
	}
	turns, turn := make(map[netip.Addr]int), make(map[uint64]int)
	for i := range list {
		key := limit.Key(list[i].Client.Addr())
		turn[list[i].number] = turns[key]
		turns[key]++
	}
	slices.SortStableFunc(list, func(a, b refusal) int { return cmp.Compare(turn[a.number], turn[b.number]) })
	list = list[:most]
	slices.SortFunc(list, latest)
	return list
}

func (h *Handler) latestRefusals(w http.ResponseWriter, r *http.Request) error {
	list, _ := h.refusals.since(nil, 0)
	site.StartJSON(w)
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
