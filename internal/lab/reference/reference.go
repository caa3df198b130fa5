// Package reference holds a document that explains a program's configuration against
// the types that are decoded: every key with its default and bounds, every flag, and
// nothing else.
//
// The document has a section "## `[table]`" for each table, "## Top level" for keys
// outside of any, and "## Flags". Each has a table with the name in the first cell, in
// backquotes; that of a key has five cells, of which the third has the default and the
// fourth what is allowed.
package reference

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"sluice/internal/config/strict"
)

// Document is one that was read.
type Document struct {
	sections map[string]string // by their headings, without markup
	text     string
}

// Read reads a document.
func Read(t *testing.T, path string) Document {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := Document{make(map[string]string), string(data)}
	for _, s := range strings.Split("\n"+d.text, "\n## ")[1:] {
		heading, body, _ := strings.Cut(s, "\n")
		d.sections[strings.Trim(heading, "`")] = body
	}
	return d
}

// Examples returns the pieces of TOML in the document.
func (d Document) Examples() []string {
	var list []string
	for _, m := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(d.text, -1) {
		list = append(list, m[1])
	}
	return list
}

// rows returns the cells of a section's tables by the code in the first cell.
func rows(section string) map[string][]string {
	found := make(map[string][]string)
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if m := regexp.MustCompile("^`([a-z_-]+)`$").FindStringSubmatch(strings.TrimSpace(cells[0])); m != nil && strings.HasPrefix(line, "|") {
			found[m[1]] = cells
		}
	}
	return found
}

// CheckKeys holds the document to the type of a file as it is written.
func (d Document) CheckKeys(t *testing.T, file reflect.Type) {
	t.Helper()
	d.checkTable(t, "Top level", "", file)
}

// checkTable holds a table's section to its type, and those of the tables within.
// name is the table's with dots.
func (d Document) checkTable(t *testing.T, heading, name string, table reflect.Type) {
	t.Helper()
	found := rows(d.sections[heading])
	for i := range table.NumField() {
		f := table.Field(i)
		key := f.Tag.Get("toml")
		within := strings.TrimPrefix(name+"."+key, ".")
		switch {
		case f.Type.Kind() == reflect.Struct:
			d.checkTable(t, "["+within+"]", within, f.Type)
		case hasTables(f.Type):
			d.checkTable(t, "[["+within+"]]", within, f.Type.Elem())
		default:
			checkKey(t, heading, found[key], f)
			delete(found, key)
		}
	}
	for key := range found {
		t.Errorf("%s has no key %q", heading, key)
	}
}

// hasTables tells an array of tables from a list that reads itself.
func hasTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(reflect.TypeFor[strict.Value]())
}

// checkKey holds a row to the tags of its field.
func checkKey(t *testing.T, table string, cells []string, f reflect.StructField) {
	t.Helper()
	key := f.Tag.Get("toml")
	if len(cells) != 5 {
		t.Errorf("%s: no row with five cells for %s", table, key)
		return
	}
	if d := f.Tag.Get("default"); d != "" && !strings.Contains(cells[2], "`"+spelled(d, f.Type)+"`") {
		t.Errorf("%s.%s: the default is %q, not %q", table, key, d, cells[2])
	}
	for _, s := range append(strings.Fields(f.Tag.Get("oneof")), f.Tag.Get("min"), f.Tag.Get("max")) {
		if s != "" && !strings.Contains(cells[3], "`"+spelled(s, f.Type)+"`") {
			t.Errorf("%s.%s: %q is not among what is allowed, %q", table, key, s, cells[3])
		}
	}
}

// spelled is a tag's value as a file has it.
func spelled(s string, t reflect.Type) string {
	if t.Kind() == reflect.Bool || t.Kind() == reflect.Int {
		return s
	}
	return `"` + s + `"`
}

// CheckFlags holds the document to a struct with a field for each flag.
func (d Document) CheckFlags(t *testing.T, flags reflect.Type) {
	t.Helper()
	found := rows(d.sections["Flags"])
	for i := range flags.NumField() {
		name := flagName(flags.Field(i).Name)
		if found[name] == nil {
			t.Errorf("no row for %s", name)
		}
		delete(found, name)
	}
	for name := range found {
		t.Errorf("there is no flag %s", name)
	}
}

// flagName is "--log-format" for LogFormat, and "--tls-self" for TLSSelf.
func flagName(field string) string {
	name := "-"
	runes := []rune(field)
	for i, r := range runes {
		word := i == 0 || unicode.IsUpper(r) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if word {
			name += "-"
		}
		name += string(unicode.ToLower(r))
	}
	return name
}

// CheckTags makes sure that each default and bound is read by the reader of its own
// key, so that a slip in a tag cannot hide.
func CheckTags(t *testing.T, file reflect.Type) {
	t.Helper()
	decode(t, file, "", "the defaults")
	checkBounds(t, file, file, "")
}

func checkBounds(t *testing.T, file, table reflect.Type, header string) {
	t.Helper()
	if header != "" {
		decode(t, file, header, "the defaults of "+header)
	}
	for i := range table.NumField() {
		f := table.Field(i)
		within := strings.Trim(header, "[]\n") + "." + f.Tag.Get("toml")
		within = strings.TrimPrefix(within, ".")
		switch {
		case f.Type.Kind() == reflect.Struct:
			checkBounds(t, file, f.Type, "["+within+"]\n")
		case hasTables(f.Type):
			checkBounds(t, file, f.Type.Elem(), "[["+within+"]]\n")
		}
		for _, bound := range []string{"min", "max"} {
			if text := f.Tag.Get(bound); text != "" {
				decode(t, file, fmt.Sprintf("%s%s = %s\n", header, f.Tag.Get("toml"), spelled(text, f.Type)), bound+" of "+within)
			}
		}
	}
}

func decode(t *testing.T, file reflect.Type, text, what string) {
	t.Helper()
	var found strict.Findings
	if err := strict.Decode(text, reflect.New(file).Interface(), &found); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for _, e := range found.Locate("tag", text) {
		t.Errorf("%s: %v", what, e)
	}
}
