package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"

	"sluice/acl"
	"sluice/internal/egress"
)

// origin is scheme, host and port in one spelling (RFC 9110, section 4.3.1): what
// credentials belong to.
type origin struct {
	scheme string
	host   acl.Host
	port   uint16
}

func originOf(u *url.URL) (origin, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	t, err := parseTarget(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return origin{}, err
	}
	if t.Port == 0 {
		return origin{}, errors.New("there is no port 0")
	}
	return origin{u.Scheme, t.Host, t.Port}, nil
}

func (o origin) String() string { return o.scheme + "://" + o.host.Join(o.port) }

// onward is where an upstream may send its client from here: http or https, but not
// from the one back to the other, and without user information, which would be
// somebody's credentials. What it returns has a host in the spelling that was
// vetted.
func (o origin) onward(u *url.URL) (origin, error) {
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return origin{}, fmt.Errorf("scheme %q", printable(u.Scheme))
	case u.User != nil:
		return origin{}, errors.New("user information in the URL")
	case o.scheme == "https" && u.Scheme == "http":
		return origin{}, errors.New("from https to http")
	}
	return originOf(u)
}

// refuses returns why a host may not be asked through a proxy, or nil. The proxy
// looks names up and dials, from a network of its own that it may guard badly; what
// tells by itself that it is not public never gets there. Without a proxy the
// dialer vets what it dials.
func (r *Registry) refuses(o origin) error {
	if !r.proxied {
		return nil
	}
	a := o.host.Addr()
	if name := o.host.Name(); name == "localhost" || strings.HasSuffix(name, ".localhost") {
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1}) // RFC 6761, section 6.3
	}
	if !a.IsValid() {
		return nil
	}
	if failure := r.dialerFor(egress.Target{Host: o.host, Port: o.port}).Refuses(netip.AddrPortFrom(a, o.port)); failure != nil {
		return failure
	}
	return nil
}

// realm reads the address of a token server from a challenge, and tells whether it
// may be asked, with the mirror's own credentials if own.
func (r *Registry) realm(text string, own bool) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, r.refuse(errors.New("the token server's address cannot be read"))
	}
	to, err := r.home.onward(u)
	if err != nil {
		return nil, r.refuse(fmt.Errorf("token server %s: %w", printable(u.Host), err))
	}
	if own && !r.mayHaveCredentials(to) {
		return nil, r.refuse(fmt.Errorf("the credentials do not go to the token server %s, which is neither %s nor on its domain: if that is right, name it in realm", to, r.home.host))
	}
	u.Fragment = ""
	return u, nil
}

// mayHaveCredentials tells whether the mirror's own credentials may go to a token
// server: one on the upstream's host, on its registered domain (registry-1.docker.io
// and auth.docker.io), or the one that the configuration names. Addresses have no
// domain. Only where the upstream itself is http may the token server be.
func (r *Registry) mayHaveCredentials(to origin) bool {
	switch {
	case to.scheme != "https" && r.home.scheme == "https":
		return false
	case to.host == r.home.host || r.isTrusted(to):
		return true
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(r.home.host.Name())
	return err == nil && (to.host.Name() == domain || strings.HasSuffix(to.host.Name(), "."+domain))
}

// isHost tells whether a text is a host or a host with a port.
func isHost(s string) bool {
	if _, err := parseTarget(s); err == nil {
		return true
	}
	_, err := acl.ParseHost(s)
	return err == nil
}

// isTrusted tells whether the configuration names the token server, by host or by
// host and port.
func (r *Registry) isTrusted(to origin) bool {
	if r.trusted == "" {
		return false
	}
	if t, err := parseTarget(r.trusted); err == nil && t.Port != 0 {
		return t.Host == to.host && t.Port == to.port
	}
	h, err := acl.ParseHost(r.trusted)
	return err == nil && h == to.host
}
