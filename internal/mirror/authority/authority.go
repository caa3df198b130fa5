// Package authority is the mirror's own certificate authority, and the certificate
// files of those who have another one.
//
// Whoever trusts the authority trusts it for little: critical name constraints (RFC
// 5280, section 4.2.1.10) permit the configured registries, their blob hosts and the
// mirror's own names and addresses, with what is below a name, and no other host, so
// that even with its key nobody can pass for another site. It signs servers' certificates alone,
// and no authority below it. Its leaves live for a week and are made when they are
// asked for, with a key of their own that is never written.
//
// Who connects, and what is said inside TLS, is left to others.
package authority

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/acl"
)

// file holds the key and the certificate, both in PEM: one file, so that no crash and
// no second process can leave a key with the certificate of another.
const file = "authority.pem"

// Times of the authority and its leaves.
const (
	// lifetime is that of the authority. An end of it means a visit to every client,
	// so it is long; the constraints are what bounds the harm.
	lifetime = 10 * 365 * 24 * time.Hour
	// leafLifetime is that of a leaf: it cannot be revoked, so it ends soon.
	leafLifetime = 7 * 24 * time.Hour
	// skew is how far a client's clock may be behind.
	skew = 24 * time.Hour
	// warnBefore is for how long the end of the authority is announced.
	warnBefore = 60 * 24 * time.Hour
)

// Authority signs certificates for a fixed set of names. It is safe for concurrent
// use, and does not notice when its file is changed: Open it anew for that.
type Authority struct {
	path      string
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	uncovered []string
	slots     map[string]*slot // by name, in its one spelling; immutable
	now       func() time.Time
}

// Open loads the authority in a directory, or makes one there where there is none,
// with a directory for its owner alone. names are the host names and addresses that
// certificates will be asked for. Those that an authority made earlier does not cover
// are no error but a Warning: it works for the others, and no new one is made that
// clients would have to be told of. The errors are ErrExpired, ErrForeign, and those of
// the file system.
func Open(dir string, names []string) (*Authority, error) {
	return open(dir, names, time.Now)
}

func open(dir string, names []string, now func() time.Time) (*Authority, error) {
	hosts, err := parseNames(names)
	if err != nil {
		return nil, err
	}
	a, err := load(filepath.Join(dir, file), now)
	if isMissing(err) {
		if err = create(dir, hosts, now, false); err == nil {
			a, err = load(filepath.Join(dir, file), now) // another process may have been quicker
		}
	}
	if err != nil {
		return nil, err
	}
	a.serve(hosts)
	return a, nil
}

// Find is Open for an authority that is there: where there is none it makes none, and
// the error is fs.ErrNotExist.
func Find(dir string, names []string) (*Authority, error) {
	hosts, err := parseNames(names)
	if err != nil {
		return nil, err
	}
	a, err := load(filepath.Join(dir, file), time.Now)
	if err != nil {
		return nil, err
	}
	a.serve(hosts)
	return a, nil
}

// Renew makes a new authority for these names and puts it in the place of the one in
// the directory, if there is one. Every client has to be told to trust it; a mirror
// that runs goes on with the old one until it opens this.
func Renew(dir string, names []string) (*Authority, error) {
	hosts, err := parseNames(names)
	if err != nil {
		return nil, err
	}
	if err := create(dir, hosts, time.Now, true); err != nil {
		return nil, err
	}
	a, err := load(filepath.Join(dir, file), time.Now)
	if err != nil {
		return nil, err
	}
	a.serve(hosts)
	return a, nil
}

// serve makes places for the leaves of those names that clients will accept.
func (a *Authority) serve(hosts []acl.Host) {
	a.slots = make(map[string]*slot, len(hosts))
	for _, h := range hosts {
		if !a.covers(h) {
			a.uncovered = append(a.uncovered, h.String())
			continue
		}
		a.slots[h.String()] = &slot{names: []acl.Host{h}}
	}
}

// parseNames brings names into their one spelling, each once and in a fixed order.
func parseNames(names []string) ([]acl.Host, error) {
	var hosts []acl.Host
	for _, name := range names {
		h, err := acl.ParseHost(name)
		if err != nil || strings.Contains(name, "*") {
			return nil, fmt.Errorf("certificate for %q: it is neither a host name nor an address", name)
		}
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, func(a, b acl.Host) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(hosts), nil
}

// covers tells whether the constraints permit a name.
func (a *Authority) covers(h acl.Host) bool {
	if h.IsAddr() {
		return slices.ContainsFunc(prefixes(a.cert.PermittedIPRanges), func(p netip.Prefix) bool { return p.Contains(h.Addr()) })
	}
	return slices.ContainsFunc(a.cert.PermittedDNSDomains, func(d string) bool {
		// A name permits what is below it as well, by RFC 5280.
		return h.Name() == d || strings.HasSuffix(h.Name(), "."+d)
	})
}

// Covers tells whether there are certificates for a host: it is one of the names that
// the authority was opened for, and clients that trust it will accept that.
func (a *Authority) Covers(h acl.Host) bool { return a.slots[h.String()] != nil }

// PEM returns the certificate, without its key.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Certificate returns the certificate. The caller must not change it.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Fingerprint returns the SHA-256 of the certificate as openssl x509 -fingerprint
// prints it: pairs of capital hex digits with colons.
func (a *Authority) Fingerprint() string { return Fingerprint(a.cert) }

// Fingerprint is the SHA-256 of any certificate, written alike.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = strings.ToUpper(hex.EncodeToString([]byte{b}))
	}
	return strings.Join(pairs, ":")
}

// Warning says what clients will not accept and what to do, or "" when all is well.
func (a *Authority) Warning() string {
	if len(a.uncovered) > 0 {
		return fmt.Sprintf("the certificate authority in %s was made before %s was configured, and no client would accept its certificate for that; %s",
			a.path, strings.Join(a.uncovered, ", "), remedy)
	}
	if left := a.cert.NotAfter.Sub(a.now()); left < warnBefore {
		return fmt.Sprintf("the certificate authority in %s ends on %s; %s", a.path, a.cert.NotAfter.Format(time.DateOnly), remedy)
	}
	return ""
}

// Uncovered returns the names of Open that the authority does not cover.
func (a *Authority) Uncovered() []string { return slices.Clone(a.uncovered) }
