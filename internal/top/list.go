package top

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// column is one column of a list of T.
type column[T any] struct {
	title string
	// rank is which columns stay where not all have room: the lowest first. A
	// column of rank 0 is never shown, but may be sorted by.
	rank    int
	least   int  // columns of the screen that it needs; of numbers, all it gets
	ample   int  // what it gets before columns of a rank above plenty do
	right   bool // numbers
	falling bool // the largest first, unless turned round
	text    func(T) string
	order   func(a, b T) int // rising
}

// list is a table of what the state has, in the order that the user chose.
type list[T any] struct {
	columns []column[T]
	all     func(*state) []T
	id      func(T) string
	client  func(T) string // for filters that are networks; nil where there is none

	sortBy   int // index of columns
	turned   bool
	filter   string
	rows     []T
	widths   []int  // of the columns' texts, wanted
	selected int    // index of rows
	pinned   string // identifier of the selected row; "" while it is just the first
	top      int    // index of the first row on the screen
}

// rebuild takes the rows from the state, filters and sorts them, and finds the
// selected one again.
func (l *list[T]) rebuild(s *state) {
	l.rows = l.all(s)
	if l.filter != "" {
		l.rows = slices.DeleteFunc(l.rows, l.hides())
	}
	c := l.columns[l.sortBy]
	slices.SortFunc(l.rows, func(a, b T) int {
		n := c.order(a, b)
		if c.falling != l.turned {
			n = -n
		}
		return cmp.Or(n, strings.Compare(l.id(a), l.id(b)))
	})
	l.measure()
	l.follow()
}

// follow finds the pinned row at its new place, and keeps it at the same height of
// the screen. If it is gone, the row that took its place is the selected one.
func (l *list[T]) follow() {
	if l.pinned == "" {
		l.selected, l.top = 0, 0
		return
	}
	for i, row := range l.rows {
		if l.id(row) == l.pinned {
			l.top += i - l.selected
			l.selected = i
			return
		}
	}
	l.move(0)
}

// move moves the selection by n rows, as far as there are any.
func (l *list[T]) move(n int) {
	l.selected = min(max(l.selected+n, 0), max(len(l.rows)-1, 0))
	l.pin()
}

// pin ties the selection to the row rather than to the place, so that it stays
// with it when the order changes.
func (l *list[T]) pin() {
	l.pinned = ""
	if row, ok := l.current(); ok {
		l.pinned = l.id(row)
	}
}

// home goes back to the first row, whichever that is.
func (l *list[T]) home() { l.selected, l.top, l.pinned = 0, 0, "" }

func (l *list[T]) current() (row T, ok bool) {
	if l.selected < len(l.rows) {
		return l.rows[l.selected], true
	}
	return row, false
}

// hides returns what tells whether a row has not all words of the filter. A word
// with a slash that is a network stands for the clients in it.
func (l *list[T]) hides() func(T) bool {
	words := strings.Fields(strings.ToLower(l.filter))
	return func(row T) bool {
		var text strings.Builder
		for _, c := range l.columns {
			if !c.right {
				text.WriteString(strings.ToLower(c.text(row)))
				text.WriteByte('\n')
			}
		}
		return slices.ContainsFunc(words, func(word string) bool {
			return !strings.Contains(text.String(), word) && !l.within(row, word)
		})
	}
}

func (l *list[T]) within(row T, word string) bool {
	if l.client == nil || !strings.Contains(word, "/") {
		return false
	}
	network, err := netip.ParsePrefix(word)
	if err != nil {
		return false
	}
	address, err := netip.ParseAddr(l.client(row))
	return err == nil && network.Contains(address)
}

// measure finds how wide the texts are. A column that is empty gets no room, unless
// all are.
func (l *list[T]) measure() {
	l.widths = make([]int, len(l.columns))
	for i, c := range l.columns {
		if c.right {
			l.widths[i] = c.least
			continue
		}
		for _, row := range l.rows {
			l.widths[i] = max(l.widths[i], width(c.text(row)))
		}
		if l.widths[i] > 0 || len(l.rows) == 0 {
			l.widths[i] = max(l.widths[i], len(c.title)+1) // with the sign of the order
		}
	}
}

// nextSort sorts by the column that is n further.
func (l *list[T]) nextSort(n int) {
	l.sortBy = (l.sortBy + n + len(l.columns)) % len(l.columns)
	l.turned = false
}

func (l *list[T]) turn()              { l.turned = !l.turned }
func (l *list[T]) setFilter(s string) { l.filter = s; l.home() }
func (l *list[T]) length() int        { return len(l.rows) }
func (l *list[T]) filtered() string   { return l.filter }

// sorted names the order, for a header that may not show the column.
func (l *list[T]) sorted(g glyphs) string {
	return "by " + strings.ToLower(l.columns[l.sortBy].title) + " " + l.sign(g, l.sortBy)
}

func (l *list[T]) sign(g glyphs, column int) string {
	switch {
	case column != l.sortBy:
		return ""
	case l.columns[column].falling != l.turned:
		return g.descending
	}
	return g.ascending
}
