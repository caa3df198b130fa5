package admin_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sluice/internal/accesslog"
)

// keys adds the keys of a value, and of those in it, to a set.
func keys(v any, set map[string]bool) {
	switch v := v.(type) {
	case object:
		for k, inner := range v {
			set[k] = true
			keys(inner, set)
		}
	case []any:
		for _, inner := range v {
			keys(inner, set)
		}
	}
}

// What the reference shows and lists is what is answered.
func TestTheReferenceShowsWhatIsAnswered(t *testing.T) {
	text, err := os.ReadFile("ADMIN.md")
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, strings.Replace(base, "ports =", "download = \"2MB/s\"\nports =", 1))
	p.connect(echo(t))
	p.attempt("10.0.0.1:80")
	real := make(map[string]bool)
	for _, f := range accesslog.Fields() {
		real[f.Name] = true
	}
	for _, path := range []string{"/tunnels", "/clients", "/refusals", "/config", "/explain?client=127.0.0.1&to=10.0.0.1:80"} {
		keys(p.get(path), real)
	}
	for _, step := range [][2]string{{"DELETE", "/tunnels?client=192.0.2.1"}, {"DELETE", "/tunnels"}, {"POST", "/reload"}} {
		_, body := p.ask(step[0], step[1])
		keys(parse(t, body), real)
	}
	examples := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "{") || strings.HasSuffix(line, "…") {
			continue
		}
		examples++
		var v object
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		shown := make(map[string]bool)
		keys(v, shown)
		for k := range shown {
			if !real[k] {
				t.Errorf("%q is answered by nothing: %s", k, line)
			}
		}
	}
	if examples < 8 {
		t.Errorf("%d examples", examples)
	}

	_, events, _ := strings.Cut(string(text), "\n## Events\n")
	start, tick, _ := strings.Cut(events, "\n`tick` tells")
	w := p.watch()
	for _, event := range [][2]string{{"start", start}, {"tick", tick}} {
		for k := range w.event(event[0]) {
			if !strings.Contains(event[1], "`"+k+"`") {
				t.Errorf("the reference has no %s in %s", k, event[0])
			}
		}
	}
}
