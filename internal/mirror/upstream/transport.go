package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/net/proxy"

	"sluice/acl"
	"sluice/internal/egress"
)

const (
	maxHeader        = 64 << 10 // bytes of an answer's head, and of a proxy's
	handshakeTimeout = 10 * time.Second
	socksTimeout     = 20 * time.Second // with the proxy's own dial
	idleConns        = 16               // kept open to each host
	idleConnTimeout  = time.Minute
)

// newTransport returns the connections of one upstream. They speak HTTP/1.1: each
// blob has a connection and a window of its own, and what is read of it is not
// copied through another layer.
func (r *Registry) newTransport(via *url.URL, config *tls.Config) (*http.Transport, error) {
	t := &http.Transport{
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    handshakeTimeout,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxHeader,
		Protocols:              new(http.Protocols),
		// No Proxy: those of the environment are never followed.
	}
	t.Protocols.SetHTTP1(true)
	if via == nil {
		t.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) { return dial(ctx, r.dialerFor, address) }
		return t, nil
	}
	return t, throughProxy(t, r.dialer, via)
}

// throughProxy lets a transport dial nothing but the proxy. That one may be on any
// address, for the configuration names it; only the mirror's own are left out.
func throughProxy(t *http.Transport, d *egress.Dialer, via *url.URL) error {
	toProxy := *d
	toProxy.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	address, err := proxyAddress(via)
	if err != nil {
		return err
	}
	dialProxy := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dial(ctx, func(egress.Target) *egress.Dialer { return &toProxy }, address)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		return conn, nil
	}
	switch via.Scheme {
	case "http", "https":
		t.Proxy = http.ProxyURL(via)
		t.DialContext = dialProxy
		t.OnProxyConnectResponse = proxyAnswer
		return nil
	case "socks5":
		return throughSOCKS(t, via, address, dialProxy)
	}
	return fmt.Errorf("proxy: scheme %q: it may be http, https or socks5", via.Scheme)
}

func proxyAddress(via *url.URL) (string, error) {
	port := via.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[via.Scheme]
	}
	if via.Hostname() == "" || port == "" {
		return "", errors.New("proxy: the URL has no host, or a scheme other than http, https and socks5")
	}
	return net.JoinHostPort(via.Hostname(), port), nil
}

// contextDialer is a function as the proxy.ContextDialer that package proxy asks for.
type contextDialer func(ctx context.Context, network, address string) (net.Conn, error)

// DialContext calls the function.
func (f contextDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// Dial calls the function.
func (f contextDialer) Dial(network, address string) (net.Conn, error) {
	return f(context.Background(), network, address)
}

// throughSOCKS has names looked up by the proxy. The handshake gets a deadline of
// its own, for the transport gives a dial none.
func throughSOCKS(t *http.Transport, via *url.URL, address string, dialProxy contextDialer) error {
	var auth *proxy.Auth
	if via.User != nil {
		password, _ := via.User.Password()
		auth = &proxy.Auth{User: via.User.Username(), Password: password}
	}
	socks, err := proxy.SOCKS5("tcp", address, auth, dialProxy)
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, socksTimeout)
		defer cancel()
		return socks.(proxy.ContextDialer).DialContext(ctx, network, address)
	}
	return nil
}

// proxyError is a proxy's answer to CONNECT other than 200.
type proxyError struct {
	status     int
	reason     string
	retryAfter time.Duration
}

func (e *proxyError) Error() string { return fmt.Sprintf("proxy: %d %s", e.status, e.reason) }

// refused tells whether the proxy did not want, which asking again does not change.
// What it could not do is told by 5xx and 429.
func (e *proxyError) refused() bool {
	return e.status < 500 && e.status != http.StatusTooManyRequests
}

func proxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	// Sluice tells the whole story in the reason phrase.
	reason := resp.Status
	if len(reason) > 4 {
		reason = reason[4:]
	}
	return &proxyError{resp.StatusCode, printable(reason), retryAfter(resp.Header, time.Now())}
}

// dialerFor returns the dialer for a target. It is the host that was asked for, as it
// was written, that makes one home: another name may lead to the same address.
func (r *Registry) dialerFor(t egress.Target) *egress.Dialer {
	if t.Host == r.home.host && t.Port == r.home.port {
		return r.homeDialer
	}
	return r.dialer
}

// dial connects to an address that passes the vetting of its dialer.
func dial(ctx context.Context, by func(egress.Target) *egress.Dialer, address string) (net.Conn, error) {
	target, err := parseTarget(address)
	if err != nil {
		return nil, err
	}
	result, failure := by(target).Dial(ctx, target)
	if failure != nil {
		return nil, failure
	}
	return result.Conn, nil
}

func parseTarget(address string) (egress.Target, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return egress.Target{}, err
	}
	h, err := acl.ParseHost(host)
	if err != nil {
		return egress.Target{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return egress.Target{}, errors.New("the port is not a number up to 65535")
	}
	return egress.Target{Host: h, Port: uint16(n)}, nil
}
