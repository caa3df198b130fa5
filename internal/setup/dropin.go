package setup

import (
	"fmt"
	"strings"
)

// editDropIn sets variables in a systemd drop-in. Where a line sets other variables
// beside ours, those stay.
func editDropIn(text []byte, settings []Setting) ([]byte, error) {
	d := readLines(text)
	section, last := "", -1 // the end of [Service]
	continued := false
	var old []int
	for i := 0; i < len(d.lines); i++ {
		body := strings.TrimSpace(d.lines[i])
		if continued {
			continued = strings.HasSuffix(body, `\`)
			if section == "[Service]" {
				last = i
			}
			continue
		}
		comment := strings.HasPrefix(body, "#") || strings.HasPrefix(body, ";")
		continued = strings.HasSuffix(body, `\`) && !comment
		if strings.HasPrefix(body, "[") {
			section = body
		}
		if section != "[Service]" {
			continue
		}
		if body != "" {
			last = i
		}
		key, value, ok := strings.Cut(body, "=")
		if comment || !ok || strings.TrimSpace(key) != "Environment" {
			continue
		}
		others, mine, err := partition(value, settings)
		switch {
		case mine == 0:
			continue
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		case continued:
			return nil, fmt.Errorf("line %d sets a proxy over more than one line: write it in one", i+1)
		}
		if len(others) > 0 {
			d.lines[i] = "Environment=" + strings.Join(others, " ") + d.end
			continue
		}
		old = append(old, i)
	}
	var lines []string
	for _, s := range settings {
		// "%" begins a specifier, by systemd.unit(5); "$" and the rest mean nothing
		// within quotes, and neither quotes nor backslashes come up in a URL.
		lines = append(lines, `Environment="`+s.Name+"="+strings.ReplaceAll(s.Value, "%", "%%")+`"`)
	}
	if last < 0 {
		lines, last = append([]string{"[Service]"}, lines...), len(d.lines)-1
	}
	d.set(old, last+1, lines)
	return d.bytes(), nil
}

// partition takes the assignments of an Environment= apart, into those of other
// variables, as they are written, and the number of those in settings, whose lists
// grow by what is there.
func partition(value string, settings []Setting) (others []string, mine int, err error) {
	for value = strings.TrimSpace(value); value != ""; value = strings.TrimLeft(value, " \t") {
		end, quote := len(value), byte(0)
		for i := 0; i < len(value); i++ {
			c := value[i]
			if c == '\\' {
				i++
			} else if quote == 0 && (c == '"' || c == '\'') {
				quote = c
			} else if c == quote {
				quote = 0
			} else if quote == 0 && (c == ' ' || c == '\t') {
				end = i
				break
			}
		}
		if quote != 0 {
			err = fmt.Errorf("a quote is not closed in Environment=%s", value)
		}
		name, text, _ := strings.Cut(unquoted(value[:end]), "=")
		if named(settings, strings.TrimLeft(name, `"'`)) {
			mine++
			if fault := keepEntries(settings, name, unquoted(text)); fault != nil {
				err = fault
			}
		} else {
			others = append(others, value[:end])
		}
		value = value[end:]
	}
	return others, mine, err
}
