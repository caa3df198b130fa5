//go:build linux

package lab

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// Proxy is a running `sluice serve` on a host.
type Proxy struct {
	recorder
	addr  netip.AddrPort // of its first listener, as other hosts reach it
	socks netip.AddrPort // of a listener that speaks SOCKS5
}

// StartSluice runs `sluice serve` with these arguments on the host and waits
// until all its listeners are open. The arguments may have --listen or --config;
// the design's default ports are expected otherwise.
func StartSluice(t testing.TB, h *Host, args ...string) *Proxy {
	t.Helper()
	p := new(Proxy)
	cmd := h.Command(context.Background(), Sluice(t), append([]string{"serve"}, args...)...)
	cmd.Stdout = &lineWriter{line: p.read}
	listeners := listenersOf(t, args)
	p.addr = listeners[0].at(t, h)
	p.socks = p.addr
	ports := make([]uint16, 0, len(listeners))
	for _, l := range listeners {
		ports = append(ports, l.at(t, h).Port())
		if l.Protocol == "socks5" {
			p.socks = l.at(t, h)
		}
	}
	p.Daemon = h.StartCommand(t, cmd)
	p.WaitListen(t, ports...)
	return p
}

// Addr is the address of the first listener, as another host reaches it.
func (p *Proxy) Addr() netip.AddrPort { return p.addr }

// URL is the proxy as a client's setting wants it: scheme http, or socks5 (and
// socks5h) for a listener that speaks SOCKS5.
func (p *Proxy) URL(scheme string) string {
	if strings.HasPrefix(scheme, "socks") {
		return scheme + "://" + p.socks.String()
	}
	return scheme + "://" + p.addr.String()
}

// listener is what the lab has to know of a [[listener]] of the configuration.
type listener struct {
	Address  string
	Protocol string
}

func listenersOf(t testing.TB, args []string) []listener {
	t.Helper()
	var found []listener
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if !strings.HasPrefix(arg, "-") || !joined && i+1 == len(args) {
			continue
		}
		if !joined {
			value = args[i+1]
		}
		switch name {
		case "listen":
			found = append(found, listener{Address: value, Protocol: "auto"})
		case "config":
			var file struct{ Listener []listener }
			if _, err := toml.DecodeFile(value, &file); err != nil {
				t.Fatal(err)
			}
			found = append(found, file.Listener...)
		}
	}
	if len(found) == 0 {
		return []listener{{":3128", "auto"}, {":1080", "socks5"}}
	}
	return found
}

// at is the listener's address as other hosts reach it: the host's own address
// where it listens on all.
func (l listener) at(t testing.TB, h *Host) netip.AddrPort {
	t.Helper()
	name, port, err := net.SplitHostPort(l.Address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netip.ParseAddr(name)
	if err != nil || a.IsUnspecified() {
		a = h.Addr()
	}
	return netip.AddrPortFrom(a, uint16(number))
}
