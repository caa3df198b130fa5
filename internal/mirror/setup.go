package mirror

import (
	"net"
	"net/netip"
	"strings"

	"sluice/internal/mirror/front"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/trust"
	"sluice/internal/self"
)

// Told is what clients are told of a mirror that they reach under host, as HOST or
// HOST:PORT, by one of its listeners. ca is the certificate of its authority in PEM, or
// nil.
func Told(cfg *settings.Config, l settings.Listener, host string, ca []byte) trust.Mirror {
	m := trust.Mirror{Host: host, TLS: l.TLS != settings.TLSOff, Trusted: l.TLS == settings.TLSFiles, Login: l.Login, CA: ca}
	for _, u := range cfg.Upstreams {
		m.Registries = append(m.Registries, u.Name)
		if u.Default {
			m.Default = u.Name
		}
	}
	if cfg.Transparent != nil {
		m.Transparent = transparentAt(cfg.Transparent.Address, host)
	}
	return m
}

// transparentAt is where clients reach the transparent way that reach the mirror under
// host, or "" where only this machine does.
func transparentAt(address, host string) string {
	own, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	name := strings.Trim(host, "[]")
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if a, err := netip.ParseAddr(own); own != "" && (err != nil || !a.IsUnspecified()) {
		if b, berr := netip.ParseAddr(name); err == nil && a.IsLoopback() && name != "localhost" && (berr != nil || !b.IsLoopback()) {
			return ""
		}
		name = own
	}
	return net.JoinHostPort(name, port)
}

// Reached guesses under which HOST:PORT other machines reach a listener: the first name
// of its certificate, or else as package self guesses. ok is false when none does.
func Reached(l settings.Listener) (host string, ok bool) {
	name, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		return "", false
	}
	if len(l.Names) > 0 {
		return net.JoinHostPort(l.Names[0], port), true
	}
	if name == "" {
		name = "::"
	}
	if a, err := netip.ParseAddrPort(net.JoinHostPort(name, port)); err == nil {
		return self.Reachable(a, netip.Addr{})
	}
	return l.Address, name != "localhost"
}

// setup answers requests for the scripts that tell clients of a listener.
func (f *force) setup(l settings.Listener) func(front.SetupRequest) ([]byte, bool) {
	return func(r front.SetupRequest) ([]byte, bool) {
		var ca []byte
		if f.authority != nil {
			ca = f.authority.PEM()
		}
		script, ok := trust.Script(r.Client, Told(f.cfg, l, r.Host, ca))
		return []byte(script), ok
	}
}
