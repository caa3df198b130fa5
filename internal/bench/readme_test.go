//go:build linux

package main

import (
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
		want, err := all.Say(c.row, c.work, c.subject, c.as)
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(readme, want) {
			t.Errorf("README does not say %q", want)
		}
	}
}
