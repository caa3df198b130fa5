package top

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// print writes the header and all tunnels, uncut and without empty places, so that
// each line has as many words as the next.
func (m *model) print(w io.Writer) error {
	b := bufio.NewWriter(w)
	s := &m.state
	fmt.Fprintf(b, "%s, up %s", m.title(), age(s.now.Sub(s.started)))
	if s.draining {
		fmt.Fprint(b, ", draining")
	}
	fmt.Fprintf(b, "\ndown %s/s, up %s/s\n", amount(s.rateDown), amount(s.rateUp))
	fmt.Fprintf(b, "tunnels %s\n%s\n\n", m.places(), m.refusedByOutcome().text())
	m.tunnels.print(b)
	return b.Flush()
}

func (l *list[T]) print(w io.Writer) {
	var shown []column[T]
	var titles []string
	for _, c := range l.columns {
		if c.rank > 0 {
			shown, titles = append(shown, c), append(titles, c.title)
		}
	}
	lines := [][]string{titles}
	for _, row := range l.rows {
		var cells []string
		for _, c := range shown {
			cells = append(cells, cmp.Or(strings.ReplaceAll(c.text(row), " ", `\x20`), "-"))
		}
		lines = append(lines, cells)
	}
	widths := make([]int, len(shown))
	for _, cells := range lines {
		for i, text := range cells {
			widths[i] = max(widths[i], width(text))
		}
	}
	for _, cells := range lines {
		for i, text := range cells {
			cells[i] = fit(text, widths[i], shown[i].right, "")
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, " "), " "))
	}
}
