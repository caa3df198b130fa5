// Package endpoints holds the document of an admin address against the code: every
// endpoint with its parameters, every status, and nothing else.
package endpoints

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/admin/site"
)

// CheckRoutes holds a document to the routes of an admin address, both ways: it has a
// section "### `GET /path`" for each, which has its parameters as params wants them. The
// files of the page are told of in the section of the page.
func CheckRoutes(t *testing.T, document string, routes []site.Route, params func(section string, names []string) error) {
	t.Helper()
	sections := make(map[string]string)
	for _, s := range strings.Split(read(t, document), "\n### ")[1:] {
		heading, body, _ := strings.Cut(s, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[strings.Trim(heading, "`")] = body
	}
	if !strings.Contains(sections["GET /"], "`GET /page/`") {
		t.Error("the page's section does not tell of its parts")
	}
	for _, rt := range routes {
		name := strings.TrimSuffix(rt.Pattern, "{$}")
		if name == "GET /page/" {
			continue
		}
		body, found := sections[name]
		if !found {
			t.Errorf("no section for %s", name)
		}
		delete(sections, name)
		if err := params(body, rt.Params); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range sections {
		t.Errorf("there is no endpoint %s", name)
	}
}

// InWords is for parameters that sentences tell of.
func InWords(section string, names []string) error {
	for _, name := range names {
		if !strings.Contains(section, "`"+name+"`") {
			return fmt.Errorf("no word of the parameter %s", name)
		}
	}
	return nil
}

var paramRow = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|")

// InATable is for parameters that a table has in their order, and no others.
func InATable(section string, names []string) error {
	var have []string
	for _, m := range paramRow.FindAllStringSubmatch(section, -1) {
		have = append(have, m[1])
	}
	if !slices.Equal(have, names) {
		return fmt.Errorf("it has the parameters %v, the document says %v", names, have)
	}
	return nil
}

var (
	statusRow  = regexp.MustCompile(`(?m)^\| (\d{3}) \|`)
	statusName = regexp.MustCompile(`http\.Status(\w+)`)
)

// statuses are those that an admin address may answer with; "": no refusal, a fault of
// ours, and what no build of the command has.
var statuses = map[string]string{
	"BadRequest": "400", "Forbidden": "403", "NotFound": "404", "MethodNotAllowed": "405", "Conflict": "409",
	"MisdirectedRequest": "421", "UnprocessableEntity": "422", "ServiceUnavailable": "503",
	"OK": "", "InternalServerError": "", "NotImplemented": "",
}

// CheckStatuses wants a document to have a row for each status that the Go code of
// some directories refuses with, and for those in also.
func CheckStatuses(t *testing.T, document string, also []string, dirs ...string) {
	t.Helper()
	var have []string
	for _, m := range statusRow.FindAllStringSubmatch(read(t, document), -1) {
		have = append(have, m[1])
	}
	for _, number := range also {
		if !slices.Contains(have, number) {
			t.Errorf("%s has no row for %s", document, number)
		}
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range statusName.FindAllStringSubmatch(read(t, file), -1) {
				number, known := statuses[m[1]]
				if !known || number != "" && !slices.Contains(have, number) {
					t.Errorf("%s: %s has no row for %s %s", file, document, number, m[1])
				}
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
