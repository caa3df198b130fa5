package setup

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Format is how a file is written, and how a setting is put into one that others
// write to as well.
type Format string

// The formats.
const (
	Environment Format = "environment file"       // NAME=value, read by systemd or by a shell
	Exports     Format = "shell file"             // export NAME=value
	DropIn      Format = "systemd drop-in"        // Environment="NAME=value" below [Service]
	JSON        Format = "JSON"                   // objects within objects
	INI         Format = "INI file"               // name = value below [section]
	Git         Format = "git configuration"      // the same, with git's rules for quotes and indents
	Properties  Format = "Java properties"        // name=value, by java.util.Properties
	Maven       Format = "Maven's settings (XML)" // <proxy> elements with our own ids
	Own         Format = "file of its own"        // a text that nobody else writes to
	New         Format = "new file"               // the same, but under a name that others may have taken
)

// edit puts the settings into a file's text.
func (f Format) edit(old []byte, settings []Setting) ([]byte, error) {
	if bytes.IndexByte(old, 0) >= 0 {
		return nil, errors.New("it is no text: there is a zero byte in it")
	}
	settings = slices.Clone(settings) // lists grow by what stands there
	switch f {
	case Environment:
		return editAssignments(old, settings, "")
	case Exports:
		return editAssignments(old, settings, "export ")
	case DropIn:
		return editDropIn(old, settings)
	case JSON:
		return editJSON(old, settings)
	case INI:
		return editINI(old, settings)
	case Git:
		return editGit(old, settings)
	case Properties:
		return editProperties(old, settings)
	case Maven:
		return editMaven(old, settings)
	}
	return nil, fmt.Errorf("no text can be made for the format %s", f)
}

// replaces says why a text of our own must not stand in the place of another: its
// first line is what ours have.
func replaces(old, next []byte) error {
	first := func(text []byte) string {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return string(line)
	}
	if len(old) == 0 || first(old) == first(next) {
		return nil
	}
	return errors.New("somebody else has written it: take it away, or put this into it by hand:\n" + string(next))
}

// entry is what a list of exceptions is made of, in whatever syntax it is written.
var entry = regexp.MustCompile(`^[A-Za-z0-9._:/*\[\]-]+$`)

// keepEntries adds to the list of that name what the file has there. A lone "*", by
// which nothing would go through the proxy, is what the settings are there to end.
func keepEntries(settings []Setting, name, old string) error {
	for i := range settings {
		s := &settings[i]
		if s.Separator == "" || s.Value == "" || !strings.EqualFold(s.Name, name) {
			continue
		}
		have := strings.Split(s.Value, s.Separator)
		for one := range strings.SplitSeq(old, s.Separator) {
			one = strings.TrimSpace(one)
			if one == "" || one == "*" || slices.Contains(have, one) {
				continue
			}
			if !entry.MatchString(one) {
				return fmt.Errorf("%s has %q in its list, which is no name and no address: take it out", name, one)
			}
			have = append(have, one)
		}
		s.Value = strings.Join(have, s.Separator)
	}
	return nil
}

// unquoted is a value without the quotes that it is written in.
func unquoted(value string) string {
	value = strings.TrimSpace(value)
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// document is a text in lines, which remembers how its lines end.
type document struct {
	mark  string // a byte order mark
	lines []string
	end   string // of a line
}

const byteOrderMark = "\ufeff"

// readLines takes a text apart. The end that most of the lines have is that of new
// ones too.
func readLines(text []byte) document {
	d := document{end: "\n"}
	body := string(text)
	if rest, ok := strings.CutPrefix(body, byteOrderMark); ok {
		d.mark, body = byteOrderMark, rest
	}
	if body == "" {
		return d
	}
	if crlf := strings.Count(body, "\r\n"); crlf > 0 && 2*crlf > strings.Count(body, "\n") {
		d.end = "\r\n"
	}
	d.lines = strings.SplitAfter(body, "\n")
	if last := len(d.lines) - 1; d.lines[last] == "" {
		d.lines = d.lines[:last]
	}
	return d
}

// insert puts whole lines in front of line i.
func (d *document) insert(i int, lines ...string) {
	if i > 0 && i == len(d.lines) && !strings.HasSuffix(d.lines[i-1], "\n") {
		d.lines[i-1] += d.end
	}
	with := make([]string, 0, len(d.lines)+len(lines))
	with = append(with, d.lines[:i]...)
	for _, line := range lines {
		with = append(with, line+d.end)
	}
	d.lines = append(with, d.lines[i:]...)
}

func (d *document) remove(i int) { d.lines = append(d.lines[:i:i], d.lines[i+1:]...) }

func (d *document) bytes() []byte { return []byte(d.mark + strings.Join(d.lines, "")) }

// set sees to it that the lines stand in the document, in this order, at the place
// of the first of the lines that they stand for, and at the place where there is
// none of those. When they stand there already, nothing is changed.
func (d *document) set(old []int, at int, lines []string) {
	if len(old) > 0 {
		at = old[0]
	}
	if len(old) == len(lines) {
		same := true
		for i, line := range lines {
			same = same && strings.TrimRight(d.lines[old[i]], "\r\n") == line
		}
		if same {
			return
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		d.remove(old[i])
	}
	d.insert(at, lines...)
}
