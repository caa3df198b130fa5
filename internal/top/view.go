package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	curveWidth = 12
	// reloadShown is how long a reload stays in the header.
	reloadShown = time.Minute
)

// draw returns the lines of a screen of this size, at most as many as it has.
func (m *model) draw(columns, lines int) []line {
	if columns < 1 || lines < 1 {
		return nil
	}
	head := flow(m.header(), columns, m.glyphs.ellipsis)
	if m.state.known { // what is listed is what the user came for: it gets half at least
		head = head[:min(len(head), lines/2)]
	}
	bottom := m.bottom()
	head = head[:min(len(head), lines-1)]
	room := lines - len(head) - 1
	m.page = max(room-1, 1)

	out := append(head, m.body(columns, max(room, 0))...)
	for len(out) < lines-1 {
		out = append(out, nil)
	}
	out = append(out[:max(lines-1, 0)], bottom)
	for i := range out {
		out[i] = clip(out[i], columns, m.glyphs.ellipsis)
	}
	return out
}

func (m *model) body(columns, lines int) []line {
	switch {
	case m.help != nil:
		return m.help.render(columns, lines)
	case m.detail != nil:
		return m.detail.render(columns, lines)
	case !m.state.known:
		return nil
	}
	return m.table().render(columns, lines, m.glyphs)
}

// header is pieces that are put onto as many lines as they need.
func (m *model) header() []line {
	s := &m.state
	pieces := []line{{{m.title(), strong}}}
	switch {
	case m.help != nil:
		return pieces
	case m.lost != nil:
		return append(pieces, line{{m.noConnection(), bad}})
	case !s.known:
		return append(pieces, line{{"connecting to " + clean(m.address), faint}})
	case s.draining:
		pieces = append(pieces, line{{"draining", bad}})
	}
	pieces = append(pieces, line{{"up " + age(s.now.Sub(s.started)), normal}})
	pieces = append(pieces, m.reloaded()...)
	pieces = append(pieces,
		m.flowing("down", s.rateDown, s.historyDown),
		m.flowing("up", s.rateUp, s.historyUp),
		line{{"tunnels ", faint}, {m.places(), strong}},
		m.refusedByOutcome(),
		line{{m.view.String(), strong}, {m.listed(), normal}})
	if text := m.table().filtered(); text != "" {
		pieces = append(pieces, line{{"only ", faint}, {clean(text), strong}})
	}
	return pieces
}

func (m *model) title() string {
	title := "sluice"
	if m.state.version != "" {
		title += " " + clean(m.state.version)
	}
	return title + " on " + clean(m.host)
}

func (m *model) noConnection() string {
	text := "no connection"
	if m.state.known {
		text += " since " + m.state.now.Local().Format(time.TimeOnly)
	}
	return text + ", trying again: " + clean(m.lost.Error())
}

func (m *model) flowing(name string, rate float64, history []float64) line {
	return line{{name + " ", faint}, {fit(amount(rate)+"/s", 8, true, ""), strong},
		{" " + m.glyphs.sparkline(history, curveWidth), good}}
}

func (m *model) places() string {
	if m.state.maxTunnels > 0 {
		return fmt.Sprintf("%d/%d", m.state.count, m.state.maxTunnels)
	}
	return fmt.Sprint(m.state.count)
}

// refusedByOutcome counts what did not end well, the most frequent first.
func (m *model) refusedByOutcome() line {
	all := m.state.refused()
	l := line{{"refused ", faint}, {fmt.Sprint(all), strong}}
	if all == 0 {
		return l
	}
	l[1].style = bad
	requests := m.state.requests
	outcomes := slices.SortedFunc(maps.Keys(requests), func(a, b string) int {
		return cmp.Or(cmp.Compare(requests[b], requests[a]), strings.Compare(a, b))
	})
	var texts []string
	for _, outcome := range outcomes {
		if outcome != "ok" && requests[outcome] > 0 {
			texts = append(texts, fmt.Sprintf("%s %d", clean(outcome), requests[outcome]))
		}
	}
	return append(l, span{" (" + strings.Join(texts, ", ") + ")", normal})
}

func (m *model) reloaded() []line {
	r := m.state.reload
	switch {
	case r == nil || m.state.now.Sub(r.Time) > reloadShown:
		return nil
	case !r.OK:
		return []line{{{"reload failed: " + clean(r.Error), bad}}}
	}
	return []line{{{"reloaded at " + r.Time.Local().Format(time.TimeOnly), good}}}
}

// listed is how many rows there are, and in which order.
func (m *model) listed() string {
	t := m.table()
	text := fmt.Sprintf(" %d", t.length())
	if m.view == tunnels && t.length() < len(m.state.tunnels) {
		text += fmt.Sprintf(" of %d", len(m.state.tunnels))
	}
	return text + " " + t.sorted(m.glyphs)
}

// bottom is the last line: a question, what is typed, what came of a key, or which
// keys there are.
func (m *model) bottom() line {
	switch {
	case m.asked != nil:
		return line{{"kill? y or n: " + m.asked.what, question}}
	case m.typing:
		return line{{"/" + clean(m.table().filtered()) + "_", question}}
	case m.note != "":
		return line{{m.note, strong}}
	case m.help != nil:
		return line{{"Esc back  j k scroll  q quit", faint}}
	case m.detail != nil && m.view == tunnels:
		return line{{"Esc back  j k scroll  x kill  q quit", faint}}
	case m.detail != nil:
		return line{{"Esc back  j k scroll  q quit", faint}}
	}
	return line{{"? help  q quit  / filter  < > sort  o order  Enter all  x kill  t tunnels  r refusals  c clients  d destinations", faint}}
}

// flow puts pieces onto lines, a new one wherever the next piece has no room.
func flow(pieces []line, columns int, ellipsis string) []line {
	var lines []line
	var current line
	used := 0
	for _, p := range pieces {
		w := width(p.text())
		switch {
		case current == nil:
		case used+2+w <= columns:
			current = append(current, span{"  ", normal})
			used += 2
		default:
			lines = append(lines, current)
			current, used = nil, 0
		}
		current = append(current, p...)
		used += w
	}
	if current != nil {
		lines = append(lines, current)
	}
	for i := range lines {
		lines[i] = clip(lines[i], columns, ellipsis)
	}
	return lines
}

// clip cuts a line that is too long for the screen.
func clip(l line, columns int, ellipsis string) line {
	for i, p := range l {
		w := width(p.text)
		if w > columns {
			return append(l[:i:i], span{cut(p.text, columns, ellipsis), p.style})
		}
		columns -= w
	}
	return l
}
