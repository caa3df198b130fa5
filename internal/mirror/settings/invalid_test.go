package settings

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the errors found into testdata instead of comparing them")

// Every way to get a file wrong is a file in testdata/invalid, with the errors
// that it must give beside it.
func TestEachWrongFileGetsItsErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".toml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(name, data, Flags{})
			if err == nil {
				t.Fatal("accepted")
			}
			if c != nil {
				t.Error("half a configuration beside the error")
			}
			if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a password is repeated: %v", err)
			}
			expect(t, strings.TrimSuffix(path, ".toml")+".err", err.Error()+"\n")
		})
	}
}

// expect compares with a file, or writes it under -update.
func expect(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
