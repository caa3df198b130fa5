package top

import "unicode/utf8"

// maxFilter is how long a filter can get, in bytes.
const maxFilter = 256

// key takes a key by its name: a character, or a word such as "enter" or
// "ctrl-c". It returns what to ask the proxy for, if anything, and whether the
// program ends.
func (m *model) key(name string) (ask *request, quit bool) {
	m.note = ""
	switch {
	case name == "ctrl-c":
		return nil, true
	case m.asked != nil:
		return m.confirmKey(name), false
	case m.typing:
		m.filterKey(name)
		return nil, false
	case name == "q":
		return nil, true
	case m.help != nil:
		m.helpKey(name)
		return nil, false
	}
	switch name {
	case "?":
		m.help = &page{lines: helpLines()}
	case "t":
		m.show(tunnels)
	case "r":
		m.show(refusals)
	case "c":
		m.show(clients)
	case "d":
		m.show(destinations)
	case "x":
		m.kill()
	case "esc":
		m.back()
	default:
		switch {
		case m.detail == nil:
			return m.listKey(name), false
		case name == "enter":
			m.detail = nil
		default:
			m.scrollKey(&m.detail.page, name)
		}
	}
	return nil, false
}

// listKey is for keys that mean the list.
func (m *model) listKey(name string) *request {
	t := m.table()
	switch name {
	case "up", "k":
		t.move(-1)
	case "down", "j":
		t.move(1)
	case "pgup":
		t.move(-max(m.page-1, 1))
	case "pgdn", " ":
		t.move(max(m.page-1, 1))
	case "home", "g":
		t.home()
	case "end", "G":
		t.move(t.length())
	case "left", "<":
		t.nextSort(-1)
		t.rebuild(&m.state)
	case "right", ">":
		t.nextSort(1)
		t.rebuild(&m.state)
	case "o":
		t.turn()
		t.rebuild(&m.state)
	case "/":
		m.typing = true
	case "enter":
		return m.open()
	}
	return nil
}

// confirmKey is for the question whether to kill: only "y" does.
func (m *model) confirmKey(name string) *request {
	ask := m.asked
	m.asked = nil
	if name == "y" {
		m.note = "killing " + ask.what
		return ask
	}
	m.note = "not killed"
	return nil
}

func (m *model) filterKey(name string) {
	t := m.table()
	text := t.filtered()
	switch name {
	case "enter", "down", "up":
		m.typing = false
		return
	case "esc":
		m.typing, text = false, ""
	case "backspace":
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	case "ctrl-u":
		text = ""
	default:
		if utf8.RuneCountInString(name) != 1 || len(text)+len(name) > maxFilter {
			return
		}
		text += name
	}
	t.setFilter(text)
	t.rebuild(&m.state)
}

func (m *model) helpKey(name string) {
	switch name {
	case "?", "esc", "enter":
		m.help = nil
	default:
		m.scrollKey(m.help, name)
	}
}

func (m *model) scrollKey(p *page, name string) {
	switch name {
	case "up", "k":
		p.move(-1)
	case "down", "j":
		p.move(1)
	case "pgup":
		p.move(-max(m.page-1, 1))
	case "pgdn", " ":
		p.move(max(m.page-1, 1))
	case "home", "g":
		p.top = 0
	}
}

// back undoes the last step: the page that is open, the filter, the view.
func (m *model) back() {
	t := m.table()
	switch {
	case m.detail != nil:
		m.detail = nil
	case t.filtered() != "":
		t.setFilter("")
		t.rebuild(&m.state)
	default:
		m.show(tunnels)
	}
}

func helpLines() []line {
	list := [][2]string{
		{"t", "live tunnels"},
		{"r", "the latest refusals"},
		{"c", "the busiest clients"},
		{"d", "the busiest destinations"},
		{"", ""},
		{"up down j k", "move; PgUp and PgDn by a page, g to the first, G to the last"},
		{"left right < >", "choose the column to sort by"},
		{"o", "turn the order round"},
		{"/", "show only what has these words, or 192.0.2.0/24 for clients; Enter keeps them, Esc clears"},
		{"Enter", "all about a tunnel; why a request was refused, rule by rule; the tunnels of a client or a destination"},
		{"x", "kill the tunnel, or all of the client's; asks first"},
		{"Esc", "back"},
		{"ctrl-l", "draw the screen anew"},
		{"?", "this page"},
		{"q", "quit"},
	}
	lines := []line{{{"keys", heading}}}
	for _, k := range list {
		if k[0] == "" {
			lines = append(lines, line{})
			continue
		}
		lines = append(lines, line{{fit(k[0], 15, false, ""), strong}, {k[1], normal}})
	}
	return append(lines, line{},
		line{{"Rates are bytes per second over the last second, amounts are powers of ten, UP is from client to origin.", normal}})
}
