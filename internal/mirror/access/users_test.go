package access_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"

	"sluice/internal/mirror/access"
	"sluice/internal/regular"
)

var client = netip.MustParseAddr("192.0.2.7")

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, u *access.Users, name, password string) bool {
	t.Helper()
	ok, err := u.Check(context.Background(), client, name, password)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestUsersLogInByWhatTheFileSaysNow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	apache := strings.Replace(hash(t, "first"), "$2a$", "$2y$", 1) // as htpasswd -B writes it
	write(t, path, "# staff\n\nalice:"+apache+"\r\n")
	core, logged := observer.New(zap.InfoLevel)
	u, err := access.OpenUsers(path, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if !check(t, u, "alice", "first") || check(t, u, "alice", "second") || check(t, u, "bob", "first") || check(t, u, "", "") {
		t.Fatal("the first file is not what decides")
	}

	write(t, path, "alice:"+hash(t, "second")+"\nbob:"+hash(t, "builder")+"\n")
	if check(t, u, "alice", "first") {
		t.Error("a password that was changed, and had been right before, still is")
	}
	if !check(t, u, "alice", "second") || !check(t, u, "bob", "builder") {
		t.Error("the new file is not read")
	}

	write(t, path, "alice:secret in clear\n")
	if !check(t, u, "alice", "second") {
		t.Error("a broken file locks users out")
	}
	check(t, u, "alice", "second")
	warned := logged.FilterLevelExact(zap.WarnLevel).All()
	if len(warned) != 1 {
		t.Errorf("%d warnings for one broken file", len(warned))
	}
	for _, w := range warned {
		text := w.ContextMap()["error"].(string)
		if strings.Contains(text, "secret") || !strings.Contains(text, "htpasswd:1: ") {
			t.Errorf("the warning is %q", text)
		}
	}

	write(t, path, "bob:"+hash(t, "builder")+"\n")
	if check(t, u, "alice", "second") || !check(t, u, "bob", "builder") {
		t.Error("a mended file does not count")
	}
	write(t, path, "")
	if check(t, u, "bob", "builder") {
		t.Error("an empty file still has users")
	}
}

func TestAChangeOfEqualSizeIsSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	write(t, path, "alice:"+hash(t, "first")+"\n")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	u, err := access.OpenUsers(path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, "alice:"+hash(t, "other")+"\n")
	if err := os.Chtimes(path, old, old); err != nil { // rsync -t, cp -p
		t.Fatal(err)
	}
	if !check(t, u, "alice", "other") {
		t.Error("another file of the same size and time is taken for the old one")
	}
}

func TestWhatIsNoFileOfUsersIsSaidWithItsLine(t *testing.T) {
	good := hash(t, "x")
	for name, c := range map[string]struct{ text, want string }{
		"md5":         {"a:" + good + "\nb:$apr1$abcdefgh$0123456789012345678901\n", "htpasswd:2: the password is not a bcrypt hash"},
		"clear":       {"a:hunter2", "htpasswd:1: the password is not a bcrypt hash"},
		"no colon":    {"alice\n", "htpasswd:1: not a line"},
		"no name":     {":" + good, "htpasswd:1: not a line"},
		"twice":       {"a:" + good + "\na:" + good, `htpasswd:2: user "a" has a line already`},
		"too costly":  {"a:" + strings.Replace(good, "$04$", "$31$", 1), "cost 31"},
		"cut off":     {"a:" + good[:59], "not a bcrypt hash"},
		"more behind": {"a:" + good + ":x", "not a bcrypt hash"},
	} {
		path := filepath.Join(t.TempDir(), "htpasswd")
		write(t, path, c.text)
		if _, err := access.OpenUsers(path, zap.NewNop()); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := access.OpenUsers(t.TempDir(), zap.NewNop()); err == nil {
		t.Error("a directory is taken for a file of users")
	}
	if ok, err := (*access.Users)(nil).Check(context.Background(), client, "a", "b"); ok || err != nil {
		t.Error("no users, and somebody is one")
	}
}

// A pipe would hold up the start, or every login after it took the file's place, until
// somebody writes to it.
func TestAPipeIsNoFileOfUsers(t *testing.T) {
	dir := t.TempDir()
	pipe, path := filepath.Join(dir, "pipe"), filepath.Join(dir, "htpasswd")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := access.OpenUsers(pipe, zap.NewNop()); !errors.Is(err, regular.ErrNot) || !strings.Contains(err.Error(), pipe) {
		t.Errorf("at the start: %v", err)
	}
	write(t, path, "alice:"+hash(t, "first")+"\n")
	core, logged := observer.New(zap.WarnLevel)
	u, err := access.OpenUsers(path, zap.New(core))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(pipe, path); err != nil {
		t.Fatal(err)
	}
	if !check(t, u, "alice", "first") {
		t.Error("a pipe in the file's place locks users out")
	}
	if n := logged.FilterMessageSnippet("those of before stay").Len(); n != 1 {
		t.Errorf("it is told %d times", n)
	}
}

// As Kubernetes keeps the files of a volume: it swaps the link to their directory.
func TestUsersOfAVolumeThatIsSwapped(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "htpasswd"), text)
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..2026_01", "alice:"+hash(t, "first")+"\n")
	path := filepath.Join(dir, "htpasswd")
	if err := os.Symlink(filepath.Join("..data", "htpasswd"), path); err != nil {
		t.Fatal(err)
	}
	u, err := access.OpenUsers(path, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if !check(t, u, "alice", "first") {
		t.Error("the file behind the links is not read")
	}
	swap("..2026_02", "alice:"+hash(t, "second")+"\n")
	if check(t, u, "alice", "first") || !check(t, u, "alice", "second") {
		t.Error("the swap is not seen")
	}
}
