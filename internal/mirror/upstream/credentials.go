package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"sluice/internal/regular"
)

const (
	maxSecret = 64 << 10 // bytes of a password file or of what a helper says

	// helperKeep is how long the answer of a helper is good for. Where registries
	// take Basic, each request would run it; what it gives is good for an hour or
	// more (Google's) to half a day (Amazon's).
	helperKeep = 5 * time.Minute
	// helperDoubt is how long it is at least, for credentials that may just not pull
	// one repository are refused time and again.
	helperDoubt = 15 * time.Second
)

// credential is a user name with its password. generation tells those from each
// other that one source gave one after the other.
type credential struct {
	username, secret string
	refresh          bool // secret is an identity token, to be changed for tokens (OAuth 2.0's refresh token)
	generation       uint64
}

// credentials gives the mirror's own credentials. The nil credentials has none. It
// is safe for concurrent use.
type credentials struct {
	read func(ctx context.Context) (credential, error) // asks the source
	keep func() bool                                   // tells whether what was read last still holds

	doubt atomic.Bool   // what was read last was refused
	lock  chan struct{} // holds the one that reads
	last  credential    // generation 0: nothing was read
}

// newCredentials returns the credentials that the options name, or nil.
func newCredentials(o Options) (*credentials, error) {
	sources := 0
	for _, s := range []string{o.PasswordFile, o.PasswordEnv, o.Helper} {
		if s != "" {
			sources++
		}
	}
	switch {
	case sources > 1:
		return nil, errors.New("more than one source of the password")
	case sources == 0 && o.Username == "":
		return nil, nil
	case sources == 0:
		return nil, errors.New("a user name without a password")
	case o.Helper == "" && o.Username == "":
		return nil, errors.New("a password without a user name")
	case strings.Contains(o.Username, ":"):
		return nil, errors.New("a user name with a colon") // RFC 7617, section 2
	}
	c := &credentials{lock: make(chan struct{}, 1)}
	switch {
	case o.PasswordFile != "":
		fromFile(c, o.Username, o.PasswordFile)
	case o.PasswordEnv != "":
		fromEnvironment(c, o.Username, o.PasswordEnv)
	default:
		if err := fromHelper(c, o); err != nil {
			return nil, err
		}
		return c, nil // the helper's own store may be locked yet
	}
	_, err := c.get(context.Background())
	return c, err
}

// CheckCredentials returns the error with which New would refuse the credentials that
// the options name; nil: it would take them. It runs no helper.
func CheckCredentials(o Options) error {
	if _, err := newCredentials(o); err != nil {
		return fmt.Errorf("upstream %s: %w", o.Name, err)
	}
	return nil
}

// get returns the credentials as they are now.
func (c *credentials) get(ctx context.Context) (credential, error) {
	select {
	case c.lock <- struct{}{}:
		defer func() { <-c.lock }()
	case <-ctx.Done():
		return credential{}, context.Cause(ctx)
	}
	if c.last.generation > 0 && c.keep() {
		return c.last, nil
	}
	now, err := c.read(ctx)
	if err != nil {
		return credential{}, err
	}
	c.doubt.Store(false)
	now.generation = c.last.generation
	if now != c.last || now.generation == 0 {
		now.generation++
	}
	c.last = now
	return now, nil
}

// doubted says that the registry refused what was read last: sources that cannot
// tell by themselves whether it still holds are asked sooner.
func (c *credentials) doubted() { c.doubt.Store(true) }

// fromFile takes the password from a file, which is read when it has changed. A
// line break at its end is of the editor that wrote it.
func fromFile(c *credentials, username, path string) {
	var seen os.FileInfo
	c.keep = func() bool {
		now, err := os.Stat(path)
		return err == nil && os.SameFile(now, seen) && now.ModTime().Equal(seen.ModTime()) && now.Size() == seen.Size()
	}
	c.read = func(context.Context) (credential, error) {
		f, info, err := regular.Open(path)
		if err != nil {
			return credential{}, fmt.Errorf("password file: %w", err)
		}
		defer f.Close()
		seen = info
		text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return credential{}, fmt.Errorf("password file: %w", err)
		}
		secret := strings.TrimRight(string(text), "\r\n")
		switch {
		case len(text) > maxSecret:
			return credential{}, fmt.Errorf("password file %s: more than %d bytes", path, maxSecret)
		case secret == "":
			return credential{}, fmt.Errorf("password file %s: empty", path)
		}
		return credential{username: username, secret: secret}, nil
	}
}

func fromEnvironment(c *credentials, username, name string) {
	c.keep = func() bool { return true }
	c.read = func(context.Context) (credential, error) {
		secret := os.Getenv(name)
		if secret == "" {
			return credential{}, fmt.Errorf("the variable %s is not set, or empty", name)
		}
		return credential{username: username, secret: secret}, nil
	}
}
