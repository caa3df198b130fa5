package main

import (
	"os"
	"regexp"
	"testing"
)

func TestTheReferenceHasEveryCommandAndNoOther(t *testing.T) {
	text, err := os.ReadFile("../../internal/mirror/settings/MIRROR.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"version": true} // which needs no words
	for _, m := range regexp.MustCompile("`sluice-mirror ([a-z]+)").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	for _, c := range commands() {
		if !named[c.Name] {
			t.Errorf("MIRROR.md does not have sluice-mirror %s", c.Name)
		}
		delete(named, c.Name)
	}
	for name := range named {
		t.Errorf("there is no sluice-mirror %s", name)
	}
}
