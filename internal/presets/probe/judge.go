package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// Verdict is what a probe says of a host, in one word. PRESETS.md has what each
// means.
type Verdict string

// All verdicts.
const (
	OK        Verdict = "ok"
	Plain     Verdict = "plain"
	NotProbed Verdict = "not_probed"
	NoName    Verdict = "no_name"
	NoAnswer  Verdict = "no_answer"
	WrongName Verdict = "wrong_name"
	Unclear   Verdict = "unclear"
)

// Verdicts lists all verdicts.
func Verdicts() []Verdict {
	return []Verdict{OK, Plain, NotProbed, NoName, NoAnswer, WrongName, Unclear}
}

// stale tells whether the host looks as if it were none of the vendor's any more.
func (v Verdict) stale() bool { return v == NoName || v == NoAnswer || v == WrongName }

// refused is a proxy's answer to a CONNECT that it does not carry out.
type refused struct {
	status int
	phrase string
	kind   string // error of Proxy-Status (RFC 9209); "" when it has none
}

func (e *refused) Error() string { return fmt.Sprintf("the proxy says %d %s", e.status, e.phrase) }

var proxyError = regexp.MustCompile(`;\s*error=([a-z_]+)`)

func refusal(answer *http.Response) error {
	_, phrase, _ := strings.Cut(answer.Status, " ")
	e := &refused{status: answer.StatusCode, phrase: printable(phrase)}
	if m := proxyError.FindStringSubmatch(answer.Header.Get("Proxy-Status")); m != nil {
		e.kind = m[1]
	}
	return e
}

// verdict tells the faults of the host from those of the proxy, and from rules that
// do not let this machine reach the host.
func (e *refused) verdict() Verdict {
	switch {
	case e.kind == "dns_error":
		return NoName
	case e.kind == "connection_refused", e.kind == "connection_timeout", e.kind == "destination_ip_unroutable":
		return NoAnswer
	case e.kind == "" && (e.status == http.StatusBadGateway || e.status == http.StatusGatewayTimeout):
		return NoAnswer
	}
	return Unclear
}

// judge says what came of a request by https.
func judge(host string, err error) (Verdict, string) {
	var (
		proxy     *refused
		wrong     x509.HostnameError
		untrusted *tls.CertificateVerificationError
		dns       *net.DNSError
		op        *net.OpError
	)
	switch {
	case err == nil:
		return OK, ""
	case errors.As(err, &proxy):
		return proxy.verdict(), proxy.Error()
	case errors.As(err, &op) && (op.Op == "proxyconnect" || op.Op == "socks connect"):
		return throughProxy(op)
	case errors.As(err, &wrong):
		return WrongName, fmt.Sprintf("its certificate is for %s", names(wrong.Certificate))
	case errors.As(err, &untrusted):
		return Unclear, "its certificate is not trusted here: " + printable(untrusted.Err.Error())
	case errors.As(err, &dns) && dns.IsNotFound:
		return NoName, "it does not resolve"
	case errors.As(err, &dns):
		return Unclear, "it cannot be looked up: " + printable(dns.Err)
	case errors.Is(err, context.DeadlineExceeded):
		return NoAnswer, "it does not answer in time"
	case errors.Is(err, context.Canceled):
		return NotProbed, "the check was ended"
	}
	return NoAnswer, "it does not answer: " + printable(err.Error())
}

// throughProxy tells a proxy that cannot be used from one that cannot reach the
// host. A SOCKS5 proxy has replies for the latter (RFC 1928, section 6), which
// net/http has as text alone; an HTTP proxy's answer is a *refused.
func throughProxy(op *net.OpError) (Verdict, string) {
	text := printable(op.Err.Error())
	for _, reply := range [...]string{"host unreachable", "connection refused", "network unreachable"} {
		if op.Op == "socks connect" && strings.HasSuffix(text, " "+reply) {
			return NoAnswer, "the proxy says: " + reply
		}
	}
	return Unclear, "the proxy cannot be used: " + text
}

// names are those that a certificate is for, in a few words.
func names(c *x509.Certificate) string {
	list := c.DNSNames
	const most = 3
	switch {
	case len(list) == 0:
		return printable(c.Subject.String())
	case len(list) > most:
		return printable(strings.Join(list[:most], ", ")) + fmt.Sprintf(" and %d more", len(list)-most)
	}
	return printable(strings.Join(list, ", "))
}

// printable keeps what others have sent from steering a terminal.
func printable(s string) string {
	const most = 200
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
