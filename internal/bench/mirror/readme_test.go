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
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.Join(strings.Fields(string(text)), " ")
	all, err := report.Load("results.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ row, work, subject, as string }{
		{"warm", "16 clients: CPU", us, "delivers a cached gigabyte for %.2f s"},
		{"warm", "16 clients: CPU", them, "pull-through cache takes %.2f s"},
		{"cold", "16 clients: fetched from the upstream", us, "fetches it %.0f time"},
		{"cold", "16 clients: fetched from the upstream", them, "docker-registry %.0f times"},
	} {
		want, err := all.Say(c.row, c.work, c.subject, c.as)
		if err != nil {
			t.Error(err)
		} else if !strings.Contains(readme, want) {
			t.Errorf("README does not say %q", want)
		}
	}
}
