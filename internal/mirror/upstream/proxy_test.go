//go:build linux

package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"sluice/internal/lab"
)

// tunnels is a proxy that joins whoever asks with the one site that it knows, and
// keeps what it was asked for.
type tunnels struct {
	site *site
	mu   sync.Mutex
	open []net.Conn
	done sync.WaitGroup
}

func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
		return
	}
	out, err := net.Dial("tcp", p.site.addr.String())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	in, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = out.Close()
		return
	}
	p.mu.Lock()
	p.open = append(p.open, in, out)
	p.mu.Unlock()
	fmt.Fprint(in, "HTTP/1.1 200 OK\r\n\r\n")
	p.done.Go(func() { _, _ = io.Copy(out, buffered) })
	p.done.Go(func() { _, _ = io.Copy(in, out) })
}

// proxyTo runs a proxy that leads to a site, whatever it is asked for.
func (w *world) proxyTo(t *testing.T, to *site) *site {
	t.Helper()
	p := &tunnels{site: to}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range p.open {
			_ = c.Close()
		}
		p.done.Wait()
	})
	return w.serveOn(t, "http", forbidden, p.ServeHTTP) // an address that the configuration alone may name
}

func parse(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestBehindAProxyNoAddressInsideIsAskedFor(t *testing.T) {
	for how, names := range namers() {
		w := newWorld(t)
		target := w.serveOn(t, "https", forbidden, gives("the-token"))
		for name, to := range inside(target) {
			if name == "name" {
				continue // what a name means the proxy alone knows, and must guard
			}
			t.Run(how+" to "+name, func(t *testing.T) {
				registry := names(w, t, to)
				proxy := w.proxyTo(t, registry)
				o := w.options(t, registry.url(registryName))
				o.Proxy = parse(t, proxy.url(forbidden.String()))
				o.Dialer.AllowPrivate = nil
				fails(t, open(t, o), blob(Anonymous()), Refused)
				asked := proxy.requests()
				if len(asked) != 1 || !strings.HasPrefix(asked[0].host, registryName+":") {
					t.Errorf("the proxy was asked for %+v", asked)
				}
			})
		}
	}
}

func TestAnUpstreamIsReachedThroughSluiceAlone(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, says("the blob"))
	auth := w.serve(t, gives("the-token"))
	registry := w.serve(t, bearer(auth.url(authName), func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, other.url(otherName), http.StatusFound)
	}))
	sluice := lab.StartLocal(t, fmt.Sprintf(`
		[[listener]]
		address = "127.0.0.1:0"
		protocol = "auto"
		[[rule]]
		name = "all"
		action = "allow"
		clients = ["127.0.0.0/8"]
		ports = ["1-65535"]
		[egress]
		allow_private = ["127.0.0.1/32"]
		resolver = [%q]
		[log]
		level = "info"`, w.names.addr))
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			o := w.options(t, registry.url(registryName))
			o.Proxy = parse(t, scheme+"://"+sluice.Addrs()[0].String())
			o.Dialer.AllowPrivate, o.Dialer.Resolver = nil, nil // the mirror could reach nothing, and look nothing up
			if got := get(t, open(t, withPassword(t, o)), manifest(Own())); got != "the blob" {
				t.Errorf("got %q", got)
			}
			// A refusal of the proxy's is told word for word.
			w.names.set("inside.one.example", forbidden)
			o.URL = parse(t, registry.url("inside.one.example"))
			r := open(t, o)
			_, err := r.Do(t.Context(), manifest(Anonymous()))
			if scheme == "http" {
				isKind(t, err, Refused)
				if !strings.Contains(err.Error(), "not public") {
					t.Errorf("%v does not say why", err)
				}
			} else {
				isKind(t, err, Unreachable)
			}
		})
	}
	if len(registry.requests()) == 0 || len(auth.requests()) == 0 {
		t.Error("somebody else has answered")
	}
}

func TestTheProxysPasswordStaysWithTheProxy(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, says("manifest"))
	proxy := w.proxyTo(t, registry)
	o := w.options(t, registry.url(registryName))
	o.Proxy = parse(t, strings.Replace(proxy.url(forbidden.String()), "http://", "http://proxy-user:"+secret+"@", 1))
	get(t, open(t, o), manifest(Anonymous()))
	if got := proxy.requests()[0].header.Get("Proxy-Authorization"); got != basic(credential{username: "proxy-user", secret: secret}) {
		t.Errorf("the proxy received %q", got)
	}
	if leak := credentialsIn(registry.requests()[0]); leak != "" {
		t.Errorf("the upstream received %s", leak)
	}
}

func TestTheUpstreamsPasswordStaysBeneathTLS(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, challenged(says("manifest")))
	proxy := w.proxyTo(t, registry)
	o := withPassword(t, w.options(t, registry.url(registryName)))
	o.Proxy = parse(t, proxy.url(forbidden.String()))
	get(t, open(t, o), manifest(Own()))
	for _, r := range proxy.requests() {
		if leak := credentialsIn(r); leak != "" {
			t.Errorf("the proxy received %s", leak)
		}
	}
}

// net/http reads them once in a process, so that this has a process of its own.
func TestProxiesOfTheEnvironmentAreNotFollowed(t *testing.T) {
	const alone = "TEST_OF_PROXIES_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	w := newWorld(t)
	proxy := w.serveOn(t, "http", allowed, nil)
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		t.Setenv(name, proxy.url(allowed.String()))
	}
	get(t, w.open(t, w.serve(t, says("x")).url(registryName)), manifest(Anonymous()))
	get(t, w.open(t, w.serveOn(t, "http", allowed, says("x")).url(registryName)), manifest(Anonymous()))
	proxy.wantNothing(t)
}

func TestWhatAProxyAnswersIsSorted(t *testing.T) {
	for answer, want := range map[string]Kind{
		"403 sluice: no rule lets 192.0.2.7 reach it": Refused,
		"407 Proxy Authentication Required":           Refused,
		"400 Bad Request":                             Refused,
		"429 too many tunnels":                        Unreachable,
		"502 no such name":                            Unreachable,
		"503 draining":                                Unreachable,
		"504 no answer":                               Unreachable,
	} {
		t.Run(answer, func(t *testing.T) {
			w := newWorld(t)
			o := w.options(t, "https://"+registryName)
			o.Proxy = parse(t, "http://"+rawServer(t, "HTTP/1.1 "+answer+"\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"))
			e := fails(t, open(t, o), manifest(Anonymous()), want)
			if !strings.Contains(e.Error(), answer) {
				t.Errorf("%q does not have the proxy's words", e)
			}
			if want == Unreachable && e.RetryAfter.Seconds() != 7 {
				t.Errorf("to be asked again after %s", e.RetryAfter)
			}
		})
	}
}

func TestAProxysRefusalOfAPlainRequestIsNotTheRegistrys(t *testing.T) {
	w := newWorld(t)
	proxy := w.serveOn(t, "http", forbidden, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Proxy-Status", "sluice; error=http_request_denied")
		w.WriteHeader(http.StatusForbidden)
	})
	o := w.options(t, "http://"+registryName)
	o.Proxy = parse(t, proxy.url(forbidden.String()))
	fails(t, open(t, o), manifest(Anonymous()), Refused)
	if got := proxy.requests()[0].uri; got != "http://"+registryName+"/v2/library/alpine/manifests/latest" {
		t.Errorf("asked for %s", got)
	}
}

func TestAProxyWithoutAnAnswerIsNotWaitedForLonger(t *testing.T) {
	w := newWorld(t)
	o := w.options(t, "https://"+registryName)
	o.Proxy = parse(t, "socks5://127.0.0.1:1")
	fails(t, open(t, o), manifest(Anonymous()), Unreachable)
}

// rawServer answers every connection with a text once a request's head has come.
func rawServer(t *testing.T, answer string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}
