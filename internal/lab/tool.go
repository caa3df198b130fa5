//go:build linux

package lab

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Tool returns the path of a program that the Makefile builds of another module, at the
// version that stands there as NAME := MODULE@VERSION. A test that lacks it is left out,
// or fails where CI=true.
func Tool(t testing.TB, name string) string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(Root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + strings.ToUpper(name) + `\s*:= (\S+)$`).FindSubmatch(makefile)
	if m == nil {
		t.Fatalf("the Makefile does not build %s", name)
	}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	// As the Makefile's "install" names it.
	program := filepath.Join(strings.TrimSpace(string(cache)), "sluice-tools", path.Base(string(m[1])))
	if _, err := os.Stat(program); err != nil {
		LeaveOut(t, t.Name()+", for want of "+name+", which make lab builds")
	}
	return program
}
