package authority

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/internal/regular"
)

// lookEvery is how often a handshake looks whether the files have changed.
const lookEvery = time.Second

// Files are a certificate and its key that somebody else keeps, such as an ACME
// client. A handshake that comes after a change has the new pair. It is safe for
// concurrent use.
type Files struct {
	certPath, keyPath string
	log               *zap.Logger
	now               func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate // in force
	seen   [2]version       // what the files were when they were last read
	looked time.Time
	wrong  bool // the log has been told that what is there now cannot be used
}

// version tells one state of a file from another. A file that is renamed into place is
// another one; one that is written in place has another time or size.
type version struct{ info os.FileInfo }

func (v version) same(w version) bool {
	return v.info != nil && w.info != nil && os.SameFile(v.info, w.info) &&
		v.info.Size() == w.info.Size() && v.info.ModTime().Equal(w.info.ModTime())
}

// NewFiles reads a certificate, with those between it and its root behind it, and its
// key, both in PEM. What is wrong with them later is logged once, and the pair that was
// good before stays in force.
func NewFiles(certPath, keyPath string, log *zap.Logger) (*Files, error) {
	f := &Files{certPath: certPath, keyPath: keyPath, log: log, now: time.Now}
	seen, err := f.look()
	if err != nil {
		return nil, err
	}
	if err := f.read(seen); err != nil {
		return nil, err
	}
	f.looked = f.now()
	return f, nil
}

// TLSConfig returns what a listener with this certificate needs, with Defaults.
func (f *Files) TLSConfig() *tls.Config {
	c := Defaults()
	c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.Current(), nil }
	return c
}

// NotAfter returns when the certificate in force ends.
func (f *Files) NotAfter() time.Time { return f.Current().Leaf.NotAfter }

// Current returns the pair in force, and looks at the files first if it has not lately.
func (f *Files) Current() *tls.Certificate {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if since := now.Sub(f.looked); since >= 0 && since < lookEvery {
		return f.pair
	}
	f.looked = now
	seen, err := f.look()
	if err == nil {
		if seen[0].same(f.seen[0]) && seen[1].same(f.seen[1]) {
			return f.pair
		}
		err = f.read(seen)
	}
	switch {
	case err == nil:
		f.wrong = false
		f.log.Info("certificate read anew", zap.String("certificate", f.certPath), zap.Time("not_after", f.pair.Leaf.NotAfter))
	case !f.wrong:
		// Two files are never written at once, so this may pass by itself.
		f.wrong = true
		f.log.Error("the certificate has changed and cannot be used: the one before stays in force", zap.Error(err))
	}
	return f.pair
}

func (f *Files) look() (seen [2]version, err error) {
	for i, path := range []string{f.certPath, f.keyPath} {
		if seen[i].info, err = os.Stat(path); err != nil {
			return seen, fmt.Errorf("certificate: %w", err)
		}
	}
	return seen, nil
}

// read reads the pair that was there when seen was looked at. What comes between is
// seen the next time.
func (f *Files) read(seen [2]version) error {
	f.seen = seen
	pair, err := ReadPair(f.certPath, f.keyPath)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", f.certPath, f.keyPath, err)
	}
	f.pair = &pair
	return nil
}

// maxPEM bounds a file of certificates, or a key, in bytes.
const maxPEM = 1 << 20

// ReadPair reads a certificate and its key, as NewFiles does. The error is an
// *fs.PathError where one of them cannot be read.
func ReadPair(certPath, keyPath string) (tls.Certificate, error) {
	cert, err := regular.Read(certPath, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := regular.Read(keyPath, maxPEM)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}
