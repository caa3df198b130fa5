package access

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"sluice/internal/gate"
	"sluice/internal/regular"
)

// maxCost is the highest cost of a bcrypt hash: each step doubles the processor time
// of a check, which is a second at 14.
const maxCost = 14

// maxFile bounds the file of users in bytes; it has some 70 for each.
const maxFile = 16 << 20

// Users are the users of an htpasswd file with bcrypt hashes, which is read anew when
// it has changed. It is safe for concurrent use; the nil Users has none.
type Users struct {
	path string
	log  *zap.Logger

	mu   sync.Mutex
	seen stamp
	// now has the users of the last file that could be read: an editor that is half
	// done locks nobody out.
	now *gate.Users
}

// stamp tells whether a file is the one that was read.
type stamp struct {
	info    fs.FileInfo
	problem string // why it could not be looked at
}

func (s stamp) same(t stamp) bool {
	if s.info == nil || t.info == nil {
		return s.info == nil && t.info == nil && s.problem == t.problem
	}
	return os.SameFile(s.info, t.info) && s.info.Size() == t.info.Size() && s.info.ModTime().Equal(t.info.ModTime())
}

// OpenUsers reads an htpasswd file. log is told when a later version of it cannot be
// read; until that is mended the users of before stay.
func OpenUsers(path string, log *zap.Logger) (*Users, error) {
	u := &Users{path: path, log: log}
	u.seen = u.look()
	hashes, err := readUsers(path)
	if err != nil {
		return nil, err
	}
	u.now = gate.NewUsers(hashes)
	return u, nil
}

// Check tells whether the password is the user's. client is who asks; who asks much
// waits for himself. The error is that of ctx, or says that the client has too many
// checks waiting.
func (u *Users) Check(ctx context.Context, client netip.Addr, name, password string) (bool, error) {
	if u == nil {
		return false, nil
	}
	return u.current().Check(ctx, client, name, password)
}

func (u *Users) look() stamp {
	info, err := os.Stat(u.path)
	if err != nil {
		return stamp{problem: err.Error()}
	}
	return stamp{info: info}
}

// current returns the users after a look at the file. The stamp is taken before the
// file is read, so that a change in between is seen the next time.
func (u *Users) current() *gate.Users {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := u.look()
	if now.same(u.seen) {
		return u.now
	}
	u.seen = now
	hashes, err := readUsers(u.path)
	if err != nil {
		u.log.Warn("the file of users cannot be read; those of before stay", zap.String("file", u.path), zap.Error(err))
		return u.now
	}
	before := u.now
	u.now = gate.NewUsers(hashes)
	u.now.Remember(before)
	u.log.Info("the file of users has changed", zap.String("file", u.path), zap.Int("users", len(hashes)), zap.Time("changed", modTime(now)))
	return u.now
}

func modTime(s stamp) time.Time {
	if s.info == nil {
		return time.Time{}
	}
	return s.info.ModTime()
}

var errNotBcrypt = errors.New(`the password is not a bcrypt hash, as "htpasswd -B" writes it`)

// readUsers reads lines of "name:hash". Errors have file and line, and never the
// text, which may be a password in clear.
func readUsers(path string) (map[string][]byte, error) {
	f, info, err := regular.Open(path)
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	defer f.Close()
	if info.Size() > maxFile {
		return nil, fmt.Errorf("users: %s has more than %d MiB", path, maxFile>>20)
	}
	hashes := make(map[string][]byte)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, hash, err := parseUser(string(line))
		if err == nil && hashes[name] != nil {
			err = fmt.Errorf("user %q has a line already", name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		hashes[name] = hash
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("users: read %s: %w", path, err)
	}
	return hashes, nil
}

func parseUser(line string) (name string, hash []byte, err error) {
	name, text, ok := strings.Cut(line, ":")
	switch {
	case !ok || name == "" || strings.ContainsFunc(name, unicode.IsControl):
		return "", nil, errors.New(`not a line of "name:hash"`)
	case len(name) > 255:
		return "", nil, errors.New("the name has more than 255 bytes")
	case len(text) != 60 || !strings.HasPrefix(text, "$2") || !strings.ContainsRune("aby", rune(text[2])):
		return "", nil, errNotBcrypt
	}
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil {
		return "", nil, errNotBcrypt
	}
	if cost > maxCost {
		return "", nil, fmt.Errorf("the hash has cost %d, and %d is the most: each check would take seconds", cost, maxCost)
	}
	return name, []byte(text), nil
}
