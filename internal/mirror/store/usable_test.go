package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// What is asked beforehand is what the start comes to, and leaves nothing behind.
func TestADirectoryIsUsableWhereItOpens(t *testing.T) {
	directory := func(t *testing.T, path string, mode os.FileMode) string {
		t.Helper()
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(path, 0o700) }) // or it cannot be removed
		return path
	}
	for name, prepare := range map[string]func(t *testing.T, dir string) string{
		"one that is there": func(_ *testing.T, dir string) string { return dir },
		"one to be made":    func(_ *testing.T, dir string) string { return filepath.Join(dir, "a", "b") },
		"one that has a lock": func(t *testing.T, dir string) string {
			open(t, dir, 1000).Close()
			return dir
		},
		"below a file": func(t *testing.T, dir string) string {
			file := filepath.Join(dir, "file")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(file, "a", "b")
		},
		"a link that leads nowhere": func(t *testing.T, dir string) string {
			link := filepath.Join(dir, "link")
			if err := os.Symlink("nowhere", link); err != nil {
				t.Fatal(err)
			}
			return link
		},
		"one that others can change": func(t *testing.T, dir string) string { return directory(t, filepath.Join(dir, "cache"), 0o777) },
		"another program's": func(t *testing.T, dir string) string {
			directory(t, filepath.Join(dir, "blobs"), 0o700)
			return dir
		},
		"one that cannot be written": func(t *testing.T, dir string) string { return directory(t, filepath.Join(dir, "cache"), 0o500) },
		"one that cannot be opened":  func(t *testing.T, dir string) string { return directory(t, filepath.Join(dir, "cache"), 0) },
		"below one that cannot be written": func(t *testing.T, dir string) string {
			return filepath.Join(directory(t, filepath.Join(dir, "up"), 0o500), "a", "b")
		},
		"below one that cannot be searched": func(t *testing.T, dir string) string {
			return filepath.Join(directory(t, filepath.Join(dir, "up"), 0), "a", "b")
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			if err := os.Chmod(base, 0o700); err != nil { // whatever the umask
				t.Fatal(err)
			}
			dir := prepare(t, base)
			before := tree(t, base)
			told := Usable(dir)
			if after := tree(t, base); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
			s, err := Open(Options{Dir: dir, MaxSize: 1000})
			if err == nil {
				defer s.Close()
			}
			if fmt.Sprint(told) != fmt.Sprint(err) {
				t.Errorf("told:    %v\nit says: %v", told, err)
			}
			if err != nil {
				return
			}
			if err := Usable(dir); err != nil {
				t.Errorf("while it is in use: %v", err)
			}
		})
	}
	if os.Geteuid() != 0 {
		return // cannot give files away
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := Usable(dir); err != nil {
		t.Errorf("root looks at the directory of the mirror's user: %v", err)
	}
}

// tree is a listing of what is in a directory.
func tree(t *testing.T, dir string) (list string) {
	t.Helper()
	filepath.Walk(dir, func(path string, info os.FileInfo, _ error) error {
		list += fmt.Sprintln(path, info.Mode(), info.ModTime())
		return nil
	})
	return list
}
