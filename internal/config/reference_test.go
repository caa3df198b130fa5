package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// reference returns REFERENCE.md's sections by their headings, without markup.
func reference(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, s := range strings.Split("\n"+string(data), "\n## ")[1:] {
		heading, body, _ := strings.Cut(s, "\n")
		sections[strings.Trim(heading, "`")] = body
	}
	return sections
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

func TestTheReferenceHasEveryKeyAndNoOther(t *testing.T) {
	sections := reference(t)
	top := reflect.TypeFor[file]()
	var plain []reflect.StructField
	for i := range top.NumField() {
		f := top.Field(i)
		kind := f.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		if kind.Kind() != reflect.Struct {
			plain = append(plain, f)
			continue
		}
		var fields []reflect.StructField
		for j := range kind.NumField() {
			fields = append(fields, kind.Field(j))
		}
		checkTable(t, bracketed(f), sections[bracketed(f)], fields)
	}
	checkTable(t, "Top level", sections["Top level"], plain)
}

// checkTable holds the rows of a table to the tags of its fields.
func checkTable(t *testing.T, table, section string, fields []reflect.StructField) {
	t.Helper()
	found := rows(section)
	for _, f := range fields {
		key := f.Tag.Get("toml")
		cells := found[key]
		delete(found, key)
		if len(cells) != 5 {
			t.Errorf("%s: no row with five cells for %s", table, key)
			continue
		}
		quoted := func(s string) string {
			if k := f.Type.Kind(); k == reflect.Bool || k == reflect.Int {
				return "`" + s + "`"
			}
			return "`\"" + s + "\"`"
		}
		if d := f.Tag.Get("default"); d != "" && !strings.Contains(cells[2], quoted(d)) {
			t.Errorf("%s.%s: the default is %q, not %q", table, key, d, cells[2])
		}
		for _, s := range append(strings.Fields(f.Tag.Get("oneof")), f.Tag.Get("min"), f.Tag.Get("max")) {
			if s != "" && !strings.Contains(cells[3], quoted(s)) {
				t.Errorf("%s.%s: %q is not among what is allowed, %q", table, key, s, cells[3])
			}
		}
	}
	for key := range found {
		t.Errorf("%s has no key %q", table, key)
	}
}

func TestTheReferenceHasEveryFlagAndNoOther(t *testing.T) {
	found := rows(reference(t)["Flags"])
	flags := reflect.TypeFor[Flags]()
	for i := range flags.NumField() {
		name := "--"
		for j, r := range flags.Field(i).Name {
			if unicode.IsUpper(r) && j > 0 {
				name += "-"
			}
			name += string(unicode.ToLower(r))
		}
		if found[name] == nil {
			t.Errorf("no row for %s", name)
		}
		delete(found, name)
	}
	for name := range found {
		t.Errorf("there is no flag %s", name)
	}
}

func TestTheExamplesOfTheReferenceAreValid(t *testing.T) {
	data, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, m := range examples {
		c, err := Parse("example", []byte(m[1]), Flags{}, shipped())
		if err != nil {
			t.Errorf("%v in:\n%s", err, m[1])
			continue
		}
		for _, w := range warnings(c) {
			if len(c.Rules) > 0 || !strings.Contains(w, "there is no rule") {
				t.Errorf("%s in:\n%s", w, m[1])
			}
		}
	}
}

// Every default and bound is read by the reader of its own key, so that a slip
// in a tag cannot hide.
func TestTheTagsAreValid(t *testing.T) {
	var fs findings
	f, err := decode("", &fs)
	if err != nil || len(fs.list) > 0 {
		t.Fatalf("defaults: %v %v", err, fs.list)
	}
	checkBounds(t, reflect.ValueOf(f))
}

func checkBounds(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		switch kind := f.Type.Kind(); {
		case kind == reflect.Struct:
			checkBounds(t, value)
		case kind == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type != reflect.TypeFor[ports]():
			checkBounds(t, reflect.New(f.Type.Elem()).Elem())
		}
		for _, bound := range []string{"min", "max"} {
			text := f.Tag.Get(bound)
			if text == "" {
				continue
			}
			var fs findings
			decoder{&fs}.leaf(where{}, literal(text, f.Type.Kind()), reflect.New(f.Type).Interface(), f.Tag)
			if len(fs.list) > 0 {
				t.Errorf("%s of %s: %v", bound, f.Name, fs.list[0].fault)
			}
		}
	}
}
