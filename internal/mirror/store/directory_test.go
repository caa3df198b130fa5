package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"sluice/internal/mirror/oci"
)

func TestADirectoryIsOneProcesss(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1000)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Error(err)
	}
	s.Close()
	open(t, dir, 1000)
}

func TestADirectoryThatOthersCanChangeIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o777, 0o770, 0o720, 0o702, 0o777 | os.ModeSticky} {
		dir := filepath.Join(t.TempDir(), "cache")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "others can write") {
			t.Errorf("%v: %v", mode, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
			t.Errorf("%v: %v, %v", mode, left, err)
		}
	}
	if os.Geteuid() != 0 {
		return // cannot give files away
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Error(err)
	}
}

func TestADirectoryOfAnotherProgramIsRefused(t *testing.T) {
	dir := t.TempDir() // as skopeo lays out images
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "not the mirror's") {
		t.Error(err)
	}
	if _, err := Open(Options{Dir: filepath.Join(blobs, "new")}); err != nil {
		t.Errorf("a directory in it: %v", err)
	}
}

func TestADirectoryIsMadeForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	open(t, dir, 1000)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Error(info.Mode(), err)
	}
}

func TestFilesThatAreNotTheStoresAreLeftAlone(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<20)
	d := put(t, s, 1, 1000)
	s.Close()
	other := oci.FromBytes([]byte("x")).Hex()
	names := []string{"blobs/README", "blobs/sha256/x", "blobs/sha256/" + other, "blobs/sha256/" + d.Hex()[:2] + "/short", "partial/notes", "mine", "blobs/sha256/zz/" + other}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logs, seen := observer.New(zapcore.WarnLevel)
	s, err := Open(Options{Dir: dir, MaxSize: 1 << 20, Log: zap.New(logs)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Prune(0)
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if seen.Len() != 1 || s.Stats().Bytes != 0 {
		t.Errorf("%v, %+v", seen.All(), s.Stats())
	}
}
