package mirror

import (
	"net"
	"net/netip"
	"net/url"
	"reflect"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/upstream"
)

// registry is an upstream that is in use, and what it was made from.
type registry struct {
	settings settings.Upstream
	client   *upstream.Registry
}

// registries returns the clients of all upstreams. Those that are the same as before
// stay, with their tokens and pauses. After an error there is nothing to close.
func (s *Server) registries(cfg *settings.Config, before *force) (list []registry, err error) {
	var fresh []*upstream.Registry
	defer func() {
		if err != nil {
			for _, r := range fresh {
				r.Close()
			}
		}
	}()
	keep := before != nil && sameWay(before.cfg, cfg)
	for _, u := range cfg.Upstreams {
		r := registry{settings: u}
		if keep {
			r.client = before.find(u)
		}
		if r.client == nil {
			if r.client, err = s.registry(u, cfg); err != nil {
				return nil, err
			}
			fresh = append(fresh, r.client)
		}
		list = append(list, r)
	}
	return list, nil
}

func (s *Server) registry(u settings.Upstream, cfg *settings.Config) (*upstream.Registry, error) {
	return upstream.New(upstream.Options{
		Name: u.Name, URL: u.URL,
		Username: u.Username, PasswordFile: u.PasswordFile, PasswordEnv: u.PasswordEnv, Helper: u.Helper, Realm: u.Realm,
		CA: u.CA, Proxy: u.Proxy, Dialer: s.dialer(cfg), Home: written(u.URL),
		UserAgent: "sluice-mirror/" + s.o.Version, Via: s.via,
		Observe: s.metrics.Upstream, Log: s.log,
	})
}

// written returns the address that a URL has for a host: who writes one that is not
// public, or localhost, wants it dialled for this upstream, at this port. What a name
// resolves to, and where the upstream sends its clients, nobody has written.
func written(u *url.URL) []netip.Prefix {
	host := u.Hostname()
	if host == "localhost" {
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return nil
	}
	a = acl.Unwrap(a)
	return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}
}

// sameWay tells whether two configurations reach upstreams in the same way.
func sameWay(a, b *settings.Config) bool {
	return reflect.DeepEqual(a.Egress, b.Egress) && a.Timeouts == b.Timeouts
}

func (s *Server) dialer(cfg *settings.Config) *egress.Dialer {
	return &egress.Dialer{
		AllowPrivate: cfg.Egress.AllowPrivate,
		Resolver:     cfg.Egress.Resolver,
		Prefer:       egress.Prefer(cfg.Egress.Prefer),
		Timeout:      cfg.Timeouts.Dial,
		Own:          s.isOwn,
	}
}

// isOwn tells whether an address must not be dialled, because the mirror itself listens
// there.
func (s *Server) isOwn(a netip.AddrPort) bool { return (*s.own.Load())(a) }

// setOwn makes the addresses of these listeners own.
func (s *Server) setOwn(listeners []*listener) {
	var list []netip.AddrPort
	for _, l := range listeners {
		if tcp, ok := l.net.Addr().(*net.TCPAddr); ok {
			list = append(list, tcp.AddrPort())
		}
	}
	own := egress.OwnAddrs(list)
	s.own.Store(&own)
}

// find returns the client of an upstream that is the same as before, or nil.
func (f *force) find(u settings.Upstream) *upstream.Registry {
	for _, r := range f.registries {
		if reflect.DeepEqual(r.settings, u) {
			return r.client
		}
	}
	return nil
}
