package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// editINI sets names below a heading, as Python's configparser, dnf and npm read
// them: a line that is indented goes on with the value of the line before. All
// settings have the same section; an empty one is the part above all headings.
func editINI(text []byte, settings []Setting) ([]byte, error) {
	d := readLines(text)
	heading := settings[0].Section
	within := heading == ""
	found, end := within, 0 // end is behind the last line of the section that says something
	var old []int
	mine := false // the value that may go on is one that gives way
	for i, line := range d.lines {
		body := strings.TrimSpace(line)
		indented := heading != "" && strings.TrimLeft(line, " \t") != line
		switch {
		case body == "", strings.HasPrefix(body, "#"), strings.HasPrefix(body, ";"):
			if within && body != "" {
				end = i + 1
			}
			continue
		case strings.HasPrefix(body, "[") && !indented:
			name, _, closed := strings.Cut(body[1:], "]")
			if !closed {
				return nil, fmt.Errorf("line %d has a heading without a closing bracket", i+1)
			}
			within, mine = heading != "" && strings.TrimSpace(name) == heading, false
			if within && !found {
				found, end = true, i+1
			}
			continue
		case !within:
			continue
		case !indented:
			sign := strings.IndexAny(body+"=", "=:")
			name := strings.TrimSpace(body[:sign])
			if mine = named(settings, name); mine && sign < len(body) {
				if err := keepEntries(settings, name, unquoted(body[sign+1:])); err != nil {
					return nil, fmt.Errorf("line %d: %w", i+1, err)
				}
			}
		}
		if mine {
			old = append(old, i)
		}
		end = i + 1
	}
	lines := assignments(settings, " = ")
	if heading == "" {
		lines = assignments(settings, "=")
	}
	if !found {
		lines, end = append([]string{"[" + heading + "]"}, lines...), len(d.lines)
	}
	d.set(old, end, lines)
	return d.bytes(), nil
}

// assignments are the lines of the settings that are to be there.
func assignments(settings []Setting, sign string) []string {
	var lines []string
	for _, s := range settings {
		if s.Value != "" {
			lines = append(lines, s.Name+sign+s.Value)
		}
	}
	return lines
}

var gitHeading = regexp.MustCompile(`^\[\s*([A-Za-z0-9.-]+)\s*\](.*)$`)

// editGit sets names below a heading without a subsection. Headings and names have no
// case, a name's last value wins, and lines may be joined by a backslash.
func editGit(text []byte, settings []Setting) ([]byte, error) {
	d := readLines(text)
	heading := settings[0].Section
	within, found, continued, end := false, false, false, 0
	var old []int
	for i, line := range d.lines {
		body := strings.TrimSpace(line)
		joined := continued
		continued = strings.HasSuffix(body, `\`) && !strings.HasSuffix(body, `\\`)
		if !joined && strings.HasPrefix(body, "[") {
			m := gitHeading.FindStringSubmatch(body)
			within = m != nil && strings.EqualFold(m[1], heading)
			rest := ""
			if m != nil {
				rest = strings.TrimSpace(m[2])
			}
			if within && rest != "" && !strings.HasPrefix(rest, "#") && !strings.HasPrefix(rest, ";") {
				return nil, fmt.Errorf("line %d has a value behind its heading: put it on a line of its own", i+1)
			}
		} else if within && !joined && body != "" {
			name, _, _ := strings.Cut(body, "=")
			if named(settings, strings.TrimSpace(name)) {
				if continued {
					return nil, fmt.Errorf("line %d sets %s over more than one line: write it in one", i+1, strings.TrimSpace(name))
				}
				old = append(old, i)
			}
		}
		if within && body != "" {
			found, end = true, i+1
		}
	}
	var lines []string
	for _, line := range assignments(settings, " = ") {
		lines = append(lines, "\t"+line)
	}
	if !found {
		lines, end = append([]string{"[" + heading + "]"}, lines...), len(d.lines)
	}
	d.set(old, end, lines)
	return d.bytes(), nil
}

var property = regexp.MustCompile(`^\s*((?:[^\s=:#!\\]|\\.)(?:[^\s=:\\]|\\.)*)`)

// editProperties sets names as java.util.Properties reads them.
func editProperties(text []byte, settings []Setting) ([]byte, error) {
	d := readLines(text)
	var old []int
	continued, name := false, "" // name is of the setting that the line belongs to
	for i, line := range d.lines {
		body := strings.TrimSpace(line)
		value := body
		if !continued {
			m := property.FindStringSubmatch(body)
			name = ""
			if m != nil && slices.ContainsFunc(settings, func(s Setting) bool { return m[1] == s.Name }) {
				name, value = m[1], strings.TrimLeft(body[len(m[0]):], "=: \t")
			}
		}
		if name != "" {
			old = append(old, i)
			if err := keepEntries(settings, name, strings.TrimRight(value, `\`)); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
		comment := !continued && (strings.HasPrefix(body, "#") || strings.HasPrefix(body, "!"))
		slashes := len(body) - len(strings.TrimRight(body, `\`))
		continued = !comment && slashes%2 == 1
	}
	if continued {
		return nil, fmt.Errorf("line %d, the last, ends in a backslash: take it away", len(d.lines))
	}
	escaped := slices.Clone(settings)
	for i := range escaped {
		escaped[i].Value = escapeProperty(escaped[i].Value)
	}
	d.set(old, len(d.lines), assignments(escaped, "="))
	return d.bytes(), nil
}

// escapeProperty writes a value as java.util.Properties.store does.
func escapeProperty(value string) string {
	var b strings.Builder
	for i, r := range value {
		switch {
		case r == '\\', r == ' ' && i == 0:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r > '~' && r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
