package authority

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/acl"
	"sluice/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openIn(t testing.TB, dir string, names ...string) *Authority {
	t.Helper()
	a, err := Open(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func host(t testing.TB, name string) acl.Host {
	t.Helper()
	h, err := acl.ParseHost(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func pool(a *Authority) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// forged is a leaf that whoever has stolen the key makes, for any host.
func forged(t testing.TB, a *Authority, names ...string) *x509.Certificate {
	t.Helper()
	var hosts []acl.Host
	for _, n := range names {
		hosts = append(hosts, host(t, n))
	}
	leaf, err := a.mint(hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return leaf.Leaf
}

// byGo and byOpenSSL verify a leaf for a server of that name, trusting the authority
// alone.
func byGo(a *Authority, leaf *x509.Certificate, name string) error {
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: pool(a)})
	return err
}

func byOpenSSL(t testing.TB, a *Authority, leaf *x509.Certificate, name string) error {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		lab.LeaveOut(t, "what OpenSSL makes of the certificates: "+err.Error())
	}
	dir := t.TempDir()
	ca, file := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	write := func(path string, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(ca, a.PEM())
	write(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}))
	asked := []string{"-verify_hostname", name}
	if net.ParseIP(name) != nil {
		asked[0] = "-verify_ip"
	}
	args := append([]string{"verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", "-CAfile", ca}, asked...)
	out, err := exec.Command("openssl", append(args, file)...).CombinedOutput()
	if err != nil {
		return &opensslError{string(out)}
	}
	return nil
}

type opensslError struct{ text string }

func (e *opensslError) Error() string { return e.text }

// shake has a client shake hands with a server, and returns what the client was shown.
func shake(t testing.TB, server *tls.Config, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		if c, err := ln.Accept(); err == nil {
			c.SetDeadline(time.Now().Add(10 * time.Second))
			c.(*tls.Conn).Handshake()
			c.Read(make([]byte, 1))
			c.Close()
		}
	}()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", ln.Addr().String(), client)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0], nil
}
