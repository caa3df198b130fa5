//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sluice/internal/bench/report"
)

// What README says of single figures is what was measured last.
func TestTheReadmeSaysWhatWasMeasured(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.Join(strings.Fields(string(text)), " ")
	all, err := report.Load("results.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ row, work, subject, as string }{
		{"connect", "CONNECT: CPU each", "Sluice", "closing it take %.0f µs"},
		{"connect", "CONNECT: CPU each", "HAProxy", "more than HAProxy's %.0f,"},
		{"connect", "CONNECT: CPU each", "Squid", "less than Squid's %.0f."},
		{"idle", "process memory (PSS) of each", "Sluice", "costs the process %.1f KiB"},
		{"idle", "process memory (PSS) of each", "HAProxy", "less than HAProxy's %.1f."},
	} {
		line := all.Line(c.row, c.work)
		if line == nil || len(line.Figures[c.subject]) == 0 {
			t.Errorf("there is no figure of %s for %s", c.subject, c.work)
			continue
		}
		if want := fmt.Sprintf(c.as, report.Median(line.Figures[c.subject])); !strings.Contains(readme, want) {
			t.Errorf("README does not say %q", want)
		}
	}
}
