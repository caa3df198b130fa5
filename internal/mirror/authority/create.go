package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"sluice/acl"
)

// What may be wrong with an authority that is there.
var (
	// ErrExpired says that no client accepts the authority any more.
	ErrExpired = errors.New("the certificate authority has ended")
	// ErrForeign says that the file holds something that this program has not made, or
	// somebody has changed.
	ErrForeign = errors.New("this is no certificate authority of this program")
)

const remedy = `"sluice-mirror ca renew" makes a new one, and every client has to be set up with it anew`

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// load reads the authority in a file.
func load(path string, now func() time.Time) (*Authority, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("certificate authority: %s holds a key that others than its owner may read or change: run chmod 600 on it, and %s if they may have", path, remedy)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	a := &Authority{path: path, now: now}
	if err := a.parse(text); err != nil {
		return nil, fmt.Errorf("%w: %s: %w; %s", ErrForeign, path, err, remedy)
	}
	if t := now(); t.After(a.cert.NotAfter) {
		return nil, fmt.Errorf("%w: %s was good until %s; %s", ErrExpired, path, a.cert.NotAfter.Format(time.DateOnly), remedy)
	}
	return a, nil
}

// parse reads a key and its certificate.
func (a *Authority) parse(text []byte) error {
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		switch block.Type {
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return err
			}
			var ok bool
			if a.key, ok = key.(*ecdsa.PrivateKey); !ok {
				return errors.New("its key is not for ECDSA")
			}
		case "CERTIFICATE":
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err
			}
			a.cert = cert
		}
	}
	switch {
	case a.key == nil || a.cert == nil:
		return errors.New("it lacks the key or the certificate")
	case !a.key.PublicKey.Equal(a.cert.PublicKey):
		return errors.New("its key is not that of the certificate")
	case !a.cert.IsCA || !a.cert.MaxPathLenZero || !a.cert.PermittedDNSDomainsCritical:
		return errors.New("it has no name constraints that clients must heed")
	}
	return nil
}

// create makes an authority and puts it into its directory: in the place of one that
// is there if replace says so, else only where there is none, without an error.
func create(dir string, hosts []acl.Host, now func() time.Time, replace bool) error {
	text, err := generate(hosts, now())
	if err != nil {
		return fmt.Errorf("make a certificate authority: %w", err)
	}
	if err := write(dir, text, replace); err != nil {
		return fmt.Errorf("keep the certificate authority: %w", err)
	}
	return nil
}

// generate makes a key and the certificate that it signs for itself, in PEM.
func generate(hosts []acl.Host, now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template, err := constrained(hosts, now)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}

// constrained is the authority's certificate. Its subject has a part at random: of two
// authorities with one subject, an old one and its successor, verifiers pick the wrong.
func constrained(hosts []acl.Host, now time.Time) (*x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "sluice-mirror authority " + hex.EncodeToString(serial.Bytes()[:4])},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(lifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign,
		// For servers only: Go's and OpenSSL's verifiers hold an authority's leaves to it.
		ExtKeyUsage:                 []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		PermittedDNSDomainsCritical: true,
	}
	for _, h := range hosts {
		if h.IsAddr() {
			c.PermittedIPRanges = append(c.PermittedIPRanges, network(netip.PrefixFrom(h.Addr(), h.Addr().BitLen())))
		} else {
			c.PermittedDNSDomains = append(c.PermittedDNSDomains, h.Name())
		}
	}
	exclude(c)
	return c, nil
}

// exclude closes the kinds of hosts that nothing is permitted of: constraints bind only
// those kinds that they mention (RFC 5280, section 4.2.1.10).
func exclude(c *x509.Certificate) {
	if len(c.PermittedDNSDomains) == 0 {
		c.ExcludedDNSDomains = []string{""}
	}
	v4, v6 := false, false
	for _, p := range prefixes(c.PermittedIPRanges) {
		v4, v6 = v4 || p.Addr().Is4(), v6 || p.Addr().Is6()
	}
	if !v4 {
		c.ExcludedIPRanges = append(c.ExcludedIPRanges, network(netip.PrefixFrom(netip.IPv4Unspecified(), 0)))
	}
	if !v6 {
		c.ExcludedIPRanges = append(c.ExcludedIPRanges, network(netip.PrefixFrom(netip.IPv6Unspecified(), 0)))
	}
}

// serialNumber has 127 bits at random, and never fewer than 4 bytes.
func serialNumber() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	return n.SetBit(n, 126, 1), nil
}

func network(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixes(list []*net.IPNet) []netip.Prefix {
	var all []netip.Prefix
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok {
			bits, _ := n.Mask.Size()
			all = append(all, netip.PrefixFrom(a, bits))
		}
	}
	return all
}

// write puts the file into its directory in one step, and on the disk. Where it need
// not replace one, the first of two processes wins.
func write(dir string, text []byte, replace bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".authority-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // a rename has taken it away
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	path := filepath.Join(dir, file)
	if replace {
		err = os.Rename(f.Name(), path)
	} else if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	return syncDirectory(dir)
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
