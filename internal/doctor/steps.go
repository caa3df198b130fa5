package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// dialFunc opens a connection, as net.Dialer.DialContext does.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// way is one of the two ways to a host.
type way struct {
	name wayName
	dial dialFunc
}

// Shares of the whole time that one part may take, and what it takes at most. A
// proxy has longer to answer than an address: its own attempts end in a sentence
// that is worth waiting for.
const (
	shareConnect, mostConnect = 5, 5 * time.Second
	shareTunnel, mostTunnel   = 2, 12 * time.Second
	shareTLS, mostTLS         = 4, 7 * time.Second
	shareHTTP, mostHTTP       = 3, 10 * time.Second
)

// outcomeOf sorts an error of a connection.
func outcomeOf(err error) Outcome {
	var refusal *Refusal
	var name *net.DNSError
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil:
		return OK
	case errors.As(err, &refusal) && refusal.denied():
		return Denied
	case errors.As(err, &refusal):
		return ProxyFailed
	case errors.As(err, &name) && name.IsNotFound:
		return NoName
	case errors.As(err, &name) && !name.IsTimeout:
		return DNSFailed
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT),
		errors.As(err, &timeout) && timeout.Timeout():
		return TimedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Reset
	}
	// What a routing table or a firewall's ICMP says to connect(2); EINVAL is a
	// blackhole route of this host.
	for _, number := range []syscall.Errno{
		syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EACCES, syscall.EPERM, syscall.EINVAL,
		syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
	} {
		if errors.Is(err, number) {
			return Unreachable
		}
	}
	return Failed
}

// words are what an outcome is told as where there is nothing better to say.
var words = map[Outcome]string{
	NoName: "no such name", DNSFailed: "no resolver could answer", TimedOut: "times out", Refused: "refuses the connection",
	Reset: "the connection is cut", Unreachable: "no route", NotHTTP: "the answer is no HTTP",
}

// sentenceOf tells what an error means, after such a time.
func sentenceOf(err error, took time.Duration) string {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		if refusal.denied() {
			return "refused: " + refusal.Error()
		}
		return "the proxy says: " + refusal.Error()
	}
	o := outcomeOf(err)
	text, ok := words[o]
	switch {
	case !ok:
		return err.Error()
	case o == TimedOut:
		return text + " after " + short(took)
	}
	return text
}

// short is a time as a reader wants it: three digits at most.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// tls is the handshake. The certificate is checked when it is done, so that a
// certificate that is not to be trusted can still be named; nothing is sent to a
// host that shows one. A nil connection: the walk ends here.
func (r *run) tls(ctx context.Context, w way, t Target, c net.Conn) net.Conn {
	s := r.begin(w.name, t.String(), stepTLS)
	ctx, cancel := r.bound(ctx, shareTLS, mostTLS)
	defer cancel()
	secured, certificate, err := r.secure(ctx, c, t.Host)
	if err != nil {
		r.failed(s, err)
		return nil
	}
	s.Certificate = certificate
	r.end(s, OK, fmt.Sprintf("by %s, %s", certificate.Issuer, short(time.Since(s.began))))
	return secured
}

// handshakeError is a fault of TLS, with the certificate if one was shown.
type handshakeError struct {
	certificate *Certificate
	err         error
}

func (e *handshakeError) Error() string { return "TLS: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// secure shakes hands and checks the certificate. Its errors are *handshakeError.
func (r *run) secure(ctx context.Context, c net.Conn, host string) (net.Conn, *Certificate, error) {
	secured := tls.Client(c, &tls.Config{
		ServerName: host,
		NextProtos: []string{"http/1.1"},
		// verify does the same a moment later, and knows what it has refused.
		InsecureSkipVerify: true,
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, nil, &handshakeError{nil, err}
	}
	chain := secured.ConnectionState().PeerCertificates
	leaf := chain[0]
	certificate := &Certificate{
		Subject: clean(nameOf(leaf.Subject.CommonName, leaf.Subject.Organization, leaf.DNSNames)),
		Issuer:  clean(issuerOf(leaf)), From: leaf.NotBefore.UTC(), Until: leaf.NotAfter.UTC(),
	}
	if err := verify(chain, host, r.Roots); err != nil {
		return nil, nil, &handshakeError{certificate, err}
	}
	return secured, certificate, nil
}

func verify(chain []*x509.Certificate, host string, roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return err
}

func issuerOf(leaf *x509.Certificate) string {
	name := nameOf(leaf.Issuer.CommonName, leaf.Issuer.Organization, nil)
	if o := strings.Join(leaf.Issuer.Organization, ", "); o != "" && o != name {
		name += " (" + o + ")"
	}
	return name
}

func nameOf(common string, organization, names []string) string {
	switch {
	case common != "":
		return common
	case len(organization) > 0:
		return organization[0]
	case len(names) > 0:
		return names[0]
	}
	return "nobody"
}

// tlsTrouble tells what is wrong with a handshake or a certificate.
func tlsTrouble(err error, c *Certificate, took time.Duration) (Outcome, string) {
	var record tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	const day = time.DateOnly
	switch {
	case errors.As(err, &record):
		return NotTLS, "answers, but not with TLS"
	// A date is told ahead of an unknown authority: it is what a clock gone wrong
	// makes of any certificate.
	case c != nil && time.Now().Before(c.From):
		return NotYetValid, fmt.Sprintf("certificate valid from %s, by this clock that is to come", c.From.Format(day))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Expired, fmt.Sprintf("certificate of %s ran out on %s", c.Issuer, c.Until.Format(day))
	case errors.As(err, &unknown):
		return UnknownAuthority, "certificate by " + c.Issuer + ", which this host does not know"
	case errors.As(err, &name):
		return WrongName, fmt.Sprintf("certificate is for %s, by %s", c.Subject, c.Issuer)
	case c != nil:
		return UnknownAuthority, fmt.Sprintf("certificate by %s: %v", c.Issuer, err)
	}
	switch o := outcomeOf(err); o {
	case TimedOut:
		return o, "connected, then no answer in " + short(took)
	case Reset, Refused:
		return Reset, "cut off during the handshake"
	}
	return Failed, err.Error()
}
