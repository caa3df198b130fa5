package gate

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users checks passwords against bcrypt hashes. A hash is slow to check on
// purpose, and clients send their password with each connection, so a password
// that was right is remembered by a keyed digest of it. What has to be checked
// takes turns: one check at a time, so that guessing uses up one processor at
// most, and each client one place among those that wait, so that whoever guesses
// much holds up himself. The nil Users has none.
type Users struct {
	hashes map[string]string
	dummy  []byte        // compared for unknown names, so that they take as long as the slowest
	busy   chan struct{} // holds the check under way

	key   [sha256.Size]byte
	mu    sync.Mutex
	right map[[sha256.Size]byte]string // whose password it is
	lines map[netip.Addr]*line         // of clients with a check under way or waiting
}

// line is where the checks of one client wait for each other.
type line struct {
	first chan struct{} // holds the one that stands among those of all clients
	long  int
}

// maxLine is how many checks of one client may wait: those of a client that
// opens its connections all at once, whose first answer serves the others.
const maxLine = 64

// maxRemembered bounds the remembered passwords; past it they are forgotten all
// at once.
const maxRemembered = 4096

// NewUsers returns users with their bcrypt hashes by name.
func NewUsers(hashes map[string][]byte) *Users {
	if len(hashes) == 0 {
		return nil
	}
	u := &Users{hashes: make(map[string]string, len(hashes)), busy: make(chan struct{}, 1), right: make(map[[sha256.Size]byte]string), lines: make(map[netip.Addr]*line)}
	rand.Read(u.key[:])
	for name, h := range hashes {
		u.hashes[name] = string(h)
		u.dummy = costlier(u.dummy, h)
	}
	return u
}

// errMuchGuessing is the error of a client that has too many checks waiting.
var errMuchGuessing = errors.New("too many passwords to check")

// Check tells whether the password is the user's. It takes as long for unknown
// users as for wrong passwords. While others' are checked it waits, until ctx
// ends, whose error it returns then. client is who guesses, if it is guessing.
func (u *Users) Check(ctx context.Context, client netip.Addr, user, password string) (bool, error) {
	if u == nil || user == "" {
		return false, nil
	}
	digest := u.digest(user, password)
	if u.remembers(digest) {
		return true, nil
	}
	leave, err := u.wait(ctx, client)
	if err != nil {
		return false, err
	}
	defer leave()
	if u.remembers(digest) { // by now
		return true, nil
	}
	hash := u.dummy
	own, known := u.hashes[user]
	if known {
		hash = []byte(own)
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return false, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.right) >= maxRemembered {
		clear(u.right)
	}
	u.right[digest] = strings.Clone(user) // the client's text has the password behind it
	return true, nil
}

// Remember takes over from the users of before what is remembered of those whose
// password is still the same: after a reload hundreds of them would have to wait for
// each other's checks, and some in vain. Call it before u is in use.
func (u *Users) Remember(before *Users) {
	if u == nil || before == nil || u == before {
		return
	}
	before.mu.Lock()
	defer before.mu.Unlock()
	u.key = before.key
	for digest, user := range before.right {
		if u.same(user, before.hashes[user]) {
			u.right[digest] = user
		}
	}
}

// same tells whether a user has the password still that was checked against a hash.
func (u *Users) same(user, hash string) bool {
	if u == nil {
		return false
	}
	now, known := u.hashes[user]
	return known && now == hash
}

func (u *Users) remembers(digest [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, ok := u.right[digest]
	return ok
}

// wait waits for the client's turn. leave ends it.
func (u *Users) wait(ctx context.Context, client netip.Addr) (leave func(), err error) {
	l, err := u.join(client)
	if err != nil {
		return nil, err
	}
	select {
	case l.first <- struct{}{}:
	case <-ctx.Done():
		u.quit(client, l)
		return nil, ctx.Err()
	}
	select {
	case u.busy <- struct{}{}:
	case <-ctx.Done():
		<-l.first
		u.quit(client, l)
		return nil, ctx.Err()
	}
	return func() { <-u.busy; <-l.first; u.quit(client, l) }, nil
}

func (u *Users) join(client netip.Addr) (*line, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := u.lines[client]
	if l == nil {
		l = &line{first: make(chan struct{}, 1)}
		u.lines[client] = l
	}
	if l.long >= maxLine {
		return nil, errMuchGuessing
	}
	l.long++
	return l, nil
}

func (u *Users) quit(client netip.Addr, l *line) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if l.long--; l.long == 0 {
		delete(u.lines, client)
	}
}

func (u *Users) digest(user, password string) (d [sha256.Size]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(user))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	mac.Sum(d[:0])
	return d
}

// costlier returns the hash that takes longer to check.
func costlier(a, b []byte) []byte {
	costA, _ := bcrypt.Cost(a) // 0 for none
	costB, _ := bcrypt.Cost(b)
	if costA > costB {
		return a
	}
	return b
}
