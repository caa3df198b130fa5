// Package upstream is the client of one registry: it authenticates, follows
// redirects, backs off, and tells in typed errors what went wrong.
//
// Registries name other hosts: the server that gives tokens, and those that have
// the blobs. Where a registry may send its client, and with which credentials, is
// decided here:
//
//   - Every address is vetted by package egress when it is dialled. Behind a proxy,
//     which looks names up itself, addresses that are not public, and localhost, are
//     refused before the proxy is asked. The proxy of the configuration alone is
//     dialled wherever it is; proxies of the environment are never used.
//   - An Authorization header never goes to another scheme, host or port than the
//     upstream's, and once a redirect has led away it does not come back.
//   - No redirect and no token server leads from https to http.
//   - The mirror's own credentials go to a token server on the upstream's host, on
//     its registered domain, or on the one that the configuration names.
//
// What is cached and for whom is left to package pull, checking digests to package
// store.
package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/internal/egress"
	"sluice/internal/regular"
)

const (
	defaultTimeout = 30 * time.Second
	defaultIdle    = 30 * time.Second
)

// Options say which registry it is and how to reach it. Name, URL and Dialer are
// wanted; the zero value of the rest is explained at each.
type Options struct {
	Name string   // as image names say it, for errors, events and logs
	URL  *url.URL // https or http; a path before /v2/ is kept, one that begins with /v2/ stands for it

	// Username and the password's source are the mirror's own credentials: at most
	// one of PasswordFile, PasswordEnv and Helper. Files and helpers are asked anew.
	Username     string // with Helper: which the helper tells
	PasswordFile string // read anew when it has changed; line breaks at its end do not count
	PasswordEnv  string // name of an environment variable
	Helper       string // NAME of docker-credential-NAME in PATH
	HelperServer string // what the helper is asked for; "": as docker login names this registry
	Realm        string // host or host:port that the credentials may go to besides; "": none

	CA    string   // PEM file of authorities that are trusted besides the system's; "": none
	Proxy *url.URL // http, https or socks5, with its credentials; nil: the upstream is dialled directly

	Dialer *egress.Dialer
	// Home are addresses that are dialled for the URL's own host and port though they
	// are not public, and for nothing that the upstream names.
	Home    []netip.Prefix
	Timeout time.Duration // from the request to the head of its answer, tokens and redirects included; 0: 30 s
	Idle    time.Duration // without a byte of a body that is being read; 0: 30 s

	UserAgent string      // "": sluice-mirror
	Via       string      // pseudonym in the Via header, see NewVia; "": none is sent
	Observe   func(Event) // called after every exchange, by any goroutine; nil: nobody looks
	Log       *zap.Logger // nil: nothing is logged
}

// Registry is the client of one upstream. It is safe for concurrent use. It keeps
// tokens, pauses and idle connections for as long as it lives.
type Registry struct {
	name        string
	base        *url.URL // without a path's last slash
	home        origin   // of base
	trusted     string   // Options.Realm
	agent, via  string
	timeout     time.Duration
	idle        time.Duration
	dialer      *egress.Dialer
	homeDialer  *egress.Dialer // of home alone
	proxied     bool
	transport   *http.Transport
	credentials *credentials
	observe     func(Event)
	log         *zap.Logger
	now         func() time.Time

	breakers *breakers
	limits   *rateLimits
	tokens   *tokens
	wants    *wants
}

// New returns the client of a registry, and dials nothing yet. An error is one of
// the configuration: a password file or a CA file that cannot be read, a variable
// that is not set, a helper that is not there. Close ends it.
func New(o Options) (*Registry, error) {
	r, err := newRegistry(o)
	if err != nil {
		return nil, fmt.Errorf("upstream %s: %w", o.Name, err)
	}
	return r, nil
}

func newRegistry(o Options) (*Registry, error) {
	if o.URL == nil || o.URL.Scheme != "https" && o.URL.Scheme != "http" || o.URL.Host == "" || o.URL.User != nil || o.URL.RawQuery != "" {
		return nil, errors.New("the URL is not http:// or https:// with a host and nothing else")
	}
	home, err := originOf(o.URL)
	if err != nil {
		return nil, fmt.Errorf("URL: %w", err)
	}
	r := &Registry{
		name: o.Name, home: home, trusted: o.Realm, agent: o.UserAgent, via: o.Via,
		base:    &url.URL{Scheme: o.URL.Scheme, Host: o.URL.Host, Path: strings.TrimRight(o.URL.Path, "/")},
		timeout: o.Timeout, idle: o.Idle, dialer: o.Dialer, proxied: o.Proxy != nil,
		observe: o.Observe, log: o.Log, now: time.Now,
		breakers: newBreakers(time.Now, rand.Float64), limits: &rateLimits{now: time.Now},
		tokens: newTokens(time.Now), wants: &wants{known: make(map[string]want)},
	}
	if o.Realm != "" && !isHost(o.Realm) {
		return nil, fmt.Errorf("realm %q is neither a host nor a host with a port", o.Realm)
	}
	r.defaults()
	toHome := *r.dialer
	toHome.AllowPrivate = slices.Concat(toHome.AllowPrivate, o.Home)
	r.homeDialer = &toHome
	if r.credentials, err = newCredentials(o); err != nil {
		return nil, err
	}
	authorities, err := authorities(o.CA)
	if err != nil {
		return nil, err
	}
	r.transport, err = r.newTransport(o.Proxy, &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12})
	return r, err
}

func (r *Registry) defaults() {
	if r.agent == "" {
		r.agent = "sluice-mirror"
	}
	if r.timeout <= 0 {
		r.timeout = defaultTimeout
	}
	if r.idle <= 0 {
		r.idle = defaultIdle
	}
	if r.dialer == nil {
		r.dialer = &egress.Dialer{}
	}
	if r.observe == nil {
		r.observe = func(Event) {}
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	r.log = r.log.With(zap.String("upstream", r.name))
}

// maxAuthorities bounds a file of them in bytes; all that browsers trust are 0.3 MB.
const maxAuthorities = 16 << 20

// authorities returns the system's with those of a file; nil, the system's, for "".
func authorities(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := regular.Read(path, maxAuthorities)
	if err != nil {
		return nil, fmt.Errorf("authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a host without any
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("authorities: %s: no certificate in it", path)
	}
	return pool, nil
}

// Name returns the registry's name.
func (r *Registry) Name() string { return r.name }

// HasCredentials tells whether the mirror has credentials of its own for it.
func (r *Registry) HasCredentials() bool { return r.credentials != nil }

// RateLimit returns what the upstream last said of its rate limit.
func (r *Registry) RateLimit() Limits { return r.limits.last() }

// Close closes idle connections. Requests under way and bodies that are being read
// come to their ends.
func (r *Registry) Close() { r.transport.CloseIdleConnections() }

// Transport reaches hosts that the upstream has its blobs on, by the same way and with
// the same care for addresses. It follows no redirect and adds no credentials.
func (r *Registry) Transport() http.RoundTripper { return r.transport }
