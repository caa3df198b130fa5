package admin

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/gate"
	"sluice/internal/track"
)

// handler returns one that has everything.
func handler(t *testing.T) *Handler {
	h := New(Options{Gate: gate.New(&gate.Policy{}, func(*track.Record) {}), Page: http.NotFoundHandler(), Metrics: http.NotFoundHandler()})
	t.Cleanup(h.Close)
	return h
}

// The reference has every endpoint and no other, each with its parameters.
func TestTheReferenceHasEveryEndpoint(t *testing.T) {
	text, err := os.ReadFile("ADMIN.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, s := range strings.Split(string(text), "\n### ")[1:] {
		heading, body, _ := strings.Cut(s, "\n")
		body, _, _ = strings.Cut(body, "\n## ")
		sections[strings.Trim(heading, "`")] = body
	}
	page := sections["GET /"]
	for _, rt := range handler(t).routes() {
		name := strings.TrimSuffix(rt.Pattern, "{$}")
		if name == "GET /page/" {
			if !strings.Contains(page, "`GET /page/`") {
				t.Error("the page's section does not tell of its parts")
			}
			continue
		}
		body, found := sections[name]
		if !found {
			t.Errorf("no section for %s", name)
		}
		delete(sections, name)
		for _, param := range rt.Params {
			if !strings.Contains(body, "`"+param+"`") {
				t.Errorf("%s: no word of the parameter %s", name, param)
			}
		}
	}
	for name := range sections {
		t.Errorf("there is no endpoint %s", name)
	}
}

var status = regexp.MustCompile(`(?m)^\| (\d{3}) \|`)

// The statuses that the code answers with are those of the reference.
func TestTheReferenceHasEveryStatus(t *testing.T) {
	text, err := os.ReadFile("ADMIN.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, m := range status.FindAllStringSubmatch(string(text), -1) {
		have = append(have, m[1])
	}
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := filepath.Glob("site/*.go")
	if err != nil || len(shared) == 0 {
		t.Fatal(shared, err)
	}
	names := map[string]string{
		"BadRequest": "400", "Forbidden": "403", "NotFound": "404", "MethodNotAllowed": "405", "Conflict": "409",
		"MisdirectedRequest": "421", "UnprocessableEntity": "422", "ServiceUnavailable": "503", "OK": "200",
		"InternalServerError": "a fault of ours", "NotImplemented": "no build of the command has it",
	}
	for _, f := range append(own, shared...) {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		code, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`http\.Status(\w+)`).FindAllStringSubmatch(string(code), -1) {
			number, known := names[m[1]]
			if !known || len(number) == 3 && !slices.Contains(have, number) {
				t.Errorf("%s: the reference has no row for %s %s", f, number, m[1])
			}
		}
	}
}
