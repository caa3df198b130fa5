package mirror

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/internal/mirror/access"
	"sluice/internal/mirror/authority"
	"sluice/internal/mirror/front"
	"sluice/internal/mirror/intercept"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/settings"
)

// force is what is in force: a reload puts another one in its place.
type force struct {
	cfg        *settings.Config
	loaded     time.Time
	policy     *access.Policy
	users      *access.Users
	registries []registry
	authority  *authority.Authority // nil: nobody needs it
	listeners  []*listener
	states     map[*listener]*pullState // of the listeners that images are pulled from
	tunnels    *intercept.Policy        // nil: there is no transparent way
	within     *front.Handler           // of requests to registries through those tunnels

	fresh    []*listener // of listeners: opened for this one
	leaving  []*listener // open, and not in listeners
	warnings []string
}

// ErrFixed says that a configuration changes what is fixed while the mirror runs.
var ErrFixed = errors.New("this changes with a restart only")

// build does all that can fail, and opens what is not open yet; before is nil at the
// start. After an error nothing has changed.
func (s *Server) build(cfg *settings.Config, before *force) (f *force, err error) {
	if before != nil && cfg.Cache.Directory != before.cfg.Cache.Directory {
		return nil, fmt.Errorf("cache.directory is %s, not %s: %w", before.cfg.Cache.Directory, cfg.Cache.Directory, ErrFixed)
	}
	f = &force{cfg: cfg, loaded: time.Now(), states: make(map[*listener]*pullState)}
	if f.policy, err = access.New(cfg.Rules); err != nil {
		return nil, err
	}
	if cfg.UsersFile != "" {
		if f.users, err = access.OpenUsers(cfg.UsersFile, s.log); err != nil {
			return nil, err
		}
	}
	if f.authority, err = openAuthority(cfg); err != nil {
		return nil, fmt.Errorf("authority %s: %w", cfg.Authority, err)
	}
	if f.authority != nil {
		if w := f.authority.Warning(); w != "" {
			f.warnings = append(f.warnings, w)
		}
	}
	if f.registries, err = s.registries(cfg, before); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.abort(before)
		}
	}()
	if cfg.Transparent != nil {
		if f.tunnels, err = s.interceptPolicy(f); err != nil {
			return nil, err
		}
	}
	return f, s.openListeners(f, before)
}

// abort gives up what was opened for it.
func (f *force) abort(before *force) {
	for _, l := range f.fresh {
		l.close()
	}
	for _, r := range f.registries {
		if before == nil || !before.has(r) {
			r.client.Close()
		}
	}
}

func (f *force) has(r registry) bool {
	return slices.ContainsFunc(f.registries, func(q registry) bool { return q.client == r.client })
}

// openListeners finds or opens what the configuration names.
func (s *Server) openListeners(f, before *force) error {
	if before != nil {
		f.leaving = slices.Clone(before.listeners)
	}
	open := func(p place) (*listener, error) {
		if i := slices.IndexFunc(f.leaving, func(l *listener) bool { return l.same(p) }); i >= 0 {
			l := f.leaving[i]
			f.leaving = slices.Delete(f.leaving, i, i+1)
			f.listeners = append(f.listeners, l)
			return l, nil
		}
		ln, err := s.listen(p)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", p.kind, p.address, err)
		}
		l, err := s.newListener(f, p, ln)
		if err != nil {
			ln.Close()
			return nil, err
		}
		f.listeners, f.fresh = append(f.listeners, l), append(f.fresh, l)
		return l, nil
	}
	for _, c := range f.cfg.Listeners {
		l, err := open(place{pulling, c.Address})
		if err != nil {
			return err
		}
		if f.states[l], err = s.pullState(f, c); err != nil {
			return fmt.Errorf("%s %s: %w", pulling, c.Address, err)
		}
	}
	if t := f.cfg.Transparent; t != nil {
		l, err := open(place{transparent, t.Address})
		if err != nil {
			return err
		}
		f.within = s.withinTunnels(f, l)
	}
	if f.cfg.Admin != "" {
		if _, err := open(place{admin, f.cfg.Admin}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) pullState(f *force, c settings.Listener) (*pullState, error) {
	p := &pullState{handler: s.handler(f, c)}
	var err error
	switch c.TLS {
	case settings.TLSFiles:
		var files *authority.Files
		if files, err = authority.NewFiles(c.Certificate, c.Key, s.log); err == nil {
			p.secure = files.TLSConfig()
		}
	case settings.TLSSelf:
		p.secure, err = f.authority.TLSConfig(namesOf(c))
	}
	return p, err
}

// handler answers the requests of a listener, all by what was in force when they came.
func (s *Server) handler(f *force, c settings.Listener) *front.Handler {
	h := &front.Handler{
		Mirror: s.mirror,
		Policy: func() *access.Policy { return s.force.Load().policy },
		Users:  func() *access.Users { return s.force.Load().users },
		Login:  c.Login, Listener: c.Address, Record: s.record, Via: s.via, Idle: f.cfg.Timeouts.Idle,
		Setup: f.setup(c),
	}
	if f.authority != nil {
		h.CA = f.authority.PEM
	}
	return h
}

func (s *Server) record(r *record.Record) {
	s.access.Record(r)
	s.recent.Add(r)
	s.metrics.Count(r)
}

// openAuthority opens the mirror's own authority, if something in the configuration has
// certificates of it.
func openAuthority(cfg *settings.Config) (*authority.Authority, error) {
	names := AuthorityNames(cfg)
	if len(names) == 0 {
		return nil, nil
	}
	return authority.Open(cfg.Authority, names)
}

// AuthorityNames returns the host names and addresses that the mirror's own authority is
// to have certificates for: of its listeners and, on the transparent way, of registries
// and of the hosts that they keep blobs on. With none, the authority is not needed.
func AuthorityNames(cfg *settings.Config) []string {
	var names []string
	for _, l := range cfg.Listeners {
		if l.TLS == settings.TLSSelf {
			names = append(names, namesOf(l)...)
		}
	}
	if cfg.Transparent != nil {
		for _, u := range cfg.Upstreams {
			for _, registry := range append(hostsOf(u), u.BlobHosts...) {
				if at, err := intercept.Endpoint(registry); err == nil { // or New says so
					host, _, _ := net.SplitHostPort(at)
					names = append(names, host)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// namesOf returns the names under which a listener is reached: the configured ones, or
// those of this host.
func namesOf(l settings.Listener) []string {
	if len(l.Names) > 0 {
		return l.Names
	}
	host, _, err := net.SplitHostPort(l.Address)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{host}
	}
	names := []string{"localhost"}
	if name, err := os.Hostname(); err == nil && name != "" {
		names = append(names, strings.ToLower(name))
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return names
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			names = append(names, n.IP.String())
		}
	}
	return names
}

func unixPath(address string) (string, bool) { return strings.CutPrefix(address, "unix:") }

// pullPolicy returns what package pull is to mirror.
func (f *force) pullPolicy() *pull.Policy {
	p := &pull.Policy{Upstreams: make(map[string]pull.Upstream), Aliases: make(map[string]string)}
	for _, r := range f.registries {
		p.Upstreams[r.settings.Name] = pull.Upstream{Registry: r.client, TagTTL: r.settings.TagTTL}
		for _, a := range r.settings.Aliases {
			p.Aliases[a] = r.settings.Name
		}
		if r.settings.Default {
			p.Default = r.settings.Name
		}
	}
	return p
}
