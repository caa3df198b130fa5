package gate

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users checks passwords against bcrypt hashes. A hash is slow to check on
// purpose, and clients send their password with each connection, so a password
// that was right is remembered by a keyed digest of it. The nil Users has none.
type Users struct {
	hashes map[string][]byte
	dummy  []byte        // compared for unknown names, so that they take as long
	busy   chan struct{} // bounds the processors that guessing can use up

	key   [sha256.Size]byte
	mu    sync.Mutex
	right map[[sha256.Size]byte]struct{}
}

// maxRemembered bounds the remembered passwords; past it they are forgotten all
// at once.
const maxRemembered = 4096

// NewUsers returns users with their bcrypt hashes by name.
func NewUsers(hashes map[string][]byte) *Users {
	if len(hashes) == 0 {
		return nil
	}
	u := &Users{hashes: hashes, busy: make(chan struct{}, 1), right: make(map[[sha256.Size]byte]struct{})}
	rand.Read(u.key[:])
	for _, h := range hashes {
		u.dummy = h // any: its cost is what matters
	}
	return u
}

// Check tells whether the password is the user's. It takes as long for unknown
// users as for wrong passwords.
func (u *Users) Check(user, password string) bool {
	if u == nil || user == "" {
		return false
	}
	digest := u.digest(user, password)
	u.mu.Lock()
	_, ok := u.right[digest]
	u.mu.Unlock()
	if ok {
		return true
	}
	u.busy <- struct{}{}
	defer func() { <-u.busy }()
	hash, known := u.hashes[user]
	if !known {
		hash = u.dummy
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !known {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.right) >= maxRemembered {
		clear(u.right)
	}
	u.right[digest] = struct{}{}
	return true
}

func (u *Users) digest(user, password string) (d [sha256.Size]byte) {
	mac := hmac.New(sha256.New, u.key[:])
	mac.Write([]byte(user))
	mac.Write([]byte{0})
	mac.Write([]byte(password))
	mac.Sum(d[:0])
	return d
}
