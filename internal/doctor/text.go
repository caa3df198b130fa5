package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/clipperhouse/displaywidth"
)

// Widths of the columns, 80 in all with the two blanks in front and between.
const (
	width     = 80
	nameWidth = 9
	cellWidth = 33
)

// Write prints the report for a reader, 80 columns wide.
func (r *Report) Write(w io.Writer) error {
	t := &text{wide: r.Proxy == nil}
	if r.Proxy != nil {
		t.paragraph("", fmt.Sprintf("Directly, and through %s (%s).", r.Proxy.URL, r.Proxy.Source))
		t.line("")
		t.row("", "directly", "through the proxy")
		t.line(clip(r.Proxy.address, width-20) + "  (the proxy itself)")
		t.steps(r, r.Proxy.address)
	}
	var quiet []string
	for _, h := range r.Hosts {
		if !r.matters(h) {
			quiet = append(quiet, h.name)
			continue
		}
		t.line(clip(h.Host+remark(h), width))
		t.steps(r, h.Host)
	}
	t.line("")
	if len(quiet) > 0 {
		t.paragraph("    ", "not reached, and not needed for this: "+strings.Join(quiet, ", "))
	}
	for _, f := range r.Facts {
		t.paragraph(marks[f.Level], f.Sentence)
	}
	if len(r.Facts)+len(quiet) > 0 {
		t.line("")
	}
	t.paragraph("", r.Verdict.Sentence)
	for _, n := range r.Verdict.Next {
		// In one line, however long: it is to be copied.
		t.line("  " + n)
	}
	_, err := io.WriteString(w, t.b.String())
	return err
}

// marks stand in front of facts.
var marks = map[Level]string{Good: "ok  ", Remark: "    ", Caution: "?   ", Bad: "!   "}

func remark(h Host) string {
	if h.Why == whyToken || h.Why == whyRedirect {
		return "  (" + h.Why + ")"
	}
	return ""
}

// text is what is printed.
type text struct {
	b    strings.Builder
	wide bool // there is only one way
}

func (t *text) line(s string) {
	t.b.WriteString(strings.TrimRight(s, " "))
	t.b.WriteByte('\n')
}

// paragraph breaks lines between words, and sets the mark in front of the first.
func (t *text) paragraph(mark, s string) {
	for _, l := range wrap(s, width-len(mark)) {
		t.line(mark + l)
		mark = strings.Repeat(" ", len(mark))
	}
}

// steps prints what was done for one host, both ways side by side.
func (t *text) steps(r *Report, host string) {
	for _, name := range stepNames() {
		var cells [2]string
		found := false
		for _, s := range r.Steps {
			at := s.Host
			if s.Registry != "" {
				at = s.Registry
			}
			if at != host || s.Step != name {
				continue
			}
			found = true
			cells[slices.Index([]wayName{Direct, Through}, s.Way)] = s.cell()
		}
		if found {
			t.row(name, cells[0], cells[1])
		}
	}
}

// cell is a step in its column: what went wrong has a mark.
func (s *Step) cell() string {
	if s.Outcome == OK || s.Outcome == NotTLS {
		return s.Sentence
	}
	return "! " + s.Sentence
}

func (t *text) row(name, direct, through string) {
	if t.wide {
		for i, l := range wrap(direct, width-2-nameWidth) {
			if i > 0 {
				name = ""
			}
			t.line("  " + pad(name, nameWidth) + l)
		}
		return
	}
	left, right := wrap(direct, cellWidth), wrap(through, cellWidth)
	for i := range max(len(left), len(right)) {
		var l, r string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		if i > 0 {
			name = ""
		}
		t.line("  " + pad(name, nameWidth) + " " + pad(l, cellWidth) + "  " + r)
	}
}

// wrap breaks a text between words into lines of so many columns; a word that is
// longer is broken itself.
func wrap(s string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range phrases(s) {
		for displaywidth.String(word) > columns {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			part := clip(word, columns)
			lines, word = append(lines, part), word[len(part):]
		}
		switch {
		case line == "":
			line = word
		case displaywidth.String(line)+1+displaywidth.String(word) <= columns:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// units stay with the number in front of them.
var units = map[string]bool{"ms": true, "ms,": true, "ms;": true, "s": true, "s,": true, "s;": true, "B": true, "kB": true, "MB": true, "kB/s": true, "MB/s": true}

// phrases are the words of a text, and numbers with their units.
func phrases(s string) []string {
	var found []string
	for _, word := range strings.Fields(s) {
		if last := len(found) - 1; units[word] && last >= 0 {
			found[last] += " " + word
			continue
		}
		found = append(found, word)
	}
	return found
}

// clip cuts a text to so many columns.
func clip(s string, columns int) string { return displaywidth.TruncateString(s, columns, "") }

func pad(s string, columns int) string {
	return s + strings.Repeat(" ", max(0, columns-displaywidth.String(s)))
}
