package reference

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the errors found into testdata instead of comparing them")

// CheckInvalid holds a reader of configurations to every way to get a file wrong: each is
// a file in testdata/invalid, with the errors that it must give beside it. parse tells
// whether there was a configuration beside the error. Words that are secret are in no
// error.
func CheckInvalid(t *testing.T, parse func(name string, data []byte) (some bool, err error), secret ...string) {
	t.Helper()
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
			some, err := parse(name, data)
			if err == nil {
				t.Fatal("accepted")
			}
			if some {
				t.Error("half a configuration beside the error")
			}
			for _, word := range secret {
				if strings.Contains(err.Error(), word) {
					t.Errorf("a password is repeated: %v", err)
				}
			}
			Expect(t, strings.TrimSuffix(path, ".toml")+".err", err.Error()+"\n")
		})
	}
}

// Expect compares with a file, or writes it under -update.
func Expect(t *testing.T, path, got string) {
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
