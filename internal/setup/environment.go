package setup

import (
	"fmt"
	"regexp"
	"strings"
)

var assignment = regexp.MustCompile(`^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=`)

// editAssignments sets variables in a file of NAME=value lines, which is read by
// systemd as an EnvironmentFile or by a shell. Assignments of the same names in any
// case and with or without "export" give way: a program takes either case, and the
// old value shall not win.
func editAssignments(text []byte, settings []Setting, prefix string) ([]byte, error) {
	d := readLines(text)
	var old []int
	continued := false // systemd and the shell join a line that ends in a backslash with the next
	for i, line := range d.lines {
		body := strings.TrimRight(line, "\r\n")
		m := assignment.FindStringSubmatch(body)
		if !continued && m != nil && named(settings, m[1]) {
			if strings.HasSuffix(body, `\`) || open(body[len(m[0]):]) {
				return nil, fmt.Errorf("line %d sets %s over more than one line: write it in one", i+1, m[1])
			}
			if err := keepEntries(settings, m[1], unquoted(body[len(m[0]):])); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			old = append(old, i)
		}
		continued = strings.HasSuffix(body, `\`)
	}
	at := len(d.lines)
	if continued && at > 0 {
		return nil, fmt.Errorf("line %d, the last, ends in a backslash: take it away", at)
	}
	var lines []string
	for _, s := range settings {
		lines = append(lines, prefix+s.Name+"="+quoted(s.Value))
	}
	d.set(old, at, lines)
	return d.bytes(), nil
}

func named(settings []Setting, name string) bool {
	for _, s := range settings {
		if strings.EqualFold(s.Name, name) {
			return true
		}
	}
	return false
}

// open tells whether a quote is not closed on the line.
func open(value string) bool {
	var quote rune
	skip := false
	for _, r := range value {
		switch {
		case skip:
			skip = false
		case r == '\\' && quote != '\'':
			skip = true
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		}
	}
	return quote != 0
}

var plain = regexp.MustCompile(`^[A-Za-z0-9:/._,%@-]+$`)

// quoted is a value as systemd's EnvironmentFile= and every shell read it alike.
// A single quote never comes up: a URL has %27 for it, and no name has one.
func quoted(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return "'" + value + "'"
}
