package top

import (
	"fmt"
	"strings"

	"sluice/internal/adminclient"
)

// view is which list is shown.
type view int

const (
	tunnels view = iota
	refusals
	clients
	destinations
)

func (v view) String() string {
	return [...]string{"tunnels", "refusals", "clients", "destinations"}[v]
}

// table is a list whatever its rows are.
type table interface {
	rebuild(*state)
	render(columns, lines int, g glyphs) []line
	move(n int)
	home()
	pin()
	nextSort(n int)
	turn()
	setFilter(string)
	filtered() string
	sorted(glyphs) string
	length() int
}

// model is all that the screen shows, and what keys do to it. It draws nothing
// and asks nobody: keys give requests, whose answers come back by answer.
type model struct {
	address string // of the admin interface, as configured
	host    string // where the proxy runs
	glyphs  glyphs
	state   state
	lost    error // why there is no feed; nil while there is one

	view         view
	tunnels      *list[*tunnel]
	refusals     *list[*adminclient.Transaction]
	clients      *list[adminclient.Share]
	destinations *list[adminclient.Share]

	page   int      // rows of the list on the screen, at the last drawing
	typing bool     // the filter is being typed
	asked  *request // a kill that waits for "y"
	note   string   // what came of the last key; until the next one
	help   *page
	detail *detail
}

func newModel(address, host string, unicode bool) *model {
	return &model{
		address: address, host: host, glyphs: glyphsFor(unicode),
		tunnels: tunnelList(), refusals: refusalList(),
		clients: clientList(), destinations: destinationList(),
	}
}

// table is the list that is shown.
func (m *model) table() table {
	return [...]table{m.tunnels, m.refusals, m.clients, m.destinations}[m.view]
}

// event takes the next event of the feed, and returns what to ask for the page
// that is open.
func (m *model) event(ev adminclient.Event) *request {
	m.lost = nil
	m.state.apply(ev)
	m.rebuild()
	if m.detail != nil {
		return m.detail.again(&m.state)
	}
	return nil
}

// disconnected tells that the feed has ended. What was known stays on the screen,
// for it is the last that was seen.
func (m *model) disconnected(err error) { m.lost = err }

func (m *model) rebuild() { m.table().rebuild(&m.state) }

func (m *model) show(v view) {
	m.view, m.help, m.detail = v, nil, nil
	m.rebuild()
}

// only shows the tunnels that have the text.
func (m *model) only(text string) {
	m.tunnels.setFilter(text)
	m.show(tunnels)
}

// open shows all about the selected row.
func (m *model) open() *request {
	switch m.view {
	case tunnels:
		if t, ok := m.tunnels.current(); ok {
			m.tunnels.pin()
			m.detail = newTunnelDetail(t.Transaction)
			return m.detail.again(&m.state)
		}
	case refusals:
		if t, ok := m.refusals.current(); ok {
			m.refusals.pin()
			m.detail = newRefusalDetail(t)
			return m.detail.explain()
		}
	case clients:
		if c, ok := m.clients.current(); ok {
			m.only(c.Client)
		}
	case destinations:
		if d, ok := m.destinations.current(); ok {
			m.only(d.Host)
		}
	}
	return nil
}

// kill asks whether the selected tunnel, or all of the selected client, shall end.
func (m *model) kill() {
	switch {
	case m.view == tunnels && m.detail != nil:
		m.asked = killOne(m.detail.transaction)
	case m.view == tunnels:
		if t, ok := m.tunnels.current(); ok {
			m.tunnels.pin()
			m.asked = killOne(t.Transaction)
		}
	case m.view == clients:
		if c, ok := m.clients.current(); ok {
			m.clients.pin()
			m.asked = &request{kind: killClient, client: c.Client, what: "all tunnels of " + clean(c.Client)}
		}
	default:
		m.note = "only a tunnel, or a client's, can be killed"
	}
}

func killOne(t *adminclient.Transaction) *request {
	return &request{kind: killTunnel, id: t.ID,
		what: fmt.Sprintf("%s to %s", clean(t.Client), clean(strings.TrimSpace(destination(t)+" "+t.ID)))}
}

// answer takes what came of a request.
func (m *model) answer(a answer) {
	switch a.kind {
	case killTunnel, killClient:
		m.note = a.note()
	case lookUp, explain:
		// The page may have been left, or be another one.
		if m.detail != nil && m.detail.transaction.ID == a.id {
			m.detail.take(a)
		}
	}
}
