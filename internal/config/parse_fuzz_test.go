package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// No text makes Parse panic; what it refuses it explains, and what it accepts it
// accepts again.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.toml")
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.toml", data, Flags{}, shipped())
		if err != nil {
			checkErrors(t, err)
			return
		}
		if c.Policy == nil || c.Policy.Len() != len(c.Rules) || len(c.Listeners) == 0 || c.Limits.Download <= 0 || c.Limits.Burst <= 0 {
			t.Errorf("accepted, but not whole: %+v", c)
		}
		for _, w := range c.Warnings {
			_ = w.String()
		}
		again, err := Parse("fuzz.toml", data, Flags{}, shipped())
		if err != nil {
			t.Fatalf("accepted, then refused: %v", err)
		}
		if d := diff(c, again); d != "" {
			t.Errorf("read twice, not the same: %s", d)
		}
	})
}

func checkErrors(t *testing.T, err error) {
	t.Helper()
	var list Errors
	if !errors.As(err, &list) || len(list) == 0 {
		t.Fatalf("not a list of errors: %v", err)
	}
	for _, e := range list {
		if e.Problem == "" || e.File != "fuzz.toml" || e.Line > 0 != (e.Column > 0) {
			t.Errorf("not a whole error: %+v", e)
		}
	}
}
