package doctor

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("DOCTOR.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section is the part of the reference below a heading.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(reference(t), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("DOCTOR.md has no section %q", heading)
	}
	part, _, _ := strings.Cut(rest, "\n## ")
	return part
}

// firstCells are the names that the rows of a section's table begin with.
func firstCells(t *testing.T, heading string) []string {
	t.Helper()
	var names []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section(t, heading), -1) {
		names = append(names, m[1])
	}
	return names
}

func same(t *testing.T, what string, documented, have []string) {
	t.Helper()
	slices.Sort(documented)
	slices.Sort(have)
	if !slices.Equal(documented, have) {
		t.Errorf("DOCTOR.md has the %s\n%q\nand the code\n%q", what, documented, have)
	}
}

func TestTheReferenceHasEveryStepOutcomeAndFact(t *testing.T) {
	same(t, "steps", firstCells(t, "Steps"), stepNames())
	var outcomes []string
	for _, o := range Outcomes() {
		outcomes = append(outcomes, string(o))
	}
	same(t, "outcomes", firstCells(t, "Outcomes"), outcomes)

	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	facts := make(map[string]bool)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range regexp.MustCompile(`Fact\{+"([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
			facts[m[1]] = true
		}
	}
	same(t, "facts", firstCells(t, "Facts"), slices.Collect(maps.Keys(facts)))
}

func TestTheReferenceHasEveryVerdictWithItsExitStatus(t *testing.T) {
	var want []string
	for _, c := range Codes() {
		want = append(want, fmt.Sprintf("| `%s` | %d |", c, ExitStatus(c)))
	}
	have := regexp.MustCompile("(?m)^\\| `[a-z_]+` \\| \\d \\|").FindAllString(section(t, "Verdicts and exit statuses"), -1)
	same(t, "verdicts", have, want)
}

func TestTheReferenceHasEveryFieldOfTheDocument(t *testing.T) {
	fields := make(map[string]bool)
	collect(reflect.TypeFor[Report](), "", fields)
	documented := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (yes)? ?\\|").FindAllStringSubmatch(section(t, "The JSON document"), -1) {
		documented[m[1]] = m[2] == "yes"
	}
	if !maps.Equal(fields, documented) {
		for name, left := range fields {
			if other, ok := documented[name]; !ok || other != left {
				t.Errorf("%s: left out if empty: %t; DOCTOR.md has it: %t, with %t", name, left, ok, other)
			}
		}
		for name := range documented {
			if _, ok := fields[name]; !ok {
				t.Errorf("there is no field %s", name)
			}
		}
	}
}

// collect finds the fields of a JSON document, and whether each is left out if it
// is empty.
func collect(in reflect.Type, prefix string, fields map[string]bool) {
	for i := range in.NumField() {
		f := in.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		name = prefix + name
		of := f.Type
		switch of.Kind() {
		case reflect.Pointer:
			of = of.Elem()
		case reflect.Slice:
			of = of.Elem()
			if of.Kind() == reflect.Struct || prefix == "steps[].resolvers[]." {
				name += "[]"
			}
		}
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[time.Time]() {
			collect(of, name+".", fields)
			continue
		}
		fields[name] = options == "omitempty"
	}
	if prefix == "steps[].resolvers[]." {
		fields[prefix+"resolver"] = true // of a list that may be left out
	}
	if prefix == "steps[].addresses[]." {
		fields[prefix+"address"] = true
	}
}
