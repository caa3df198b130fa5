package strict

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// The TOML library tells where a syntax error is, but not where the values stand
// that it decoded. The scanner finds that out by walking over a text that the
// library has accepted.

// maxDepth bounds nesting, and the parts of a dotted key. The library recurses
// into arrays and tables and takes quadratic time for dotted keys, so a damaged
// file could end the process by stack overflow, which cannot be recovered from.
const maxDepth = 32

// scanner walks over TOML. On a text that is not TOML it stops early; it always
// ends and never panics.
type scanner struct {
	text  string
	pos   int
	depth int
	deep  int // where maxDepth was passed; -1: nowhere
}

func scan(text string, root *spot) *scanner {
	s := &scanner{text: text, deep: -1}
	s.document(root)
	return s
}

func (s *scanner) more() bool { return s.pos < len(s.text) }

func (s *scanner) stop() { s.pos = len(s.text) }

func (s *scanner) tooDeep() {
	s.deep = s.pos
	s.stop()
}

func (s *scanner) next(token string) bool { return strings.HasPrefix(s.text[s.pos:], token) }

// accept moves past token if it is next.
func (s *scanner) accept(token string) bool {
	if !s.next(token) {
		return false
	}
	s.pos += len(token)
	return true
}

// space skips blanks within a line.
func (s *scanner) space() {
	for s.more() && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
}

// gap skips blanks, line ends and comments.
func (s *scanner) gap() {
	for s.more() {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '#':
			n := strings.IndexByte(s.text[s.pos:], '\n')
			if n < 0 {
				s.stop()
				return
			}
			s.pos += n
		default:
			return
		}
	}
}

func (s *scanner) document(root *spot) {
	table := root
	for s.gap(); s.more(); s.gap() {
		if s.text[s.pos] == '[' {
			table = s.header(root)
		} else {
			s.pair(table)
		}
	}
}

// header reads "[a.b]" or "[[a.b]]" and returns the table that it opens.
func (s *scanner) header(root *spot) *spot {
	start := s.pos
	closing := "]"
	if s.accept("[["); s.pos > start {
		closing = "]]"
	} else {
		s.pos++
	}
	w := root
	for parts := 1; ; parts++ {
		if parts > maxDepth {
			s.tooDeep()
			return nil
		}
		s.space()
		w = w.child(s.name())
		w.found(start, start)
		s.space()
		switch {
		case s.accept("."):
			w = w.latest()
		case s.accept(closing):
			if closing == "]]" && w != nil {
				w.tables++
				w = w.latest()
				w.found(start, start)
			}
			return w
		default:
			s.stop()
			return nil
		}
	}
}

// pair reads "a.b = value" within table.
func (s *scanner) pair(table *spot) {
	w := table
	for parts := 1; ; parts++ {
		if parts > maxDepth {
			s.tooDeep()
			return
		}
		s.space()
		start := s.pos
		w = w.child(s.name())
		if w != nil && w.key < 0 {
			w.key = start
		}
		s.space()
		if s.accept(".") {
			w.found(start, start)
			continue
		}
		if !s.accept("=") {
			s.stop()
			return
		}
		s.space()
		s.value(w)
		return
	}
}

// name reads one part of a key, bare or quoted.
func (s *scanner) name() string {
	start := s.pos
	if s.next(`"`) || s.next(`'`) {
		s.quoted()
		return unquote(s.text[start:s.pos])
	}
	for s.more() && isBare(s.text[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		s.stop()
		return ""
	}
	return s.text[start:s.pos]
}

func isBare(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// unquote leaves escapes to the library, so that both read a name alike.
func unquote(name string) string {
	if len(name) < 2 {
		return ""
	}
	if name[0] == '\'' || !strings.Contains(name, `\`) {
		return name[1 : len(name)-1]
	}
	var v struct{ Name string }
	if _, err := toml.Decode("name = "+name, &v); err != nil {
		return ""
	}
	return v.Name
}

func (s *scanner) value(w *spot) {
	w.found(s.pos, s.pos)
	if !s.more() {
		return
	}
	switch s.text[s.pos] {
	case '"', '\'':
		s.quoted()
	case '[', '{':
		if s.depth++; s.depth > maxDepth {
			s.tooDeep()
			return
		}
		if s.accept("{") {
			s.inlineTable(w)
		} else {
			s.pos++
			s.array(w)
		}
		s.depth--
	default:
		// Numbers, booleans and dates; a date may have a blank in it.
		if n := strings.IndexAny(s.text[s.pos:], ",]}#\r\n"); n >= 0 {
			s.pos += n
		} else {
			s.stop()
		}
	}
}

// array reads on after "[".
func (s *scanner) array(w *spot) {
	for i := 0; ; i++ {
		s.gap()
		if s.accept("]") || !s.more() {
			return
		}
		s.value(w.item(i))
		s.gap()
		if !s.accept(",") && !s.next("]") {
			s.stop()
			return
		}
	}
}

// inlineTable reads on after "{".
func (s *scanner) inlineTable(w *spot) {
	for {
		s.gap()
		if s.accept("}") || !s.more() {
			return
		}
		s.pair(w)
		s.gap()
		if !s.accept(",") && !s.next("}") {
			s.stop()
			return
		}
	}
}

// quoted skips a string of any of the four kinds.
func (s *scanner) quoted() {
	one, three := `"`, `"""`
	if s.next(`'`) {
		one, three = `'`, `'''`
	}
	if !s.accept(three) {
		s.pos++
		s.quotedUntil(one)
		return
	}
	s.quotedUntil(three)
	// Up to two quotes may stand right before the closing three.
	for range 2 {
		s.accept(one)
	}
}

func (s *scanner) quotedUntil(closing string) {
	for s.more() {
		switch c := s.text[s.pos]; {
		case c == closing[0] && s.accept(closing):
			return
		case c == '\\' && closing[0] == '"':
			s.pos = min(s.pos+2, len(s.text))
		case c == '\n' && len(closing) == 1:
			s.stop()
		default:
			s.pos++
		}
	}
}
