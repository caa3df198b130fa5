package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The mirror is a program of its own: who runs the proxy runs no line of it.
func TestTheProxyHasNothingOfTheMirror(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "sluice/cmd/sluice").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("%d packages", len(packages))
	}
	for _, p := range packages {
		if strings.HasPrefix(p, "sluice/internal/mirror") {
			t.Errorf("it imports %s", p)
		}
	}
}
