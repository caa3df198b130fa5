package upstream

import "strings"

// challenge is what a server wants to be asked with (RFC 9110, section 11.3).
type challenge struct {
	scheme  string            // lower case
	token68 string            // instead of params
	params  map[string]string // names in lower case, quotes taken off
}

// Bounds of what is read of one answer's challenges. Registries send one or two.
const (
	maxChallenges = 16
	maxParams     = 16
)

// parseChallenges reads the values of WWW-Authenticate. A field may hold several
// challenges, and their commas look like those between the parameters of one
// (section 11.6.1). What follows a fault in a field is left out: there is no
// telling where the next challenge would begin.
func parseChallenges(fields []string) []challenge {
	var list []challenge
	for _, field := range fields {
		p := challengeParser{rest: field}
		for len(list) < maxChallenges {
			c, ok := p.next()
			if !ok {
				break
			}
			list = append(list, c)
		}
	}
	return list
}

type challengeParser struct{ rest string }

// next reads one challenge. It is not ok at the end and at a fault.
func (p *challengeParser) next() (c challenge, ok bool) {
	p.skipList()
	scheme := p.token()
	if scheme == "" {
		return c, false
	}
	c.scheme = strings.ToLower(scheme)
	if !p.skipBlanks() {
		return c, p.ends()
	}
	if c.token68 = p.token68(); c.token68 != "" {
		return c, true
	}
	for len(c.params) < maxParams {
		name, value, ok := p.param()
		if !ok {
			break
		}
		if c.params == nil {
			c.params = make(map[string]string)
		}
		name = strings.ToLower(name)
		if _, twice := c.params[name]; twice {
			return c, false // section 11.2: a name occurs once
		}
		c.params[name] = value
		if !p.ends() {
			return c, false
		}
		p.skipList()
	}
	return c, len(c.params) > 0 || p.ends()
}

// param reads name=value, or nothing.
func (p *challengeParser) param() (name, value string, ok bool) {
	before := p.rest
	defer func() {
		if !ok {
			p.rest = before
		}
	}()
	if name = p.token(); name == "" {
		return "", "", false
	}
	p.skipBlanks()
	if !p.skip('=') {
		return "", "", false
	}
	p.skipBlanks()
	if p.skip('"') {
		value, ok = p.quoted()
		return name, value, ok
	}
	value = p.token()
	return name, value, value != ""
}

// quoted reads the rest of a quoted string (section 5.6.4).
func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.rest):
			i++
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// token68 reads one if it fills the place of the parameters: as far as the next
// comma, or the end. "a=" is one, "a=b" is a parameter.
func (p *challengeParser) token68() string {
	n := 0
	for n < len(p.rest) && isToken68(p.rest[n]) {
		n++
	}
	if n == 0 {
		return ""
	}
	for n < len(p.rest) && p.rest[n] == '=' {
		n++
	}
	after := challengeParser{p.rest[n:]}
	after.skipBlanks()
	if !after.ends() {
		return ""
	}
	text := p.rest[:n]
	p.rest = after.rest
	return text
}

func (p *challengeParser) token() string {
	n := 0
	for n < len(p.rest) && isTokenChar(p.rest[n]) {
		n++
	}
	text := p.rest[:n]
	p.rest = p.rest[n:]
	return text
}

func (p *challengeParser) skip(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *challengeParser) skipBlanks() bool {
	n := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, " \t")
	return len(p.rest) < n
}

// skipList skips what may stand between the elements of a list (section 5.6.1).
func (p *challengeParser) skipList() { p.rest = strings.TrimLeft(p.rest, ", \t") }

// ends tells whether an element of the list ends here.
func (p *challengeParser) ends() bool {
	rest := strings.TrimLeft(p.rest, " \t")
	return rest == "" || rest[0] == ','
}

// isTokenChar is tchar (section 5.6.2).
func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// isToken68 is a character of token68 ahead of its padding (section 11.2).
func isToken68(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
