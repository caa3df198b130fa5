package server

import (
	"net"
	"net/netip"
	"strings"

	"sluice/internal/config"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/limit"
)

// policy builds what the gate decides by.
func (s *Server) policy(f *force) *gate.Policy {
	cfg := f.cfg
	d := dialer(cfg, s.isOwn)
	if f.room.extra > 0 {
		d.Extra = egress.NewExtra(f.room.extra)
	}
	return &gate.Policy{
		ACL:        cfg.Policy,
		Limits:     limitsOf(cfg),
		NoRule:     limitsWithoutRule(cfg),
		Users:      gate.NewUsers(hashes(cfg.Users)),
		Handshake:  cfg.Timeouts.Handshake,
		Idle:       cfg.Timeouts.Idle,
		MaxTunnels: f.room.tunnels,
		Recheck:    cfg.Server.Recheck,
		Dialer:     d,
	}
}

func dialer(cfg *config.Config, own func(netip.AddrPort) bool) *egress.Dialer {
	return &egress.Dialer{
		AllowPrivate: cfg.Egress.AllowPrivate,
		Resolver:     cfg.Egress.Resolver,
		Prefer:       egress.Prefer(cfg.Egress.Prefer),
		Timeout:      cfg.Timeouts.Dial,
		Own:          own,
	}
}

// Refuses returns why a proxy of this configuration, on this machine, dials an
// address never, or nil. Ports that the system chooses at the start are not known
// here.
func Refuses(cfg *config.Config, a netip.AddrPort) *egress.Error {
	var own []netip.AddrPort
	add := func(address string) {
		if l, err := net.ResolveTCPAddr("tcp", address); err == nil && l.Port != 0 {
			own = append(own, l.AddrPort())
		}
	}
	for _, l := range cfg.Listeners {
		add(l.Address)
	}
	if cfg.Admin != "" && !strings.HasPrefix(cfg.Admin, "unix:") {
		add(cfg.Admin)
	}
	return dialer(cfg, egress.OwnAddrs(own)).Refuses(a)
}

// limitsOf resolves the limits of each rule. Rules without a rate of their own
// share one budget per client and direction.
func limitsOf(cfg *config.Config) []limit.Limits {
	list := make([]limit.Limits, len(cfg.Rules))
	for i, r := range cfg.Rules {
		list[i] = limitsWithoutRule(cfg).Own(r.Name, int64(r.Download), int64(r.Upload))
	}
	return list
}

func limitsWithoutRule(cfg *config.Config) limit.Limits {
	return limit.Limits{
		Tunnels: cfg.Limits.Tunnels, New: cfg.Limits.NewTunnels, Burst: cfg.Limits.Burst,
		Download: int64(cfg.Limits.Download), Upload: int64(cfg.Limits.Upload),
	}
}

func hashes(users []config.User) map[string][]byte {
	m := make(map[string][]byte, len(users))
	for _, u := range users {
		m[u.Name] = u.Hash
	}
	return m
}

// isOwn tells whether an address must not be reached through the proxy.
func (s *Server) isOwn(a netip.AddrPort) bool { return (*s.own.Load())(a) }

// setOwn makes the addresses of sockets own: those in force and, in a reload, those that
// are about to be. So one is no destination from when it listens until it is closed, and
// not only under the policy that names it.
func (s *Server) setOwn(o *opening) {
	f := s.force.Load()
	list := ownAddrs(f.listeners, f.admin)
	if o != nil {
		list = append(list, ownAddrs(o.fresh, o.admin)...)
	}
	own := egress.OwnAddrs(list)
	s.own.Store(&own)
}

func ownAddrs(listeners []*listener, admin *adminServer) (own []netip.AddrPort) {
	for _, l := range listeners {
		own = append(own, l.addr())
	}
	if admin != nil {
		if a, err := netip.ParseAddrPort(admin.listener.Addr().String()); err == nil {
			own = append(own, a)
		}
	}
	return own
}
