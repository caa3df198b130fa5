package top

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/adminclient"
)

// Columns of the screen that are needed for "DOWN/S" and the sign of the order, over
// "1.00MB"; for "59m59s"; and for an IPv4 address.
const (
	amountWidth  = 7
	ageWidth     = 6
	addressWidth = 15
)

func tunnelList() *list[*tunnel] {
	now := time.Time{} // the proxy's, at the last rebuild
	age := func(t *tunnel) string { return age(now.Sub(t.Start)) }
	return &list[*tunnel]{
		all: func(s *state) []*tunnel {
			now = s.now
			return slices.AppendSeq(make([]*tunnel, 0, len(s.tunnels)), maps.Values(s.tunnels))
		},
		id:     func(t *tunnel) string { return t.ID },
		client: func(t *tunnel) string { return t.Client },
		columns: []column[*tunnel]{
			{title: "RATE", falling: true, right: true, order: numbers((*tunnel).rate)},
			{title: "CLIENT", rank: 3, least: addressWidth, text: func(t *tunnel) string { return clean(t.Client) },
				order: func(a, b *tunnel) int { return addresses(a.Client, b.Client) }},
			texts("USER", 9, 6, func(t *tunnel) string { return t.User }),
			ample(texts("DESTINATION", 1, 12, func(t *tunnel) string { return destination(t.Transaction) })),
			texts("RULE", 8, 8, func(t *tunnel) string { return t.Rule }),
			texts("PROTO", 10, 7, func(t *tunnel) string { return t.Protocol }),
			{title: "AGE", rank: 4, least: ageWidth, right: true, falling: true, text: age,
				order: func(a, b *tunnel) int { return b.Start.Compare(a.Start) }},
			amounts("DOWN", 6, func(t *tunnel) float64 { return float64(t.Down) }),
			amounts("UP", 7, func(t *tunnel) float64 { return float64(t.Up) }),
			amounts("DOWN/S", 2, func(t *tunnel) float64 { return t.rateDown }),
			amounts("UP/S", 5, func(t *tunnel) float64 { return t.rateUp }),
		},
	}
}

func refusalList() *list[*adminclient.Transaction] {
	type refusal = *adminclient.Transaction
	return &list[refusal]{
		all:    func(s *state) []refusal { return slices.Clone(s.refusals) },
		id:     func(t refusal) string { return t.ID },
		client: func(t refusal) string { return t.Client },
		columns: []column[refusal]{
			{title: "TIME", rank: 4, least: 8, falling: true, text: func(t refusal) string { return t.Time.Local().Format(time.TimeOnly) },
				order: func(a, b refusal) int { return a.Time.Compare(b.Time) }},
			{title: "CLIENT", rank: 2, least: addressWidth, text: func(t refusal) string { return clean(t.Client) },
				order: func(a, b refusal) int { return addresses(a.Client, b.Client) }},
			texts("USER", 7, 6, func(t refusal) string { return t.User }),
			ample(texts("DESTINATION", 1, 12, destination)),
			texts("OUTCOME", 3, 8, func(t refusal) string { return t.Outcome }),
			texts("RULE", 6, 8, func(t refusal) string { return t.Rule }),
			texts("REASON", 5, 12, func(t refusal) string { return t.Reason }),
		},
	}
}

func clientList() *list[adminclient.Share] {
	l := shareList("CLIENT", func(s adminclient.Share) string { return s.Client })
	l.all = func(s *state) []adminclient.Share { return slices.Clone(s.clients) }
	l.columns[1].order = func(a, b adminclient.Share) int { return addresses(a.Client, b.Client) }
	return l
}

func destinationList() *list[adminclient.Share] {
	l := shareList("DESTINATION", func(s adminclient.Share) string { return s.Host })
	l.all = func(s *state) []adminclient.Share { return slices.Clone(s.destinations) }
	return l
}

func shareList(title string, name func(adminclient.Share) string) *list[adminclient.Share] {
	type share = adminclient.Share
	return &list[share]{
		id: name,
		columns: []column[share]{
			{title: "RATE", falling: true, right: true, order: numbers(func(s share) float64 { return s.RateUp + s.RateDown })},
			texts(title, 1, 12, name),
			{title: "TUNNELS", rank: 4, least: 8, right: true, falling: true, text: func(s share) string { return strconv.Itoa(s.Tunnels) },
				order: func(a, b share) int { return cmp.Compare(a.Tunnels, b.Tunnels) }},
			amounts("DOWN/S", 2, func(s share) float64 { return s.RateDown }),
			amounts("UP/S", 3, func(s share) float64 { return s.RateUp }),
		},
	}
}

func texts[T any](title string, rank, least int, text func(T) string) column[T] {
	return column[T]{title: title, rank: rank, least: least,
		text:  func(row T) string { return clean(text(row)) },
		order: func(a, b T) int { return strings.Compare(text(a), text(b)) }}
}

// ample is for names that say little when they are cut.
func ample[T any](c column[T]) column[T] {
	c.ample = 2 * c.least
	return c
}

func amounts[T any](title string, rank int, number func(T) float64) column[T] {
	return column[T]{title: title, rank: rank, least: amountWidth, right: true, falling: true,
		text:  func(row T) string { return amount(number(row)) },
		order: numbers(number)}
}

func numbers[T any](number func(T) float64) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(number(a), number(b)) }
}

// addresses orders 9.0.0.0 before 10.0.0.0, and networks among addresses.
func addresses(a, b string) int {
	return cmp.Or(address(a).Compare(address(b)), strings.Compare(a, b))
}

// address is the zero value of what is neither an address nor a network.
func address(s string) netip.Addr {
	if network, err := netip.ParsePrefix(s); err == nil {
		return network.Addr()
	}
	a, _ := netip.ParseAddr(s)
	return a
}

// destination is HOST:PORT as it was asked for; "" of a request that could not be
// read.
func destination(t *adminclient.Transaction) string {
	if t.Host == "" {
		return ""
	}
	return net.JoinHostPort(t.Host, strconv.Itoa(t.Port))
}
