//go:build unix

package console

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func reference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("CONSOLE.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The reference has every endpoint and no other, each with its parameters and no
// others.
func TestTheReferenceHasEveryEndpoint(t *testing.T) {
	sections := make(map[string]string)
	for _, s := range strings.Split(reference(t), "\n### ")[1:] {
		heading, body, _ := strings.Cut(s, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[strings.Trim(heading, "`")] = body
	}
	if !strings.Contains(sections["GET /"], "`GET /page/`") {
		t.Error("the page's section does not tell of its parts")
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|")
	for _, rt := range newMirror(t).handler.routes() {
		name := strings.TrimSuffix(rt.Pattern, "{$}")
		if name == "GET /page/" {
			continue
		}
		body, found := sections[name]
		if !found {
			t.Errorf("no section for %s", name)
		}
		delete(sections, name)
		var have []string
		for _, m := range row.FindAllStringSubmatch(body, -1) {
			have = append(have, m[1])
		}
		if !slices.Equal(have, rt.Params) {
			t.Errorf("%s has the parameters %v, the reference says %v", name, rt.Params, have)
		}
	}
	for name := range sections {
		t.Errorf("there is no endpoint %s", name)
	}
}

// The statuses that the code answers with are those of the reference.
func TestTheReferenceHasEveryStatus(t *testing.T) {
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^\| (\d{3}) \|`).FindAllStringSubmatch(reference(t), -1) {
		have = append(have, m[1])
	}
	numbers := map[string]string{
		"BadRequest": "400", "Forbidden": "403", "NotFound": "404", "MethodNotAllowed": "405", "Conflict": "409",
		"MisdirectedRequest": "421", "UnprocessableEntity": "422", "ServiceUnavailable": "503",
		"OK": "", "InternalServerError": "", "NotImplemented": "", // no refusal, a fault of ours, and no build has it
	}
	var files []string
	for _, pattern := range []string{"*.go", "../../admin/site/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		code, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`http\.Status(\w+)`).FindAllStringSubmatch(string(code), -1) {
			number, known := numbers[m[1]]
			if !known || number != "" && !slices.Contains(have, number) {
				t.Errorf("%s: the reference has no row for %s %s", name, number, m[1])
			}
		}
	}
}
