package mirror

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"

	"sluice/acl"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/mirror/front"
	"sluice/internal/mirror/intercept"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
)

// transparentServer is the transparent way on its listener.
type transparentServer struct {
	*intercept.Proxy
	address  string
	listener net.Listener
	server   *Server
	handler  atomic.Pointer[front.Handler] // of requests to registries; a reload changes it
}

func (t *transparentServer) Serve(ln net.Listener) error {
	return t.Proxy.Serve(ln.(*net.TCPListener), t.address)
}

func (t *transparentServer) Shutdown(ctx context.Context) error {
	t.listener.Close()
	t.Drain(ctx)
	return nil
}

func (t *transparentServer) Close() error {
	t.listener.Close()
	t.Proxy.Close()
	return nil
}

func (s *Server) newTransparent(f *force, p place, ln net.Listener) (*transparentServer, error) {
	t := &transparentServer{address: p.address, listener: ln, server: s}
	var err error
	t.Proxy, err = intercept.New(f.tunnels, intercept.Options{
		Registry: t.registry, Tunnel: s.access.Tunnel, Passed: s.record, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// registry answers requests to a registry for clients who take the mirror for it, by
// what is in force.
func (t *transparentServer) registry(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, handler := t.server, t.handler.Load()
		r = r.WithContext(front.Connection{Registry: name}.With(r.Context()))
		leave, reason := s.admitWithin(r)
		if reason != limit.Admitted {
			s.refuse(handler, w, r, reason)
			return
		}
		defer leave()
		s.requests.Add(1)
		defer s.requests.Add(-1)
		defer s.recovered()
		handler.ServeHTTP(w, r)
	})
}

// withinTunnels answers what comes through the tunnels of a listener and is for a
// registry.
func (s *Server) withinTunnels(f *force, l *listener) *front.Handler {
	h := s.handler(f, settings.Listener{Address: l.address})
	h.Setup = nil
	h.Reaches = f.reaches
	return h
}

// interceptPolicy returns what package intercept decides by.
func (s *Server) interceptPolicy(f *force) (*intercept.Policy, error) {
	t := f.cfg.Transparent
	// placesFor leaves a quarter of the descriptors. A tunnel has two, or three where it
	// ends here: the client's, a file, and one to an upstream.
	room := max(16, placesFor(f.cfg, s.descriptors)/4)
	p := &intercept.Policy{
		Gate: &gate.Policy{
			ACL: t.Policy, NoRule: tunnelLimits, Limits: make([]limit.Limits, len(t.Rules)),
			MaxTunnels: room, Dialer: s.dialer(f.cfg), Handshake: f.cfg.Timeouts.Handshake, Idle: f.cfg.Timeouts.Idle,
		},
		Registries: make(map[string]string), Blobs: make(map[string]intercept.Blobs),
		Admits: f.policy.AdmitsClient, Authority: f.authority, Waiting: f.cfg.Limits.Connections, MaxWaiting: room,
	}
	for i, r := range t.Rules {
		p.Gate.Limits[i] = tunnelLimits.Own(r.Name, int64(r.Download), int64(r.Upload))
	}
	for _, r := range f.registries {
		for _, host := range hostsOf(r.settings) {
			at, err := intercept.Endpoint(host)
			if err != nil {
				return nil, err
			}
			p.Registries[at] = r.settings.Name
			if host == ownHost(r.settings) { // what is no pull goes there: it may give tokens
				p.Blobs[at] = intercept.Blobs{Registry: r.settings.Name, Tokens: true, Admits: f.admits(r.settings.Name), Transport: r.client.Transport()}
			}
		}
	}
	with := make(map[string][]string) // the registries that have a host of blobs
	for _, r := range f.registries {
		for _, host := range r.settings.BlobHosts {
			at, err := intercept.Endpoint(host)
			if err != nil {
				return nil, err
			}
			if _, is := p.Registries[at]; !is {
				with[at] = append(with[at], r.settings.Name)
				p.Blobs[at] = intercept.Blobs{Registry: r.settings.Name, Admits: f.admits(with[at]...), Transport: r.client.Transport()}
			}
		}
	}
	return p, nil
}

// admits tells whether a client may pull from one of these registries: rules are of
// registries as a whole. Nobody logs in on the transparent way.
func (f *force) admits(registries ...string) func(client netip.Addr) bool {
	return func(client netip.Addr) bool {
		return slices.ContainsFunc(registries, func(name string) bool {
			return f.policy.Decide(client, "", oci.Repository{Registry: name}).Allowed
		})
	}
}

// reaches tells whether a client gets to a registry's server of tokens by the
// transparent way: it is the registry itself, or a rule lets the client go there.
func (f *force) reaches(client netip.Addr, registry string, realm *url.URL) bool {
	for _, r := range f.registries {
		if r.settings.Name == registry && realm.Host == ownHost(r.settings) {
			return true
		}
	}
	host, err := acl.ParseHost(realm.Hostname())
	if err != nil || f.cfg.Transparent == nil {
		return false
	}
	port := uint16(443)
	if p := realm.Port(); p != "" {
		if port, err = acl.ParsePort(p); err != nil {
			return false
		}
	}
	return f.cfg.Transparent.Policy.Decide(acl.Request{Client: client, Host: host, Port: port}).Passes()
}

// ownHost returns the host at which an upstream is asked, if clients that mean it ask
// there too; otherwise "".
func ownHost(u settings.Upstream) string {
	if u.URL.Port() == "" && u.URL.Scheme == "https" {
		return u.URL.Hostname()
	}
	return ""
}

// tunnelLimits are those of a client of the transparent way, as the proxy has them where
// its file says nothing. Rates have the rules that name one.
var tunnelLimits = limit.Limits{Tunnels: 1024, New: 200}

// hostsOf returns the hosts that clients ask when they mean a registry.
func hostsOf(u settings.Upstream) []string {
	hosts := append([]string{u.Name}, u.Aliases...)
	if own := ownHost(u); own != "" {
		hosts = append(hosts, own)
	}
	return hosts
}
