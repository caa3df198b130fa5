package report

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{4, 1}, 2.5},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 7}, 6},
	} {
		if got := Median(c.values); got != c.want {
			t.Errorf("median of %v: %v, not %v", c.values, got, c.want)
		}
	}
	if !math.IsNaN(Median(nil)) {
		t.Error("nothing has a median")
	}
	values := []float64{3, 1, 2}
	Median(values)
	if !cmp.Equal(values, []float64{3, 1, 2}) {
		t.Errorf("the median sorts what it was given: %v", values)
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for q, want := range map[float64]float64{0: 1, 0.01: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := Quantile(hundred, q); got != want {
			t.Errorf("quantile %v of 1 to 100: %v, not %v", q, got, want)
		}
	}
	if got := Quantile([]float64{7}, 0.99); got != 7 {
		t.Errorf("quantile of one value: %v", got)
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	if got, want := Ratios([]float64{2, 6, 5}, []float64{1, 2}), []float64{2, 3}; !cmp.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestOutliersAreFarFromTheMedian(t *testing.T) {
	if got, want := Outliers([]float64{10, 12, 9, 13, 7.4}), []int{3, 4}; !cmp.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	if got := Outliers([]float64{0, 0, 0}); got != nil {
		t.Errorf("among zeros: %v", got)
	}
}

func TestNumbersHaveThreeDigitsThatCount(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.2449: "0.245", 0.00123: "0.0012", 1: "1.00", 9.996: "10.00", 37.25: "37.2", 276.4: "276", 20000: "20000",
		math.NaN(): "?", math.Inf(1): "?",
	} {
		if got := Number(v); got != want {
			t.Errorf("%v: %s, not %s", v, got, want)
		}
	}
}

// sample has each kind of cell once.
func sample() *Results {
	cost := Line{Work: "8 tunnels, down", Unit: "CPU s/GB", Figures: map[string][]float64{
		"ours": {0.25, 0.26, 0.25}, "floor": {0.25, 0.25, 0.25}, "other": {0.5, 0.9, 0.5},
	}}
	cost.Against("ours", "floor", 1.1)
	cost.AgainstLowest("ours", []string{"other"}, 1, true)
	cost.Against("ours", "other", 0)
	rate := Line{Work: "rate | sum", Unit: "MB/s", Figures: map[string][]float64{"ours": {103, 105}}}
	rate.AgainstFixed("ours", 100, "100")
	rate.Goals[0].AtMost = 1.02
	rate.Lack("other", "no limits")
	r := &Results{Subjects: []string{"ours", "floor", "other"}}
	r.Put(Row{Name: "limit", Title: "Limit", Lines: []Line{rate}}, []string{"relay", "limit"})
	r.Put(Row{Name: "relay", Title: "Relay"}, []string{"relay", "limit"})
	r.Put(Row{Name: "relay", Title: "Relay", Lines: []Line{cost}}, []string{"relay", "limit"})
	return r
}

func TestTableHasRatiosFirst(t *testing.T) {
	want := `| Work | Ratio | to reach | reached | ours | floor | other |
| --- | --- | --- | --- | --- | --- | --- |
| **Relay** | | | | | | |
| 8 tunnels, down, CPU s/GB | **1.00** of floor (1.00–1.04) | ≤ 1.10 | yes | 0.250 (0.250–0.260) | 0.250 | 0.500 (0.500–0.900) |
| | **0.500** of other, the lowest (0.289–0.500) | < 1.00 | yes | | | |
| | **0.500** of other (0.289–0.500) | | | | | |
| **Limit** | | | | | | |
| rate \| sum, MB/s | **1.04** of 100 (1.03–1.05) | ≤ 1.02 | no | 104 (103–105) |  | -: no limits |
`
	if diff := cmp.Diff(want, sample().Table()); diff != "" {
		t.Error(diff)
	}
	far := []string{"Relay, 8 tunnels, down, CPU s/GB: other 0.900 instead of 0.500 (round 2)"}
	if diff := cmp.Diff(far, sample().Far()); diff != "" {
		t.Error(diff)
	}
}

func TestLowestIsByMedianAmongThoseThatHaveFigures(t *testing.T) {
	l := Line{Figures: map[string][]float64{"us": {1}, "a": {3, 3, 0.1}, "b": {2, 2, 2}}}
	l.AgainstLowest("us", []string{"none", "a", "b"}, 1, false)
	if len(l.Goals) != 1 || l.Goals[0].Against != "b, the lowest" {
		t.Errorf("%+v", l.Goals)
	}
	l = Line{Figures: map[string][]float64{"us": {1}}}
	if l.AgainstLowest("us", []string{"none"}, 1, false); l.Goals != nil {
		t.Errorf("a goal against nobody: %+v", l.Goals)
	}
}

func TestGoalsAtTheirEdge(t *testing.T) {
	for _, c := range []struct {
		goal Goal
		want bool
	}{
		{Goal{Ratios: []float64{1}, AtMost: 1}, true},
		{Goal{Ratios: []float64{1}, AtMost: 1, Below: true}, false},
		{Goal{Ratios: []float64{0.9, 5, 0.9}, AtMost: 1, Below: true}, true},
		{Goal{AtMost: 1}, false}, // nothing measured, nothing reached
	} {
		if got := c.goal.Reached(); got != c.want {
			t.Errorf("%+v: %v", c.goal, got)
		}
	}
}

func TestResultsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "results.json")
	if r, err := Load(path); err != nil || len(r.Rows) != 0 {
		t.Fatalf("a file that does not exist: %v, %v", r, err)
	}
	want := sample()
	if err := want.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Line("relay", "8 tunnels, down") == nil || got.Line("limit", "8 tunnels, down") != nil {
		t.Error("lines are not found by row and work")
	}
}

func TestPlotIsWellFormedAndOrdered(t *testing.T) {
	r := sample()
	svg := Plot(r.PanelOf("CPU s/GB, <relayed>", r.Line("relay", "8 tunnels, down")), Panel{Title: "empty"})
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(svg, "CPU s/GB, &lt;relayed&gt;: ours 0.250, floor 0.250, other 0.500") {
		t.Errorf("the plot does not say in words, in order, what it shows:\n%s", svg)
	}
	if !strings.Contains(svg, "prefers-color-scheme: dark") {
		t.Error("the plot has one colour scheme only")
	}
}
