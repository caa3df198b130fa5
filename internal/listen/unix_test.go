package listen

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestASocketOfAKilledProcessIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := UnixSocket(path); err == nil {
		a.Close()
		t.Fatal("the socket of a living process was taken away")
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	a, err := UnixSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()

	if err := os.WriteFile(path, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := UnixSocket(path); err == nil {
		a.Close()
		t.Error("a file was taken away")
	}
}
