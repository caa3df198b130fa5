package authority

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"crypto/tls"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/internal/regular"
)

// kept is a pair of files as somebody else keeps them, and a clock for who reads them.
type kept struct {
	t         testing.TB
	cert, key string
	now       time.Time
	log       *observer.ObservedLogs
	files     *Files
}

func keep(t testing.TB) *kept {
	t.Helper()
	dir := t.TempDir()
	k := &kept{t: t, cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), now: time.Now()}
	k.put(k.pair())
	core, log := observer.New(zap.InfoLevel)
	k.log = log
	var err error
	if k.files, err = NewFiles(k.cert, k.key, zap.New(core)); err != nil {
		t.Fatal(err)
	}
	k.files.now = func() time.Time { return k.now }
	return k
}

// pair makes a certificate and its key.
func (k *kept) pair() (cert, key []byte) {
	a := openIn(k.t, k.t.TempDir(), "mirror.example.com")
	leaf, err := a.Leaf(host(k.t, "mirror.example.com"))
	if err != nil {
		k.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		k.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func (k *kept) put(cert, key []byte) {
	k.t.Helper()
	for path, text := range map[string][]byte{k.cert: cert, k.key: key} {
		if text == nil {
			continue
		}
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			k.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			k.t.Fatal(err)
		}
	}
}

// shown is what a handshake shows, more than a second after the last.
func (k *kept) shown() string {
	k.t.Helper()
	k.now = k.now.Add(2 * time.Second)
	cert, err := shake(k.t, k.files.TLSConfig(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		k.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func TestARenewedCertificateIsShownWithoutARestart(t *testing.T) {
	k := keep(t)
	cert, key := k.pair()
	k.put(cert, key)
	if k.shown() != string(cert) {
		t.Error("the old one is shown")
	}
}

func TestFilesAreLookedAtOnceASecondAtMost(t *testing.T) {
	k := keep(t)
	before := k.shown()
	cert, key := k.pair()
	k.put(cert, key)
	if k.files.Current() == nil || string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.files.Current().Certificate[0]})) != before {
		t.Error("within the same second the files were read again")
	}
	if k.shown() != string(cert) {
		t.Error("two seconds later the old one is shown")
	}
}

func TestAHalfWrittenPairKeepsTheOldOneAndIsToldOnce(t *testing.T) {
	k := keep(t)
	before := k.shown()
	cert, key := k.pair()
	for name, half := range map[string][]byte{"a certificate without its key": cert, "half a certificate": cert[:len(cert)/2], "nothing": {}} {
		k.put(half, nil)
		for range 2 {
			if k.shown() != before {
				t.Errorf("with %s another one is shown", name)
			}
		}
	}
	if err := os.Remove(k.key); err != nil {
		t.Fatal(err)
	}
	if k.shown() != before {
		t.Error("without a key another one is shown")
	}
	if n := k.log.FilterLevelExact(zap.ErrorLevel).Len(); n != 1 {
		t.Errorf("the log has it %d times: %v", n, k.log.All())
	}
	k.put(cert, key)
	if k.shown() != string(cert) {
		t.Error("the whole pair is not shown")
	}
	k.put([]byte("broken"), nil)
	k.shown()
	if n := k.log.FilterLevelExact(zap.ErrorLevel).Len(); n != 2 {
		t.Errorf("of what is broken later the log has %v", k.log.All())
	}
}

func TestFilesThatCannotBeUsedAreAnErrorAtTheStart(t *testing.T) {
	k := keep(t)
	cert, _ := k.pair()
	k.put(cert, nil)
	if _, err := NewFiles(k.cert, k.key, zap.NewNop()); err == nil {
		t.Error("a certificate with another's key is taken")
	}
	if _, err := NewFiles(k.cert, k.key+".none", zap.NewNop()); err == nil {
		t.Error("a key that is not there is taken")
	}
}

// Nobody may ever write to it, and the start would wait for that.
func TestAPipeIsNoCertificateAndNoKey(t *testing.T) {
	k := keep(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{{pipe, k.key}, {k.cert, pipe}} {
		if _, err := NewFiles(pair[0], pair[1], zap.NewNop()); !errors.Is(err, regular.ErrNot) {
			t.Errorf("%v: %v", pair, err)
		}
	}
}
