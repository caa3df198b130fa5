package top

import "slices"

// gutter is the room for the sign of the selected row.
const gutter = 1

// style is how a piece of text looks. Which colours that are is the screen's to
// say; each is told apart without colours too.
type style uint8

const (
	normal style = iota
	strong
	faint
	heading  // titles of columns
	chosen   // the selected row
	good     // what is as it should be
	bad      // refusals, and a proxy that does not answer
	question // what waits for an answer
)

// span is text of one style.
type span struct {
	text  string
	style style
}

// line is one line of the screen.
type line []span

// text is the line without styles.
func (l line) text() string {
	var s string
	for _, p := range l {
		s += p.text
	}
	return s
}

// plenty is the rank from which on columns are worth less than an ample width of
// those before them.
const plenty = 4

// layout tells which columns have room on a screen that is so wide, and how much:
// 0 for those that have none. Columns are taken by rank; what is left over goes to
// texts that are cut, in the same order.
func (l *list[T]) layout(screen int) []int {
	byRank := make([]int, 0, len(l.columns))
	for i, c := range l.columns {
		if c.rank > 0 && l.widths[i] > 0 {
			byRank = append(byRank, i)
		}
	}
	slices.SortFunc(byRank, func(a, b int) int { return l.columns[a].rank - l.columns[b].rank })

	columns := make([]int, len(l.columns))
	room := screen - gutter
	for n, i := range byRank {
		c := l.columns[i]
		if c.rank >= plenty {
			room -= l.widen(columns, byRank[:n], room, func(c column[T]) int { return c.ample })
		}
		w, space := min(c.least, l.widths[i]), 1
		if n == 0 { // the first is there however narrow the screen is
			w, space = max(min(w, room), 1), 0
		}
		if w+space <= room || n == 0 {
			columns[i] = w
			room -= w + space
		}
	}
	l.widen(columns, byRank, room, func(column[T]) int { return screen })
	return columns
}

// widen gives columns that are shown and cut up to so much, as far as there is
// room, and returns what that took.
func (l *list[T]) widen(columns, which []int, room int, upTo func(column[T]) int) int {
	taken := 0
	for _, i := range which {
		more := min(room-taken, min(l.widths[i], upTo(l.columns[i]))-columns[i])
		if columns[i] > 0 && more > 0 {
			columns[i] += more
			taken += more
		}
	}
	return taken
}

// render draws the header and as many rows as there are lines for.
func (l *list[T]) render(columns, lines int, g glyphs) []line {
	widths := l.layout(columns)
	out := make([]line, 0, lines)
	out = append(out, line{{l.titles(widths, g), heading}})
	room := max(lines-1, 0)
	l.top = min(l.top, len(l.rows)-room, l.selected)
	l.top = max(l.top, l.selected-room+1, 0)
	for i := l.top; i < len(l.rows) && len(out) < lines; i++ {
		text, s := " ", normal
		if i == l.selected {
			text, s = ">", chosen
		}
		for c, w := range widths {
			if w > 0 {
				text += l.gap(text) + fit(l.columns[c].text(l.rows[i]), w, l.columns[c].right, g.ellipsis)
			}
		}
		out = append(out, line{{text, s}})
	}
	return out
}

func (l *list[T]) titles(widths []int, g glyphs) string {
	text := " "
	for c, w := range widths {
		if w > 0 {
			text += l.gap(text) + fit(l.columns[c].title+l.sign(g, c), w, l.columns[c].right, g.ellipsis)
		}
	}
	return text
}

// gap is what stands before a column that is not the first.
func (l *list[T]) gap(before string) string {
	if len(before) == gutter {
		return ""
	}
	return " "
}
