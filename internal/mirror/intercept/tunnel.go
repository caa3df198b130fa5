package intercept

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/acl"
	"sluice/forward"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/mirror/authority"
	"sluice/internal/relay"
	"sluice/internal/track"
)

// end is a host whose tunnels end here.
type end struct {
	proxy *Proxy
	host  acl.Host
	port  uint16
}

// end returns what a tunnel to a host ends in, or nil.
func (p *Proxy) end(h acl.Host, port uint16) forward.End {
	policy, at := p.policy.Load(), h.Join(port)
	if _, ok := policy.Registries[at]; !ok {
		if _, ok := policy.Blobs[at]; !ok {
			return nil
		}
	}
	return &end{proxy: p, host: h, port: port}
}

// Admit lets in whom some rule of the mirror lets pull something; what it may pull is
// asked for each request.
func (e *end) Admit(client netip.Addr) (rule string, refusal *egress.Error) {
	policy := e.proxy.policy.Load()
	if !policy.Admits(client) {
		return "", &egress.Error{Kind: egress.RuleDenied, Sentence: fmt.Sprintf("no rule lets %s pull from %s", client, e.host)}
	}
	if !policy.Authority.Covers(e.host) {
		return "", &egress.Error{Kind: egress.Internal, Sentence: fmt.Sprintf("the mirror's certificate authority does not cover %s: its operator has to run sluice-mirror ca renew", e.host)}
	}
	return "", nil
}

// Serve goes on in another goroutine: TLS waits for the client.
func (e *end) Serve(tx *gate.Transaction, place *gate.Origin, conn *net.TCPConn, early []byte) {
	up, down := tx.Counters()
	t := &tunnel{Conn: conn, tcp: conn, end: e, tx: tx, place: place, early: early, up: up, down: down}
	tx.OnKill(t.abort)
	go e.proxy.shake(t)
}

// tunnel is a connection inside of which a client believes to speak to a host. TLS is
// spoken on top of it.
type tunnel struct {
	net.Conn // the client's
	tcp      *net.TCPConn
	end      *end
	tx       *gate.Transaction
	place    *gate.Origin
	early    []byte // read before conn is
	up, down *atomic.Int64

	mu     sync.Mutex
	first  track.Side // who ended it
	how    string
	fault  *egress.Error // that kept TLS from being set up
	closed bool
}

func (t *tunnel) Read(b []byte) (n int, err error) {
	if len(t.early) > 0 {
		n = copy(b, t.early)
		t.early = t.early[n:]
		if len(t.early) == 0 {
			t.early = nil
		}
	} else {
		n, err = t.Conn.Read(b)
	}
	t.up.Add(int64(n))
	switch {
	case err == io.EOF:
		t.ended(track.Client, relay.ByFIN)
	case errors.Is(err, syscall.ECONNRESET):
		t.ended(track.Client, relay.ByReset)
	}
	return n, err
}

func (t *tunnel) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.down.Add(int64(n))
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		t.ended(track.Client, relay.ByReset)
	}
	return n, err
}

// ended notes who was the first to end the connection.
func (t *tunnel) ended(by track.Side, how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == track.Nobody {
		t.first, t.how = by, how
	}
}

// Close closes the connection and leaves the record. It may be called more than once.
func (t *tunnel) Close() error {
	err := t.Conn.Close()
	t.ended(track.Sluice, relay.ByFIN)
	t.mu.Lock()
	closed, fault := t.closed, t.fault
	t.closed = true
	t.mu.Unlock()
	if closed {
		return err
	}
	t.place.Close()
	if fault != nil {
		t.tx.Finish(gate.Finish{Status: http.StatusOK, ClosedBy: t.first, How: t.how, Outcome: fault.Kind, Err: fault})
		return err
	}
	t.tx.Finish(gate.Finish{Status: http.StatusOK, ClosedBy: t.first, How: t.how})
	return err
}

// abort ends the connection by a reset, and makes whoever waits for it close it.
func (t *tunnel) abort() {
	t.tcp.SetLinger(0)
	_ = t.Close()
}

// refuse notes why TLS is not set up; the first to say so is right.
func (t *tunnel) refuse(e *egress.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault == nil {
		t.fault = e
	}
}

// shake sets up TLS and hands the connection to the server behind it.
func (p *Proxy) shake(t *tunnel) {
	defer func() {
		if v := recover(); v != nil {
			t.tx.Panicked(v)
			t.abort()
		}
	}()
	if d := p.gate.Policy().Handshake; d > 0 {
		t.SetDeadline(time.Now().Add(d))
	}
	c := tls.Server(t, p.tls)
	if err := c.HandshakeContext(context.Background()); err != nil {
		t.refuse(unshaken(t, err))
		_ = t.Close()
		return
	}
	t.SetDeadline(time.Time{})
	if !p.inner.give(c) {
		_ = c.Close()
	}
}

// Alerts of clients to which the certificate is not good enough (RFC 8446, section 6).
const (
	alertBadCertificate     = tls.AlertError(42)
	alertCertificateUnknown = tls.AlertError(46)
	alertUnknownCA          = tls.AlertError(48)
)

// unshaken says why TLS could not be set up.
func unshaken(t *tunnel, err error) *egress.Error {
	e := &egress.Error{Kind: egress.ClientGone, Sentence: "the client left before TLS was set up", Err: err}
	var header tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case errors.As(err, &header):
		e.Kind, e.Sentence = egress.Malformed, fmt.Sprintf("there is no TLS in the tunnel to %s", t.end.host)
	case errors.As(err, &remote) && remote.Op == "remote error":
		e.Sentence = "the client has refused TLS"
		for _, a := range []tls.AlertError{alertBadCertificate, alertCertificateUnknown, alertUnknownCA} {
			if remote.Err.Error() == a.Error() { // package tls has a type of its own there
				e.Sentence = "the client does not trust the mirror's certificate authority: it was not set up with it"
			}
		}
	}
	return e
}

// forClient has a certificate only for the host that the CONNECT named: a client that
// then names another would be answered for a host that nobody has decided about.
func (p *Proxy) forClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	t := hello.Conn.(*tunnel)
	c := authority.Defaults()
	if e := t.names(hello.ServerName); e != nil {
		t.refuse(e)
		return c, nil // without a certificate, which package tls answers with unrecognized_name
	}
	if leaf, err := p.policy.Load().Authority.Leaf(t.end.host); err == nil {
		c.Certificates = []tls.Certificate{*leaf}
	} else {
		t.refuse(&egress.Error{Kind: egress.Internal, Sentence: "there is no certificate for " + t.end.host.String(), Err: err})
	}
	return c, nil
}

// names returns why the server name of a ClientHello (RFC 6066, section 3) does not fit
// the CONNECT, or nil. Addresses are never named there.
func (t *tunnel) names(server string) *egress.Error {
	if server == "" && t.end.host.IsAddr() {
		return nil
	}
	if h, err := acl.ParseHost(server); err == nil && h == t.end.host {
		return nil
	}
	return gate.Malformed(fmt.Sprintf("TLS within the tunnel to %s names another server, or none", t.end.host))
}

type tunnelKey struct{}

// withTunnel makes the tunnel known to the requests within it.
func withTunnel(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, tunnelKey{}, c.(*tls.Conn).NetConn())
}
