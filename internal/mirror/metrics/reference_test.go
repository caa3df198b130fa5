package metrics

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// everything returns metrics that have every series once.
func everything() *Metrics {
	m := New(Options{
		Store:     func() store.Stats { return store.Stats{} },
		Upstreams: docker(upstream.Limits{Limit: 1}),
	})
	for _, how := range append(record.Hows(), "") {
		for _, kind := range record.Kinds() {
			for _, status := range []int{0, 101, 200, 307, 404, 502} {
				m.Count(pull(kind, how, status, 1))
				m.Upstream(upstream.Event{Upstream: "docker.io", Kind: string(kind), Status: max(100, status)})
			}
		}
	}
	m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "token", Status: 200})
	for failure := upstream.Unauthorized; failure.String() != ""; failure++ {
		m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "ping", Failure: failure})
	}
	return m
}

var (
	metricRow = regexp.MustCompile("(?m)^\\| `sluice_.*$")
	labelRow  = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| (.*) \\|$")
)

// TestTheReferenceHasEveryMetric holds METRICS.md against what is gathered, both ways.
func TestTheReferenceHasEveryMetric(t *testing.T) {
	text, err := os.ReadFile("METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	families, err := everything().registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	values := make(map[string]map[string]bool)
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "sluice_") {
			continue
		}
		labels := make(map[string]bool)
		for _, metric := range f.GetMetric() {
			for _, l := range metric.GetLabel() {
				labels["`"+l.GetName()+"`"] = true
				if values[l.GetName()] == nil {
					values[l.GetName()] = make(map[string]bool)
				}
				values[l.GetName()][l.GetValue()] = true
			}
		}
		names := strings.Join(slices.Sorted(maps.Keys(labels)), ", ")
		if names == "" {
			names = "-"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), names, f.GetHelp()))
	}
	slices.Sort(rows)
	have := metricRow.FindAllString(string(text), -1)
	if !slices.Equal(slices.Sorted(slices.Values(have)), rows) {
		t.Errorf("METRICS.md has\n%s\n\nand should have\n%s", strings.Join(have, "\n"), strings.Join(rows, "\n"))
	}
	holdLabels(t, string(text), values)
}

// holdLabels holds the labels of the reference and their values against those that
// there are.
func holdLabels(t *testing.T, text string, values map[string]map[string]bool) {
	documented := make(map[string]string)
	for _, row := range labelRow.FindAllStringSubmatch(text, -1) {
		documented[row[1]] = row[2]
	}
	for label, set := range values {
		row, ok := documented[label]
		delete(documented, label)
		if !ok {
			t.Errorf("METRICS.md does not say what values label %s has", label)
		}
		if slices.Contains([]string{"upstream", "version", "goversion"}, label) {
			continue // what values these have is up to others
		}
		delete(set, "")
		row, _, _ = strings.Cut(row, ":")
		if have := "`" + strings.Join(slices.Sorted(maps.Keys(set)), "`, `") + "`"; row != have {
			t.Errorf("label %s has values %s, METRICS.md says %s", label, have, row)
		}
	}
	for label := range documented {
		t.Errorf("METRICS.md has a label %s that no metric has", label)
	}
}

func TestTheNamesAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(everything().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
