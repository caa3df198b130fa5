package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"sluice/acl"
)

// endpoint is an address to listen on. Its parts were read strictly: the
// resolver of package net takes port 4294967376 for 80.
type endpoint struct {
	host string     // a name; "" if there is an address, or none
	ip   netip.Addr // invalid: none
	port uint16     // 0: the system chooses
	what string     // "listener" or "admin address", for messages
	at   where
}

// String is the address in its one spelling.
func (e endpoint) String() string {
	if e.ip.IsValid() {
		return netip.AddrPortFrom(e.ip, e.port).String()
	}
	return e.host + ":" + strconv.Itoa(int(e.port))
}

// clashes tells whether not both can be listened on.
func (e endpoint) clashes(o endpoint) bool {
	return e.port == o.port && e.port != 0 && (e.takes(o) || o.takes(e))
}

// takes tells whether listening on e leaves no place on its port for o. Without
// an address, and with "::", it is both families; with 0.0.0.0 it is IPv4.
func (e endpoint) takes(o endpoint) bool {
	switch {
	case e.host != "" || e.ip.IsValid() && !e.ip.IsUnspecified():
		return e.host == o.host && e.ip == o.ip
	case e.ip.Is4():
		return !o.ip.Is6()
	}
	return true
}

// parseEndpoint reads "host:port", ":port" or "[ipv6]:port".
func parseEndpoint(s string) (endpoint, *fault) {
	bad := faultf(`write an address and a port, such as "192.0.2.1:3128", ":3128" or "[::1]:3128"`, "%q is not an address to listen on", s)
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		switch a, err := netip.ParseAddr(s); {
		case err == nil:
			bad.fix = fmt.Sprintf("add the port: %q", netip.AddrPortFrom(a, 3128))
		case isDigits(s):
			bad.fix = fmt.Sprintf("write %q", ":"+s)
		case strings.Count(s, ":") > 1 && !strings.Contains(s, "/"):
			bad.fix = `write an IPv6 address in brackets, as in "[::1]:3128"`
		}
		return endpoint{}, bad
	}
	var e endpoint
	if e.port, err = listenPort(port); err != nil {
		return endpoint{}, faultf("write a port from 1 to 65535, or 0 to let the system choose", "%q has no valid port", s)
	}
	if host == "" {
		return e, nil
	}
	if e.ip, err = netip.ParseAddr(host); err == nil {
		e.ip = e.ip.Unmap()
		return e, nil
	}
	name, err := acl.ParseHost(host)
	switch {
	case host == "*":
		bad.fix = fmt.Sprintf("write %q for all addresses", ":"+port)
		return endpoint{}, bad
	case err != nil:
		return endpoint{}, bad
	case name.IsAddr():
		bad.fix = fmt.Sprintf("write %q", name.Join(e.port))
		return endpoint{}, bad
	}
	e.host = name.Name()
	return e, nil
}

func listenPort(s string) (uint16, error) {
	if s == "0" {
		return 0, nil
	}
	return acl.ParsePort(s)
}

// listeners takes those of the flags, of the file, or the default ones.
func (b *builder) listeners() {
	type source struct {
		address string
		Protocol
		at where
	}
	var list []source
	for i, l := range b.file.Listener {
		list = append(list, source{l.Address, choice(l.Protocol, Auto, HTTP, SOCKS5), inFile("listener", i, "address")})
	}
	if len(b.flags.Listen) > 0 {
		list = nil
	}
	for _, a := range b.flags.Listen {
		list = append(list, source{a, Auto, onFlag("--listen")})
	}
	if len(list) == 0 {
		list = []source{{":3128", Auto, inFile("listener")}, {":1080", SOCKS5, inFile("listener")}}
	}
	for _, l := range list {
		if l.address == "" && l.at.flag == "" {
			if !b.errs.has(l.at) {
				b.errs.addf(l.at, `write address = ":3128"`, "the listener has no address")
			}
			continue
		}
		if e, ok := b.endpoint("listener", l.address, l.at); ok {
			b.config.Listeners = append(b.config.Listeners, Listener{e.String(), l.Protocol})
		}
	}
}

// endpoint reads an address and holds it against those before it.
func (b *builder) endpoint(what, s string, at where) (endpoint, bool) {
	e, f := parseEndpoint(s)
	if f != nil {
		b.errs.add(at, f)
		return e, false
	}
	e.what, e.at = what, at
	for _, other := range b.endpoints {
		if e.clashes(other) {
			if at.flag == "" && s == tagOf[fileAdmin]("Address").Get("default") {
				at = other.at // the default is written nowhere
			}
			b.errs.addf(at, "give each its own port", "the %s %q and the %s %q cannot both be had", other.what, other, e.what, e)
			return e, false
		}
	}
	b.endpoints = append(b.endpoints, e)
	return e, true
}

// admin takes the flag, the file's address or the default one. It comes after
// the listeners.
func (b *builder) admin() {
	address, at := b.file.Admin.Address, inFile("admin", "address")
	if b.flags.Admin != nil {
		address, at = *b.flags.Admin, onFlag("--admin")
	}
	if address == "" || b.flags.Admin == nil && b.errs.has(at) {
		return
	}
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		if f := checkSocket(socket); f != nil {
			b.errs.add(at, f)
		}
		b.config.Admin = address
		return
	}
	e, ok := b.endpoint("admin address", address, at)
	if !ok {
		return
	}
	b.config.Admin = e.String()
	if !e.ip.IsLoopback() && e.host != "localhost" {
		b.warns.addf(at, `write "127.0.0.1:9128" or "unix:/run/sluice/admin.sock", or let a firewall guard it`,
			"the admin address %q can be reached from other machines, and asks for no password", e)
	}
}

// maxSocketPath is sun_path of sockaddr_un less its closing zero (unix(7)).
const maxSocketPath = 107

func checkSocket(s string) *fault {
	switch {
	case !path.IsAbs(s) || path.Clean(s) != s || s == "/":
		return faultf(`write an absolute path, as in "unix:/run/sluice/admin.sock"`, "%q is not the path of a socket", s)
	case len(s) > maxSocketPath:
		return faultf("", "the path of a socket has at most %d bytes", maxSocketPath)
	}
	return nil
}

func (b *builder) egress() {
	e := b.file.Egress
	b.config.Egress.Prefer = choice(e.Prefer, PreferAuto, PreferIPv4, PreferIPv6)
	for i, s := range e.AllowPrivate {
		b.allowPrivate(s, inFile("egress", "allow_private", i))
	}
	for _, s := range b.flags.AllowPrivate {
		b.allowPrivate(s, onFlag("--allow-private"))
	}
	for i, s := range e.Resolver {
		if s == "" {
			continue // reported by the decoder
		}
		server, f := parseServer(s)
		if f != nil {
			b.errs.add(inFile("egress", "resolver", i), f)
		}
		b.config.Egress.Resolver = append(b.config.Egress.Resolver, server)
	}
}

func (b *builder) allowPrivate(s string, at where) {
	p, err := acl.ParsePrefix(s)
	switch {
	case err == nil:
		b.config.Egress.AllowPrivate = append(b.config.Egress.AllowPrivate, p)
		b.warnPrivate(p, at)
	case s != "" || at.flag != "":
		b.errs.add(at, addressFault(s, err))
	}
}

// parseServer reads a name server's address, with port 53 if none is given.
func parseServer(s string) (netip.AddrPort, *fault) {
	a, err := netip.ParseAddr(s)
	if err == nil {
		return checkServer(s, netip.AddrPortFrom(a, 53))
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil {
		return p, faultf(`write an address and a port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`, "%q is not a name server", s)
	}
	return checkServer(s, p)
}

func checkServer(s string, p netip.AddrPort) (netip.AddrPort, *fault) {
	if p.Port() == 0 || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
		return p, faultf("write the server's own address, and a port from 1 to 65535", "%q is not a name server", s)
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}
