package listen

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTheSocketIsItsOwnersWhateverTheUmask(t *testing.T) {
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	path := filepath.Join(t.TempDir(), "admin.sock")
	a, err := UnixSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != ownerOnly {
		t.Errorf("mode %v", info.Mode())
	}
}
