//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ReadmeBlock returns the indented block of the README that begins with this text,
// without the indent.
func ReadmeBlock(t testing.TB, begin string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(Root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "\n\n    "+begin)
	if !ok {
		t.Fatalf("no block of the README begins with %s", begin)
	}
	var text strings.Builder
	for line := range strings.Lines("    " + begin + rest) {
		unindented, ok := strings.CutPrefix(line, "    ")
		if !ok && line != "\n" {
			break
		}
		text.WriteString(unindented)
	}
	return strings.TrimRight(text.String(), "\n") + "\n"
}
