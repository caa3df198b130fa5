package top

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/displaywidth"
)

// clean makes text that came from a client or an operator harmless on a terminal:
// control characters, escape sequences with them, and all that has no place of its
// own on the screen (combining marks, joiners, marks of writing direction) are
// written out as \x1b or \u202e, so that they are seen and do nothing.
func clean(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r), unicode.Is(unicode.M, r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// width is how many columns clean text takes.
func width(s string) int { return displaywidth.String(s) }

// fit cuts or fills text to exactly this many columns. What is cut off shows as
// the ellipsis, which takes one column.
func fit(s string, columns int, right bool, ellipsis string) string {
	if columns <= 0 {
		return ""
	}
	s = cut(s, columns, ellipsis)
	fill := strings.Repeat(" ", max(0, columns-width(s)))
	if right {
		return fill + s
	}
	return s + fill
}

func cut(s string, columns int, ellipsis string) string {
	if width(s) <= columns {
		return s
	}
	if columns < 1 {
		return ""
	}
	return displaywidth.TruncateString(s, columns, ellipsis)
}

// wrap breaks text into lines of at most so many columns, at spaces if it can.
func wrap(s string, columns int) []string {
	var lines []string
	for columns > 0 && width(s) > columns {
		line := displaywidth.TruncateString(s, columns, "")
		if line == "" {
			break // a wide character in a narrow place
		}
		if i := strings.LastIndexByte(line, ' '); i > 0 && s[len(line)] != ' ' {
			line = line[:i]
		}
		lines = append(lines, line)
		s = strings.TrimPrefix(s[len(line):], " ")
	}
	return append(lines, s)
}

// amount writes bytes as the configuration does, in powers of ten, with three
// digits that matter: "1.23MB".
func amount(n float64) string {
	if n < 999.5 {
		return fmt.Sprintf("%.0fB", max(n, 0))
	}
	units := []string{"kB", "MB", "GB", "TB", "PB", "EB"}
	i := -1
	// 999.5 of one unit would be written as 1000.
	for n >= 999.5 && i < len(units)-1 {
		n /= 1000
		i++
	}
	digits := 2
	switch { // as it is written, and so rounded
	case n >= 99.95:
		digits = 0
	case n >= 9.995:
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, n, units[i])
}

// age writes a duration in two units at most.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}

// glyphs are the signs that not every character set has.
type glyphs struct {
	ellipsis, ascending, descending string
	curve                           []rune // from nothing to the most
}

func glyphsFor(unicode bool) glyphs {
	if unicode {
		return glyphs{"…", "▲", "▼", []rune("▁▂▃▄▅▆▇█")}
	}
	return glyphs{"~", "^", "v", []rune("_.-=+*#@")}
}

// sparkline draws the last values, one column each.
func (g glyphs) sparkline(values []float64, columns int) string {
	values = values[max(0, len(values)-columns):]
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	line := make([]rune, 0, columns)
	for range columns - len(values) {
		line = append(line, ' ')
	}
	for _, v := range values {
		step := 0
		if most > 0 {
			step = int(math.Ceil(v / most * float64(len(g.curve)-1)))
		}
		line = append(line, g.curve[max(0, step)])
	}
	return string(line)
}
