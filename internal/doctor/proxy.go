package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// ParseProxy reads a proxy's address: http://, https://, socks5:// or socks5h://,
// or HOST:PORT, which is HTTP. Its errors do not quote the text, for it may have a
// password in it.
func ParseProxy(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !isHost(u.Hostname()) || defaultPorts[u.Scheme] == "" {
		return nil, errors.New("want http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, and %-escapes in a password")
	}
	return &url.URL{Scheme: u.Scheme, User: u.User, Host: u.Host}, nil
}

// defaultPorts has a port for each scheme that a proxy may have.
var defaultPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// Redacted is the proxy's address without a user's name and password.
func Redacted(u *url.URL) string {
	text := u.Scheme + "://"
	if u.User != nil {
		text += "USER:PASSWORD@"
	}
	return text + u.Host
}

// proxy opens tunnels.
type proxy struct {
	*url.URL
	roots *x509.CertPool
}

// address is where the proxy listens, as HOST:PORT.
func (p *proxy) address() string { return proxyAddress(p.URL) }

func proxyAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (p *proxy) socks() bool { return strings.HasPrefix(p.Scheme, "socks") }

// Refusal is the proxy's own answer to the wish for a tunnel.
type Refusal struct {
	Status      int    `json:"status,omitempty"`       // HTTP
	Sentence    string `json:"sentence"`               // the reason phrase, or what the reply means
	ProxyStatus string `json:"proxy_status,omitempty"` // error type of RFC 9209
	Reply       int    `json:"socks_reply,omitempty"`  // RFC 1928, section 6
	Credentials bool   `json:"credentials,omitempty"`  // it wants some, or does not take these
}

// Error is the sentence, with the number that the proxy gave.
func (r *Refusal) Error() string {
	switch {
	case r.Status != 0:
		return fmt.Sprintf("%d %s", r.Status, r.Sentence)
	case r.Reply != 0:
		return fmt.Sprintf("SOCKS reply %d, %s", r.Reply, r.Sentence)
	}
	return r.Sentence
}

// deniedTypes are those of Proxy-Status that tell of a policy, and not of the
// destination (RFC 9209, section 2.3).
var deniedTypes = map[string]bool{
	"http_request_denied": true, "destination_ip_prohibited": true, "proxy_loop_detected": true,
	"connection_limit_reached": true, "http_request_error": true,
}

// denied says that the proxy did not want to, rather than that it could not.
func (r *Refusal) denied() bool {
	switch {
	case r.Credentials:
		return true
	case r.ProxyStatus != "":
		return deniedTypes[r.ProxyStatus]
	case r.Status != 0:
		return r.Status < 500
	}
	return r.Reply == replyNotAllowed
}

// proxyError is a fault on the way to the proxy itself.
type proxyError struct{ err error }

func (e *proxyError) Error() string { return "the proxy: " + e.err.Error() }
func (e *proxyError) Unwrap() error { return e.err }

// dial opens a tunnel to address. Its errors are *Refusal, or *proxyError for what
// lies on this side of the proxy. The caller closes the connection.
func (p *proxy) dial(ctx context.Context, _, address string) (net.Conn, error) {
	c, err := p.connect(ctx)
	if err != nil {
		return nil, &proxyError{err}
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var tunnel net.Conn
	if p.socks() {
		tunnel, err = c, socksConnect(c, p.User, address)
	} else {
		tunnel, err = p.httpConnect(c, address)
	}
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		if refusal := (*Refusal)(nil); !errors.As(err, &refusal) {
			err = &proxyError{err}
		}
		return nil, err
	}
	return tunnel, nil
}

// connect reaches the proxy itself, under TLS where its scheme says so.
func (p *proxy) connect(ctx context.Context) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", p.address())
	if err != nil || p.Scheme != "https" {
		return c, err
	}
	secured := tls.Client(c, &tls.Config{ServerName: p.Hostname(), RootCAs: p.roots, NextProtos: []string{"http/1.1"}})
	if err := secured.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secured, nil
}

// httpConnect asks for a tunnel (RFC 9110, section 9.3.6). Bytes that came right
// behind the answer are the destination's, so the reader stays in front.
func (p *proxy) httpConnect(c net.Conn, address string) (net.Conn, error) {
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\nUser-Agent: " + userAgent + "\r\n"
	if value := p.authorization(); value != "" {
		request += "Proxy-Authorization: " + value + "\r\n"
	}
	if _, err := c.Write([]byte(request + "\r\n")); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: c, N: maxHead}
	r := bufio.NewReader(head)
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("its answer is no HTTP: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		return nil, refusalOf(answer)
	}
	head.N = math.MaxInt64
	return &readConn{Conn: c, r: r}, nil
}

// authorization is the Basic credentials of RFC 7617, or nothing.
func (p *proxy) authorization() string {
	if p.User == nil {
		return ""
	}
	password, _ := p.User.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(p.User.Username()+":"+password))
}

// get asks the proxy for an http:// URL (RFC 9112, section 3.2.2). An answer that is
// the proxy's own is a *Refusal.
func (p *proxy) get(ctx context.Context, u *url.URL) (*answer, error) {
	c, err := p.connect(ctx)
	if err != nil {
		return nil, &proxyError{err}
	}
	defer c.Close()
	req := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}}
	if value := p.authorization(); value != "" {
		req.Header.Set("Proxy-Authorization", value)
	}
	a, err := exchange(ctx, c, req, req.WriteProxy)
	if a == nil {
		return nil, err
	}
	refusal := refusalOf(&http.Response{Status: a.reason, StatusCode: a.status, Header: a.header})
	if refusal.ProxyStatus != "" || refusal.Credentials || a.header.Get("X-Squid-Error") != "" {
		return nil, refusal
	}
	return a, nil
}

var errorParameter = regexp.MustCompile(`;\s*error\s*=\s*([a-z0-9_]+)`)

// refusalOf reads what a proxy says of itself. Squid keeps its reason in a header
// of its own.
func refusalOf(answer *http.Response) *Refusal {
	_, reason, _ := strings.Cut(answer.Status, " ")
	r := &Refusal{Status: answer.StatusCode, Sentence: clean(reason), Credentials: answer.StatusCode == http.StatusProxyAuthRequired}
	if r.Sentence == "" {
		r.Sentence = http.StatusText(answer.StatusCode)
	}
	// The last one is the nearest hop's.
	if m := errorParameter.FindAllStringSubmatch(answer.Header.Get("Proxy-Status"), -1); m != nil {
		r.ProxyStatus = m[len(m)-1][1]
	}
	if squid := answer.Header.Get("X-Squid-Error"); squid != "" {
		r.Sentence += " (" + clean(squid) + ")"
	}
	return r
}

// readConn reads from r what was read ahead.
type readConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *readConn) Read(p []byte) (int, error) { return c.r.Read(p) }
