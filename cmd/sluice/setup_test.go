package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"

	"sluice/internal/cli"
)

func TestTheReferenceOfSetupHasEveryFlag(t *testing.T) {
	text, err := os.ReadFile("../../internal/setup/SETUP.md")
	if err != nil {
		t.Fatal(err)
	}
	var told, has []string
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)` \\|").FindAllSubmatch(text, -1) {
		told = append(told, string(m[1]))
	}
	var help bytes.Buffer
	if code := run([]string{"setup", "-h"}, &help, &help); code != cli.ExitOK {
		t.Fatalf("status %d:\n%s", code, help.String())
	}
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllSubmatch(help.Bytes(), -1) {
		has = append(has, string(m[1]))
	}
	slices.Sort(told)
	slices.Sort(has)
	if len(has) == 0 || !slices.Equal(told, has) {
		t.Errorf("SETUP.md has the flags %q, the command %q", told, has)
	}
}
