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

	"sluice/internal/egress"
	"sluice/internal/track"
)

// everything returns metrics that have every series once.
func everything() *Metrics {
	m := New(Options{})
	for p := track.Protocol(1); int(p) <= protocols; p++ {
		for _, outcome := range m.names {
			m.Count(&track.Record{Protocol: p, Outcome: outcome}, 1, 1)
			m.Count(&track.Record{Protocol: p, Outcome: outcome, Rule: "docker-hosts", Decision: "observe"}, 1, 1)
		}
	}
	return m
}

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
	var want []string
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
		want = append(want, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()), names, f.GetHelp()))
	}
	have := regexp.MustCompile("(?m)^\\| `sluice_.*$").FindAllString(string(text), -1)
	slices.Sort(want)
	if !slices.Equal(slices.Sorted(slices.Values(have)), want) {
		t.Errorf("METRICS.md has\n%s\n\nand should have\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}

	documented := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| (.*) \\|$").FindAllStringSubmatch(string(text), -1) {
		documented[row[1]] = row[2]
	}
	for label, set := range values {
		row, ok := documented[label]
		delete(documented, label)
		if !ok {
			t.Errorf("METRICS.md does not say what values label %s has", label)
		}
		if !slices.Contains([]string{"bound", "direction", "protocol", "result"}, label) {
			continue // what values these have is up to others
		}
		row, _, _ = strings.Cut(row, ":")
		have := "`" + strings.Join(slices.Sorted(maps.Keys(set)), "`, `") + "`"
		if row != have {
			t.Errorf("label %s has values %s, METRICS.md says %s", label, have, row)
		}
	}
	for label := range documented {
		t.Errorf("METRICS.md has a label %s that no metric has", label)
	}
	if n := len(values["outcome"]); n != len(egress.Kinds())+1 {
		t.Errorf("%d outcomes are counted", n)
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
