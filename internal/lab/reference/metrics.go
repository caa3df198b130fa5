package reference

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

var (
	metricRow = regexp.MustCompile("(?m)^\\| `sluice_.*$")
	labelRow  = regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| (.*) \\|$")
)

// CheckMetrics holds a document to the metrics that are gathered, both ways: it has a
// row for each with its kind, labels and help, and a row for each label, which lists its
// values unless the label is open. It also holds them to Prometheus's own rules. It
// returns the values of each label.
func CheckMetrics(t *testing.T, path string, from prometheus.Gatherer, open ...string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	families, err := from.Gather()
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
	slices.Sort(want)
	have := metricRow.FindAllString(string(text), -1)
	if !slices.Equal(slices.Sorted(slices.Values(have)), want) {
		t.Errorf("%s has\n%s\n\nand should have\n%s", path, strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	problems, err := testutil.GatherAndLint(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	return checkLabels(t, path, string(text), values, open)
}

func checkLabels(t *testing.T, path, text string, values map[string]map[string]bool, open []string) map[string][]string {
	t.Helper()
	documented := make(map[string]string)
	for _, row := range labelRow.FindAllStringSubmatch(text, -1) {
		documented[row[1]] = row[2]
	}
	all := make(map[string][]string)
	for label, set := range values {
		row, ok := documented[label]
		delete(documented, label)
		if !ok {
			t.Errorf("%s does not say what values label %s has", path, label)
		}
		delete(set, "")
		all[label] = slices.Sorted(maps.Keys(set))
		if slices.Contains(open, label) {
			continue
		}
		row, _, _ = strings.Cut(row, ":")
		if have := "`" + strings.Join(all[label], "`, `") + "`"; row != have {
			t.Errorf("label %s has values %s, %s says %s", label, have, path, row)
		}
	}
	for label := range documented {
		t.Errorf("%s has a label %s that no metric has", path, label)
	}
	return all
}

// Scrape returns the lines of a scrape that begin with the prefix.
func Scrape(t testing.TB, metrics http.Handler, prefix string) string {
	t.Helper()
	w := httptest.NewRecorder()
	metrics.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Errorf("status %d", w.Code)
	}
	var found strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, prefix) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// WantScrape holds these lines of a scrape to what they should be.
func WantScrape(t testing.TB, metrics http.Handler, prefix, lines string) {
	t.Helper()
	if d := cmp.Diff(strings.TrimLeft(lines, "\n"), Scrape(t, metrics, prefix)); d != "" {
		t.Error(d)
	}
}

// CheckScrapesAreBounded holds up scrapes until no more are answered. A reader that stops
// reading keeps a place, but no more than that. metrics is to be such that each scrape
// calls gathering, which returns when this is done.
func CheckScrapesAreBounded(t *testing.T, most int, metrics func(gathering func()) http.Handler) {
	t.Helper()
	hold := make(chan struct{})
	begun := make(chan struct{}, most)
	m := metrics(func() { begun <- struct{}{}; <-hold })
	var wg sync.WaitGroup
	for range most {
		wg.Go(func() { m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/metrics", nil)) })
	}
	for range most {
		<-begun
	}
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("one more is answered with %d %.100s", w.Code, w.Body)
	}
	close(hold)
	wg.Wait()
}
