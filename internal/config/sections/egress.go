package sections

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// EgressTable is [egress] as it is written.
type EgressTable struct {
	AllowPrivate []string `toml:"allow_private" example:"10.0.0.0/8"`
	Resolver     Resolver `toml:"resolver" default:"system"`
	Prefer       string   `toml:"prefer" default:"auto" oneof:"auto ipv4 ipv6"`
}

// Egress says how destinations are resolved and dialled.
type Egress struct {
	AllowPrivate []netip.Prefix   // non-public addresses that may be dialled
	Resolver     []netip.AddrPort // nil: the system's
	Prefer       Prefer
}

// Prefer is the address family that is dialled first.
type Prefer uint8

const (
	PreferAuto Prefer = iota // as the resolver orders them
	PreferIPv4
	PreferIPv6
)

// String returns "auto", "ipv4" or "ipv6".
func (p Prefer) String() string {
	switch p {
	case PreferIPv4:
		return "ipv4"
	case PreferIPv6:
		return "ipv6"
	}
	return "auto"
}

// Resolver are the servers to ask; none: the system's.
type Resolver []string

// ReadTOML reads "system" or an array of servers.
func (r *Resolver) ReadTOML(d strict.Decoder, at strict.Where, raw any, tag reflect.StructTag) {
	if s, ok := raw.(string); ok {
		if s != "system" {
			d.Addf(at, fmt.Sprintf(`write "system", or the servers as a list: resolver = [%q]`, "192.0.2.53:53"), "%q is neither \"system\" nor a list", s)
		}
		*r = nil
		return
	}
	list := d.Array(at, raw, tag)
	if list != nil && len(list) == 0 {
		d.Addf(at, `write "system" for the system's resolver`, "the list of servers is empty")
	}
	*r = d.Texts(at, list, `example:"192.0.2.53:53"`)
}

// Read returns what the table says. who is, for messages, whom allow_private lets reach
// something, such as "clients"; more are non-public addresses that --allow-private adds.
func (t EgressTable) Read(r *Report, who string, more []string) Egress {
	e := Egress{Prefer: strict.Choice(t.Prefer, PreferAuto, PreferIPv4, PreferIPv6)}
	allow := func(s string, at strict.Where) {
		p, err := acl.ParsePrefix(s)
		switch {
		case err == nil:
			e.AllowPrivate = append(e.AllowPrivate, p)
			warnPrivate(r, p, at, who)
		case s != "" || at.Flag != "":
			r.Errors.Add(at, addressFault(s, err))
		}
	}
	for i, s := range t.AllowPrivate {
		allow(s, strict.InFile("egress", "allow_private", i))
	}
	for _, s := range more {
		allow(s, strict.OnFlag("--allow-private"))
	}
	for i, s := range t.Resolver {
		if s == "" {
			continue // reported by the decoder
		}
		server, f := parseServer(s)
		if f != nil {
			r.Errors.Add(strict.InFile("egress", "resolver", i), f)
		}
		e.Resolver = append(e.Resolver, server)
	}
	return e
}

// parseServer reads a name server's address, with port 53 if none is given.
func parseServer(s string) (netip.AddrPort, *strict.Fault) {
	a, err := netip.ParseAddr(s)
	if err == nil {
		return checkServer(s, netip.AddrPortFrom(a, 53))
	}
	p, err := netip.ParseAddrPort(s)
	if err != nil {
		return p, strict.Faultf(`write an address and a port, such as "192.0.2.53:53" or "[2001:db8::53]:53"`, "%q is not a name server", s)
	}
	return checkServer(s, p)
}

func checkServer(s string, p netip.AddrPort) (netip.AddrPort, *strict.Fault) {
	if p.Port() == 0 || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
		return p, strict.Faultf("write the server's own address, and a port from 1 to 65535", "%q is not a name server", s)
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}

// warnPrivate points out that a range lets clients reach this very machine, or
// what clouds serve to it alone.
func warnPrivate(r *Report, p netip.Prefix, at strict.Where, who string) {
	local := []struct{ prefix, what string }{
		{"127.0.0.0/8", "services of this machine that listen on loopback"},
		{"::1/128", "services of this machine that listen on loopback"},
		{"169.254.169.254/32", "the cloud's metadata service, with this machine's credentials"},
		{"168.63.129.16/32", "the cloud's metadata service, with this machine's credentials"},
		{"fd00:ec2::254/128", "the cloud's metadata service, with this machine's credentials"},
	}
	var reach []string
	for _, l := range local {
		if p.Overlaps(netip.MustParsePrefix(l.prefix)) && !slices.Contains(reach, l.what) {
			reach = append(reach, l.what)
		}
	}
	if len(reach) > 0 {
		r.Warnings.Addf(at, "", "%s lets %s reach %s", p, who, strings.Join(reach, " and "))
	}
}
