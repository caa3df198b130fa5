//go:build unix

package regular_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/internal/regular"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// A pipe that nobody writes to would hold up who opens it for ever.
func TestWhatIsNoRegularFileIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(in("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	link(t, "pipe", in("link"))
	l, err := net.Listen("unix", in("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, path := range []string{in("pipe"), in("link"), in("socket"), dir, "/dev/zero"} {
		_, err := regular.Read(path, 1000)
		var told *fs.PathError
		if !errors.Is(err, regular.ErrNot) || !errors.As(err, &told) || told.Path != path {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := regular.Read(in("none"), 1000); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}

func TestLinksToFilesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "of a file")
	link(t, "file", filepath.Join(dir, "link"))
	// A volume of Kubernetes: users -> ..data/users, ..data -> ..2026_01_02.
	write(t, filepath.Join(dir, "..2026_01_02", "users"), "of a volume")
	link(t, "..2026_01_02", filepath.Join(dir, "..data"))
	link(t, filepath.Join("..data", "users"), filepath.Join(dir, "users"))
	for name, want := range map[string]string{"file": "of a file", "link": "of a file", "users": "of a volume"} {
		if text, err := regular.Read(filepath.Join(dir, name), 1000); err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestAFileThatIsTooLongIsNotReadWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, strings.Repeat("x", 10))
	if text, err := regular.Read(path, 10); err != nil || len(text) != 10 {
		t.Errorf("as long as it may be: %d bytes, %v", len(text), err)
	}
	if text, err := regular.Read(path, 9); err == nil || text != nil || !strings.Contains(err.Error(), path+": more than 9 bytes") {
		t.Errorf("longer: %d bytes, %v", len(text), err)
	}
}
