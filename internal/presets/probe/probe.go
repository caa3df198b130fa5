// Package probe asks the hosts of the presets whether they are still there, so that
// a list that has become stale is found out: each is looked up, connected to, and
// has to show a certificate for its name. Wildcards stand for hosts that nobody can
// list and are not probed. What a preset's hosts are for, and whether a new one is
// missing, only the vendor's own page can tell, whose date is looked at.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"sluice/internal/presets"
)

// Bounds of a check.
const (
	parallel = 16               // hosts at once
	timeout  = 10 * time.Second // of one request to one host; Options may say otherwise
	maxAge   = 1                // of a source, in years
)

// Options say how hosts are reached. The zero value goes straight, with the
// system's resolver and authorities.
type Options struct {
	Proxy   *url.URL       // http, https, socks5 or socks5h; it resolves the names
	Timeout time.Duration  // of one request to one host; 0: 10 seconds
	Roots   *x509.CertPool // nil: the system's
	Now     time.Time      // that sources are held against; zero: now

	// Dial connects to hosts, or to the proxy; nil: a [net.Dialer].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Check probes the hosts of the presets, each host once. It returns when all have
// answered or failed, or ctx ends: what was under way then has failed.
func Check(ctx context.Context, list []presets.Preset, o Options) *Report {
	if o.Timeout <= 0 {
		o.Timeout = timeout
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	p := &prober{timeout: o.Timeout, transport: o.transport(), proxied: o.Proxy != nil}
	defer p.transport.CloseIdleConnections()
	found := p.all(ctx, list)
	r := &Report{Checked: o.Now.UTC().Truncate(time.Second)}
	if o.Proxy != nil {
		r.Proxy = o.Proxy.Redacted()
	}
	for _, preset := range list {
		one := Preset{Name: preset.Name, Date: preset.Date, Source: preset.Source}
		date, err := time.Parse(time.DateOnly, preset.Date)
		one.Old = err != nil || date.AddDate(maxAge, 0, 0).Before(o.Now)
		for _, h := range preset.Hosts {
			one.Hosts = append(one.Hosts, found[h.Name])
		}
		r.Presets = append(r.Presets, one)
	}
	r.sum()
	return r
}

// transport makes one connection for each request, whatever the variables of the
// environment say.
func (o Options) transport() *http.Transport {
	t := &http.Transport{
		DialContext:       o.Dial,
		TLSClientConfig:   &tls.Config{RootCAs: o.Roots},
		DisableKeepAlives: true,
		// What a proxy says to a CONNECT is kept whole, for its status alone does not
		// tell whose fault it is.
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
			if answer.StatusCode == http.StatusOK {
				return nil
			}
			return refusal(answer)
		},
	}
	if t.DialContext == nil {
		t.DialContext = new(net.Dialer).DialContext
	}
	if o.Proxy != nil {
		t.Proxy = http.ProxyURL(o.Proxy)
	}
	return t
}

type prober struct {
	timeout   time.Duration
	transport *http.Transport
	proxied   bool
}

// all probes what is in the presets, by name.
func (p *prober) all(ctx context.Context, list []presets.Preset) map[string]Host {
	found := make(map[string]Host)
	var mu sync.Mutex
	var group sync.WaitGroup
	places := make(chan struct{}, parallel)
	for _, preset := range list {
		for _, h := range preset.Hosts {
			mu.Lock()
			_, begun := found[h.Name]
			found[h.Name] = Host{Name: h.Name, Verdict: NotProbed, Sentence: "it is a wildcard"}
			mu.Unlock()
			if begun || h.Wildcard() {
				continue
			}
			places <- struct{}{}
			group.Go(func() {
				defer func() { <-places }()
				one := p.host(ctx, h)
				mu.Lock()
				found[h.Name] = one
				mu.Unlock()
			})
		}
	}
	group.Wait()
	return found
}

// host asks a host by https, and one that clients ask by http too, by that if need
// be.
func (p *prober) host(ctx context.Context, h presets.Host) Host {
	began := time.Now()
	one := Host{Name: h.Name}
	_, err := p.head(ctx, "https://"+h.Name+"/")
	one.Verdict, one.Sentence = judge(h.Name, err)
	if one.Verdict.stale() && h.Plain {
		status, err := p.head(ctx, "http://"+h.Name+"/")
		// A proxy answers for a host that does not, so only what no proxy says counts.
		if err == nil && (status < http.StatusBadRequest || !p.proxied) {
			one.Verdict, one.Sentence = Plain, "it answers on port 80 alone"
		}
	}
	one.Milliseconds = time.Since(began).Milliseconds()
	return one
}

// head asks for the headers of a page and follows no redirect.
func (p *prober) head(ctx context.Context, page string) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, page, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "sluice-presets")
	answer, err := p.transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}
