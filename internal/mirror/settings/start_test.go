package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who runs a mirror hears the same from the start that ends; so only who checks is told.
func TestWhatWouldKeepAMirrorFromStartingIsToldWhenItIsChecked(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SET_IN_THIS_TEST", "x")
	for name, c := range map[string]struct{ text, want string }{
		"all can be had":           {`username = "a"` + "\n" + `password_env = "SET_IN_THIS_TEST"`, ""},
		"a variable":               {`username = "a"` + "\n" + `password_env = "NOT_SET_AT_ALL"`, "4:16: upstream a.example: the variable NOT_SET_AT_ALL is not set, or empty"},
		"a helper":                 {`helper = "nonexistent"`, `3:10: upstream a.example: credential helper: exec: "docker-credential-nonexistent": executable file not found in $PATH`},
		"an empty file":            {`username = "a"` + "\n" + `password_file = "` + empty + `"`, "4:17: upstream a.example: password file " + empty + ": empty"},
		"a file that is not there": {`username = "a"` + "\n" + `password_file = "` + empty + `.not"`, "4:17: " + empty + ".not cannot be read: no such file or directory"},
		"a cache below a file":     {"[cache]\ndirectory = \"" + empty + "/cache\"", "4:13: cache " + empty + "/cache: make the cache directory: mkdir " + empty + ": not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "mirror.toml")
			text := "[[upstream]]\nname = \"a.example\"\n" + c.text + "\n"
			if !strings.Contains(text, "[cache]") {
				text += "[cache]\ndirectory = \"" + dir + "/cache\"\n"
			}
			if err := os.WriteFile(path, []byte(text+ruleOfWarnTest), 0o600); err != nil {
				t.Fatal(err)
			}
			checked, err := Check(Flags{Config: path})
			if err != nil {
				t.Fatal(err)
			}
			want := ""
			if c.want != "" {
				want = path + ":" + c.want
			}
			if got := strings.Join(warnings(checked), "\n"); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			run, err := Load(Flags{Config: path})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(warnings(run), "\n"); got != "" && !strings.Contains(got, "cannot be read") {
				t.Errorf("told at the start, too: %s", got)
			}
		})
	}
}
