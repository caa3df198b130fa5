package accesslog

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"sluice/internal/egress"
)

// TestTheReferenceHasEveryFieldAndOutcome holds the document against the code,
// row by row and in order.
func TestTheReferenceHasEveryFieldAndOutcome(t *testing.T) {
	text, err := os.ReadFile("../config/REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, records, ok := strings.Cut(string(text), "\n## Records\n")
	if !ok {
		t.Fatal("the reference has no section on records")
	}
	var rows []string
	for line := range strings.Lines(records) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, f := range Fields() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", f.Name, f.Meaning))
	}
	for _, k := range egress.Kinds() {
		proxy := k.ProxyError()
		if proxy == "" {
			proxy = "-"
		}
		want = append(want, fmt.Sprintf("| `%s` | %d | %s | %d |", k, k.Status(), proxy, k.Reply()))
	}
	for i := range max(len(rows), len(want)) {
		if i >= len(rows) || i >= len(want) || rows[i] != want[i] {
			t.Fatalf("row %d differs\nhave %s\nwant %s", i, at(rows, i), at(want, i))
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}
