package admin

import (
	"cmp"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// mostClients is how many one answer tells of.
const mostClients = 1000

type clientsAnswer struct {
	Time    string       `json:"time"`
	Clients []clientLine `json:"clients"`
	LeftOut int          `json:"left_out,omitempty"`
}

// clientLine is what is told of a client.
type clientLine struct {
	Client   string       `json:"client"`
	Tunnels  int          `json:"tunnels"`
	Up       int64        `json:"bytes_up"`
	Down     int64        `json:"bytes_down"`
	RateUp   int64        `json:"rate_up"`
	RateDown int64        `json:"rate_down"`
	Limits   clientLimits `json:"limits"`
	Budgets  []budgetLine `json:"budgets"`

	key netip.Addr
}

type clientLimits struct {
	Tunnels      int     `json:"tunnels"`
	NewPerSecond float64 `json:"new_tunnels_per_second"`
	New          int     `json:"new_tunnels_available"`
}

type budgetLine struct {
	Direction string `json:"direction"`
	Rule      string `json:"rule"`
	Rate      int64  `json:"rate"`
	Burst     int64  `json:"burst"`
	Available int64  `json:"available"`
}

// clients tells of all that have something live, or had lately, the busiest first.
func (h *Handler) clients(w http.ResponseWriter, r *http.Request) error {
	fits, err := clientFilter(r.URL.Query())
	if err != nil {
		return err
	}
	live, err := h.measure(r.Context(), h.o.Gate.Live().Entries(nil), func(r *track.Record) bool { return fits(r.Client.Addr()) })
	if err != nil {
		return err
	}
	lines := h.remembered(fits)
	for i := range live {
		lines.count(&live[i])
	}
	list := make([]clientLine, 0, len(lines.of))
	for _, l := range lines.of {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b clientLine) int {
		return cmp.Or(
			cmp.Compare(b.RateUp+b.RateDown, a.RateUp+a.RateDown),
			cmp.Compare(b.Tunnels, a.Tunnels), a.key.Compare(b.key))
	})
	answer := clientsAnswer{Time: string(accesslog.AppendTime(nil, time.Now())), Clients: list[:min(len(list), mostClients)]}
	answer.LeftOut = len(list) - len(answer.Clients)
	return site.Write(w, r, answer)
}

// lines are clients by their keys.
type lines struct {
	of     map[netip.Addr]*clientLine
	limits clientLimits // of one that nothing is remembered of
}

// remembered returns those that the table of limits has and that the filter may mean.
func (h *Handler) remembered(fits func(netip.Addr) bool) lines {
	cfg, _ := h.o.Config()
	most := clientLimits{Tunnels: cfg.Limits.Tunnels, NewPerSecond: cfg.Limits.NewTunnels, New: int(max(1, cfg.Limits.NewTunnels))}
	ls := lines{make(map[netip.Addr]*clientLine), most}
	for _, c := range h.o.Gate.Clients().Clients() {
		if !fits(c.Key) {
			continue
		}
		l := ls.line(c.Key)
		if c.NewPerSecond > 0 {
			l.Limits.NewPerSecond, l.Limits.New = c.NewPerSecond, int(math.Floor(max(0, c.New)))
		}
		for _, b := range c.Budgets {
			direction := "down"
			if b.Upload {
				direction = "up"
			}
			l.Budgets = append(l.Budgets, budgetLine{direction, b.Class, b.Rate, b.Burst, b.Available})
		}
	}
	return ls
}

func (ls *lines) line(key netip.Addr) *clientLine {
	l := ls.of[key]
	if l == nil {
		l = &clientLine{Client: limit.Name(key), Limits: ls.limits, Budgets: []budgetLine{}, key: key}
		ls.of[key] = l
	}
	return l
}

// count counts a live transaction to its client.
func (ls *lines) count(m *measured) {
	r := m.Snapshot()
	l := ls.line(limit.Key(r.Client.Addr()))
	l.Tunnels++
	l.Up, l.Down = l.Up+r.Up, l.Down+r.Down
	l.RateUp, l.RateDown = l.RateUp+m.up, l.RateDown+m.down
}
