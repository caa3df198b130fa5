package settings

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/config/strict"
	"sluice/internal/mirror/access"
)

// No text makes Parse panic; what it refuses it explains, and of what it accepts
// package access takes the rules.
func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.toml")
	for _, path := range files {
		if data, err := os.ReadFile(path); err == nil {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.toml", data, Flags{})
		if err != nil {
			var list strict.Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("not a list of errors: %v", err)
			}
			for _, e := range list {
				if e.Problem == "" || e.File != "fuzz.toml" || e.Line > 0 != (e.Column > 0) {
					t.Errorf("not a whole error: %+v", e)
				}
			}
			return
		}
		if len(c.Listeners) == 0 || len(c.Upstreams) == 0 || c.Cache.MaxSize <= 0 {
			t.Errorf("accepted, but not whole: %+v", c)
		}
		for _, u := range c.Upstreams {
			if u.Name == "" || u.URL == nil || u.TagTTL < 0 {
				t.Errorf("accepted, but not whole: %+v", u)
			}
		}
		if _, err := access.New(c.Rules); err != nil {
			t.Errorf("accepted, but not by package access: %v", err)
		}
		again, err := Parse("fuzz.toml", data, Flags{})
		if err != nil {
			t.Fatalf("accepted, then refused: %v", err)
		}
		if d := diff(c, again); d != "" {
			t.Errorf("read twice, not the same: %s", d)
		}
	})
}
