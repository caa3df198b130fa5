package authority

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var configured = []string{"registry-1.docker.io", "production.cloudflare.docker.com", "ghcr.io", "mirror.example.com", "192.0.2.7", "2001:db8::7"}

// Whoever has the key can sign what he likes, and clients take none of it but for the
// configured names.
func TestALeafForAnotherNameIsAcceptedByNobody(t *testing.T) {
	all := openIn(t, t.TempDir(), configured...)
	onlyNames := openIn(t, t.TempDir(), "ghcr.io")
	onlyAddress := openIn(t, t.TempDir(), "192.0.2.7")
	for _, x := range []struct {
		authority *Authority
		names     []string // of the leaf
		good      bool
	}{
		{all, []string{"registry-1.docker.io"}, true},
		{all, []string{"ghcr.io"}, true},
		{all, []string{"192.0.2.7"}, true},
		{all, []string{"2001:db8::7"}, true},
		{all, []string{"mirror.example.com", "192.0.2.7", "2001:db8::7"}, true},
		{all, []string{"example.com"}, false},
		{all, []string{"docker.io"}, false},
		{all, []string{"auth.docker.io"}, false},
		{all, []string{"evilghcr.io"}, false},
		{all, []string{"ghcr.io.example.net"}, false},
		{all, []string{"192.0.2.8"}, false},
		{all, []string{"2001:db8::8"}, false},
		{all, []string{"ghcr.io", "example.net"}, false},
		{onlyNames, []string{"ghcr.io"}, true},
		{onlyNames, []string{"192.0.2.7"}, false},
		{onlyNames, []string{"2001:db8::7"}, false},
		{onlyAddress, []string{"192.0.2.7"}, true},
		{onlyAddress, []string{"example.com"}, false},
		{onlyAddress, []string{"2001:db8::7"}, false},
	} {
		t.Run(strings.Join(x.names, " "), func(t *testing.T) {
			leaf := forged(t, x.authority, x.names...)
			if err := byGo(x.authority, leaf, x.names[0]); (err == nil) != x.good {
				t.Errorf("Go says %v", err)
			}
			if err := byOpenSSL(t, x.authority, leaf, x.names[0]); (err == nil) != x.good {
				t.Errorf("openssl verify says %v", err)
			}
		})
	}
}

// An authority that the key signs, to have one without constraints, is none.
func TestNoAuthorityIsAcceptedBelowIt(t *testing.T) {
	a := openIn(t, t.TempDir(), "ghcr.io")
	sub, err := a.mint(nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	template := *sub.Leaf
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	template.Subject.CommonName = "below"
	der, err := x509.CreateCertificate(nil, &template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	below, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	leaf := forged(t, &Authority{cert: below, key: a.key}, "ghcr.io")
	between := x509.NewCertPool()
	between.AddCert(below)
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: "ghcr.io", Roots: pool(a), Intermediates: between})
	if err == nil {
		t.Error("a leaf of an authority below it is accepted")
	}
}

func TestItIsForServersAlone(t *testing.T) {
	a := openIn(t, t.TempDir(), "ghcr.io")
	_, err := forged(t, a, "ghcr.io").Verify(x509.VerifyOptions{Roots: pool(a), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err == nil {
		t.Error("a leaf is accepted from a client")
	}
}

func TestTheKeyIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "authority")
	openIn(t, dir, "ghcr.io")
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, file): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 1 {
		t.Errorf("beside the key there is something left: %v", entries)
	}
	if err := os.Chmod(filepath.Join(dir, file), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, []string{"ghcr.io"}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read is used: %v", err)
	}
}

func TestARestartFindsTheAuthorityThatClientsTrust(t *testing.T) {
	dir := t.TempDir()
	before := openIn(t, dir, "ghcr.io")
	after := openIn(t, dir, "ghcr.io")
	if !bytes.Equal(before.PEM(), after.PEM()) || before.Fingerprint() != after.Fingerprint() {
		t.Error("it is another one")
	}
	leaf, err := after.Leaf(host(t, "ghcr.io"))
	if err != nil {
		t.Fatal(err)
	}
	if err := byGo(before, leaf.Leaf, "ghcr.io"); err != nil {
		t.Error(err)
	}
}

func TestTwoProcessesThatStartAtOnceHaveOneAuthority(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	seen := make([]string, 16)
	for i := range seen {
		wg.Go(func() {
			if a, err := Open(dir, []string{"ghcr.io"}); err == nil {
				seen[i] = a.Fingerprint()
			}
		})
	}
	wg.Wait()
	if slices.Sort(seen); seen[0] == "" || len(slices.Compact(seen)) != 1 {
		t.Errorf("there are several, or none: %v", seen)
	}
}

func TestANameThatIsNotCoveredIsAWarningAndNoNewAuthority(t *testing.T) {
	dir := t.TempDir()
	before := openIn(t, dir, "ghcr.io", "192.0.2.7")
	if w := before.Warning(); w != "" {
		t.Errorf("it warns: %s", w)
	}
	a := openIn(t, dir, "ghcr.io", "quay.io", "192.0.2.9")
	if a.Fingerprint() != before.Fingerprint() {
		t.Error("there is a new authority")
	}
	if got := a.Uncovered(); !slices.Equal(got, []string{"192.0.2.9", "quay.io"}) {
		t.Errorf("uncovered are %v", got)
	}
	for _, part := range []string{"192.0.2.9, quay.io", "sluice-mirror ca renew", dir} {
		if w := a.Warning(); !strings.Contains(w, part) {
			t.Errorf("%q is not in the warning: %s", part, w)
		}
	}
	if _, err := a.Leaf(host(t, "ghcr.io")); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"quay.io", "192.0.2.7", "sub.ghcr.io"} {
		if _, err := a.Leaf(host(t, name)); !errors.Is(err, ErrNotCovered) || a.Covers(host(t, name)) {
			t.Errorf("a leaf for %s: %v", name, err)
		}
	}
	renewed, err := Renew(dir, []string{"ghcr.io", "quay.io"})
	if err != nil {
		t.Fatal(err)
	}
	if renewed.Warning() != "" || renewed.Fingerprint() == before.Fingerprint() || renewed.cert.Subject.String() == before.cert.Subject.String() {
		t.Errorf("renewed it is %s, and warns: %s", renewed.cert.Subject, renewed.Warning())
	}
	if again := openIn(t, dir, "quay.io"); again.Fingerprint() != renewed.Fingerprint() {
		t.Error("a restart finds another than the renewed one")
	}
}

func TestWhatIsNoNameOfAHostIsRefused(t *testing.T) {
	for _, name := range []string{"", "*.docker.io", "a b", "ghcr.io:443", "https://ghcr.io", "fe80::1%lo"} {
		if _, err := Open(t.TempDir(), []string{name}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}

func TestAFileThatIsNotItsOwnIsNotReplaced(t *testing.T) {
	key := func(dir string) string {
		openIn(t, dir, "ghcr.io")
		text, _ := os.ReadFile(filepath.Join(dir, file))
		return string(text)
	}
	one, other := key(t.TempDir()), key(t.TempDir())
	cut := strings.Index(one, "-----BEGIN CERTIFICATE")
	for name, text := range map[string]string{
		"empty":               "",
		"no PEM":              "hello\n",
		"a key alone":         one[:cut],
		"a certificate alone": one[cut:],
		"another's key":       other[:strings.Index(other, "-----BEGIN CERTIFICATE")] + one[cut:],
		"cut off":             one[:len(one)-40],
		"garbled":             strings.Replace(one, "MIG", "AAA", 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, []string{"ghcr.io"}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "ca renew") {
				t.Errorf("it says %v", err)
			}
			if now, _ := os.ReadFile(filepath.Join(dir, file)); string(now) != text {
				t.Error("it was changed")
			}
		})
	}
}

func TestAnAuthorityNearItsEndSaysSo(t *testing.T) {
	dir := t.TempDir()
	a := openIn(t, dir, "ghcr.io")
	at := func(d time.Duration) func() time.Time { return func() time.Time { return a.cert.NotAfter.Add(d) } }
	late, err := open(dir, []string{"ghcr.io"}, at(-30*24*time.Hour))
	if err != nil || !strings.Contains(late.Warning(), "ends on") {
		t.Errorf("a month before: %v", err)
	}
	if _, err := open(dir, []string{"ghcr.io"}, at(time.Hour)); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "ca renew") {
		t.Errorf("after: %v", err)
	}
}

func TestALeafLivesAWeekAndIsRenewedInTime(t *testing.T) {
	a := openIn(t, t.TempDir(), "ghcr.io")
	now := time.Now()
	a.now = func() time.Time { return now }
	h := host(t, "ghcr.io")
	leaf := func() *tls.Certificate {
		c, err := a.Leaf(h)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := leaf()
	if left := first.Leaf.NotAfter.Sub(now); left > 7*24*time.Hour || left < 6*24*time.Hour {
		t.Errorf("it lives for %v", left)
	}
	if now = now.Add(3 * 24 * time.Hour); leaf() != first {
		t.Error("it is made anew too soon")
	}
	now = now.Add(24 * time.Hour)
	second := leaf()
	if second == first || first.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(second.Leaf.PublicKey) {
		t.Error("it is not made anew")
	}
	if now = now.Add(-30 * 24 * time.Hour); leaf() == second {
		t.Error("after a clock that was wrong has been set, it is one from the future")
	}
}

func TestAThousandHandshakesAtOnceMakeOneLeaf(t *testing.T) {
	a := openIn(t, t.TempDir(), "ghcr.io")
	h := host(t, "ghcr.io")
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[*tls.Certificate]bool{}
	for range 1000 {
		wg.Go(func() {
			c, err := a.Leaf(h)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			seen[c] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(seen) != 1 {
		t.Errorf("%d were made", len(seen))
	}
}

func TestAListenerHasOneCertificateForAllItsNames(t *testing.T) {
	a := openIn(t, t.TempDir(), configured...)
	server, err := a.TLSConfig([]string{"mirror.example.com", "192.0.2.7", "not.covered.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mirror.example.com", "192.0.2.7"} {
		if _, err := shake(t, server, &tls.Config{ServerName: name, RootCAs: pool(a)}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = shake(t, server, &tls.Config{ServerName: "ghcr.io", RootCAs: pool(a)})
	var wrong x509.HostnameError
	if !errors.As(err, &wrong) {
		t.Errorf("under another name the client says %v", err)
	}
	if _, err := shake(t, server, &tls.Config{ServerName: "mirror.example.com", RootCAs: pool(a), MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if _, err := a.TLSConfig([]string{"not.covered.example"}); !errors.Is(err, ErrNotCovered) {
		t.Errorf("of names that are not covered: %v", err)
	}
}
