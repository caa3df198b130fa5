package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/acl"
)

// ErrNotCovered says that there is no certificate for a name.
var ErrNotCovered = errors.New("the certificate authority has no certificate for this name")

// slot is the place of one leaf. Who comes while it is made waits for it.
type slot struct {
	names []acl.Host

	mu    sync.Mutex
	leaf  *tls.Certificate // nil: none was asked for yet
	renew time.Time        // when the next who asks has another one made
}

// Leaf returns a certificate for one host, which is Covered. It is made when it is
// first asked for, and anew in half its lifetime.
func (a *Authority) Leaf(h acl.Host) (*tls.Certificate, error) {
	s := a.slots[h.String()]
	if s == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotCovered, h)
	}
	return a.from(s)
}

// TLSConfig is that of a listener which is reached under these names and addresses:
// one certificate has those of them that the authority covers, whatever a client calls
// the server, so that the client itself says what name it misses. The error is that
// there is none.
func (a *Authority) TLSConfig(names []string) (*tls.Config, error) {
	hosts, err := parseNames(names)
	if err != nil {
		return nil, err
	}
	s := &slot{}
	for _, h := range hosts {
		if a.covers(h) {
			s.names = append(s.names, h)
		}
	}
	if len(s.names) == 0 {
		return nil, fmt.Errorf("%w: %v; %s", ErrNotCovered, names, remedy)
	}
	c := Defaults()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.from(s) }
	return c, nil
}

// Defaults is what every TLS server of the mirror agrees to: TLS 1.2 or later with
// Go's own choice of ciphers, HTTP/2 and HTTP/1.1. Every call returns another one.
func Defaults() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
}

// from returns the leaf of a slot, and makes it if it is not there or is old.
func (a *Authority) from(s *slot) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := a.now()
	if s.leaf != nil && now.Before(s.renew) && !now.Before(s.leaf.Leaf.NotBefore) {
		return s.leaf, nil
	}
	leaf, err := a.mint(s.names, now)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", s.names[0], err)
	}
	s.leaf, s.renew = leaf, now.Add(leafLifetime/2)
	return leaf, nil
}

// mint signs a leaf with a key of its own.
func (a *Authority) mint(hosts []acl.Host, now time.Time) (*tls.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	// No subject: names stand where RFC 6125 wants them, and a common name would be
	// one more that constraints have to be held against.
	template := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-skew),
		NotAfter:     now.Add(leafLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if h.IsAddr() {
			template.IPAddresses = append(template.IPAddresses, h.Addr().AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, h.Name())
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
