package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// walk takes all steps to one host on one way, and returns the hosts that it was
// sent on to.
func (r *run) walk(ctx context.Context, w way, t Target) []Target {
	if ctx.Err() != nil {
		r.end(r.begin(w.name, t.String(), stepTCP), TimedOut, "not tried: the time was up")
		return nil
	}
	if w.name == Through && t.Port == 80 && !r.proxy.socks() {
		r.plain(ctx, t)
		return nil
	}
	c := r.open(ctx, w, t)
	if c == nil {
		return nil
	}
	defer c.Close()
	scheme := "https"
	if t.Port == 80 {
		scheme = "http"
	} else if c = r.tls(ctx, w, t, c); c == nil {
		return nil
	}
	return r.http(ctx, w, t, scheme, c)
}

// plain asks an HTTP proxy for http:// as clients do: with the whole URL and no
// tunnel, which many proxies open to port 443 alone.
func (r *run) plain(ctx context.Context, t Target) {
	s := r.begin(Through, t.String(), stepHTTP)
	ctx, cancel := r.bound(ctx, shareTunnel, mostTunnel)
	defer cancel()
	a, err := r.proxy.get(ctx, &url.URL{Scheme: "http", Host: t.urlHost(), Path: "/v2/"})
	if a == nil {
		r.failed(s, err)
		return
	}
	s.Status = a.status
	s.date(a)
	r.end(s, OK, fmt.Sprintf("answers %d, %s", a.status, short(a.head)))
}

// open is the connection to the host itself. Nil: there is none.
func (r *run) open(ctx context.Context, w way, t Target) net.Conn {
	if w.name == Through {
		return r.tunnel(ctx, w, t)
	}
	addrs := r.dns(ctx, w.name, t.Host, t.String())
	if len(addrs) == 0 {
		return nil
	}
	return r.tcp(ctx, w.name, t.String(), addrs, t.Port)
}

// tunnel asks the proxy for the host; the name is resolved there.
func (r *run) tunnel(ctx context.Context, w way, t Target) net.Conn {
	s := r.begin(w.name, t.String(), stepTunnel)
	ctx, cancel := r.bound(ctx, shareTunnel, mostTunnel)
	defer cancel()
	c, err := w.dial(ctx, "tcp", t.String())
	r.tunnelled(s, err)
	return c
}

func (r *run) tunnelled(s *Step, err error) {
	took := time.Since(s.began)
	if err == nil {
		r.end(s, OK, "opens, "+short(took))
		return
	}
	r.failed(s, err)
}

// failed ends a step with an error.
func (r *run) failed(s *Step, err error) {
	took := time.Since(s.began)
	o, sentence := outcomeOf(err), sentenceOf(err, took)
	var refusal *Refusal
	var handshake *handshakeError
	switch {
	case errors.As(err, &refusal):
		s.Refusal = refusal
	case errors.As(err, &handshake):
		s.Certificate = handshake.certificate
		o, sentence = tlsTrouble(handshake.err, handshake.certificate, took)
	case errors.Is(err, errNotHTTP):
		o, sentence = NotHTTP, words[NotHTTP]
	}
	r.end(s, o, sentence)
}

// reachProxy is the way to the proxy itself, once for all hosts.
func (r *run) reachProxy(ctx context.Context) bool {
	host, port, _ := net.SplitHostPort(r.proxy.address())
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return false
	}
	addrs := r.dns(ctx, Through, host, r.proxy.address())
	if len(addrs) == 0 {
		return false
	}
	c := r.tcp(ctx, Through, r.proxy.address(), addrs, uint16(number))
	if c == nil {
		return false
	}
	r.report.Proxy.Reachable = true
	if a, err := netip.ParseAddrPort(c.LocalAddr().String()); err == nil {
		r.report.Proxy.Client = a.Addr().Unmap().String()
	}
	c.Close()
	return true
}

// tcp connects to every address at once and keeps the first connection that
// stands. Nil: none does.
func (r *run) tcp(ctx context.Context, w wayName, host string, addrs []netip.Addr, port uint16) net.Conn {
	s := r.begin(w, host, stepTCP)
	ctx, cancel := r.bound(ctx, shareConnect, mostConnect)
	defer cancel()
	s.Addresses = make([]Address, len(addrs))
	errs := make([]error, len(addrs))
	var first net.Conn
	var mu sync.Mutex
	var group sync.WaitGroup
	for i, a := range addrs {
		group.Go(func() {
			began := time.Now()
			c, err := new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(a, port).String())
			errs[i] = err
			s.Addresses[i] = Address{a.String(), outcomeOf(err), milliseconds(time.Since(began))}
			if err != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = c
				return
			}
			c.Close()
		})
	}
	group.Wait()
	o, sentence := tellAddresses(s.Addresses, errs, time.Since(s.began))
	r.end(s, o, sentence)
	return first
}

// tellAddresses puts what came of each address into one sentence.
func tellAddresses(tried []Address, errs []error, took time.Duration) (Outcome, string) {
	var connected, silent int
	var quickest float64
	var worst error // the most telling: what is silent is blocked, what has no route may be a family that is not there
	for i, a := range tried {
		switch {
		case a.Outcome == OK:
			if connected++; connected == 1 || a.Milliseconds < quickest {
				quickest = a.Milliseconds
			}
		case a.Outcome == TimedOut:
			silent++
			worst = errs[i]
		case worst == nil || outcomeOf(worst) == Unreachable:
			worst = errs[i]
		}
	}
	ms := short(time.Duration(quickest * float64(time.Millisecond)))
	switch {
	case connected == 0 && len(tried) == 1:
		return outcomeOf(worst), tried[0].Address + ": " + sentenceOf(worst, took)
	case connected == 0:
		return outcomeOf(worst), fmt.Sprintf("none of %d addresses: %s", len(tried), sentenceOf(worst, took))
	case connected == len(tried) && connected == 1:
		return OK, tried[0].Address + ", " + ms
	case connected == len(tried):
		return OK, fmt.Sprintf("%d addresses, %s", connected, ms)
	case silent > 0:
		return OK, fmt.Sprintf("%d of %d addresses, %s; %d silent", connected, len(tried), ms, silent)
	}
	return OK, fmt.Sprintf("%d of %d addresses, %s; others: %s", connected, len(tried), ms, sentenceOf(worst, took))
}

// urlHost is the host of a URL as a target on its own.
func urlHost(u *url.URL, why string) (Target, error) {
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "443")
	}
	t, err := parseTarget(address)
	t.Why = why
	return t, err
}
