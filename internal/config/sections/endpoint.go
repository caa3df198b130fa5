package sections

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// Endpoint is an address to listen on. Its parts were read strictly: the
// resolver of package net takes port 4294967376 for 80.
type Endpoint struct {
	host string     // a name; "" if there is an address, or none
	ip   netip.Addr // invalid: none
	port uint16     // 0: the system chooses
	what string     // "listener" or "admin address", for messages
	at   strict.Where
}

// IsLoopback tells whether only this machine reaches it.
func (e Endpoint) IsLoopback() bool { return e.ip.IsLoopback() || e.host == "localhost" }

// String is the address in its one spelling.
func (e Endpoint) String() string {
	if e.ip.IsValid() {
		return netip.AddrPortFrom(e.ip, e.port).String()
	}
	return e.host + ":" + strconv.Itoa(int(e.port))
}

// clashes tells whether not both can be listened on.
func (e Endpoint) clashes(o Endpoint) bool {
	return e.port == o.port && e.port != 0 && (e.takes(o) || o.takes(e))
}

// takes tells whether listening on e leaves no place on its port for o. Without
// an address, and with "::", it is both families; with 0.0.0.0 it is IPv4.
func (e Endpoint) takes(o Endpoint) bool {
	switch {
	case e.host != "" || e.ip.IsValid() && !e.ip.IsUnspecified():
		return e.host == o.host && e.ip == o.ip
	case e.ip.Is4():
		return !o.ip.Is6()
	}
	return true
}

// parseEndpoint reads "host:port", ":port" or "[ipv6]:port"; messages have the port
// usual as an example.
func parseEndpoint(s string, usual uint16) (Endpoint, *strict.Fault) {
	bad := strict.Faultf(fmt.Sprintf(`write an address and a port, such as "192.0.2.1:%d", ":%[1]d" or "[::1]:%[1]d"`, usual), "%q is not an address to listen on", s)
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		switch a, err := netip.ParseAddr(s); {
		case err == nil:
			bad.Fix = fmt.Sprintf("add the port: %q", netip.AddrPortFrom(a, usual))
		case isDigits(s):
			bad.Fix = fmt.Sprintf("write %q", ":"+s)
		case strings.Count(s, ":") > 1 && !strings.Contains(s, "/"):
			bad.Fix = fmt.Sprintf(`write an IPv6 address in brackets, as in "[::1]:%d"`, usual)
		}
		return Endpoint{}, bad
	}
	var e Endpoint
	if e.port, err = listenPort(port); err != nil {
		return Endpoint{}, strict.Faultf("write a port from 1 to 65535, or 0 to let the system choose", "%q has no valid port", s)
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
		bad.Fix = fmt.Sprintf("write %q for all addresses", ":"+port)
		return Endpoint{}, bad
	case err != nil:
		return Endpoint{}, bad
	case name.IsAddr():
		bad.Fix = fmt.Sprintf("write %q", name.Join(e.port))
		return Endpoint{}, bad
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

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// Addresses are those that a process is to listen on.
type Addresses struct {
	Report *Report
	Port   uint16 // a listener's usual one, for messages
	Admin  string // the usual admin address, likewise
	Socket string // the usual path of the admin socket, likewise
	taken  []Endpoint
}

// Take reads an address and holds it against those before it. What it is goes into
// messages, such as "listener".
func (a *Addresses) Take(what, s string, at strict.Where) (e Endpoint, ok bool) {
	e, f := parseEndpoint(s, a.Port)
	if f != nil {
		a.Report.Errors.Add(at, f)
		return e, false
	}
	e.what, e.at = what, at
	for _, other := range a.taken {
		if e.clashes(other) {
			if at.Flag == "" && s == a.Admin {
				at = other.at // the default is written nowhere
			}
			a.Report.Errors.Addf(at, "give each its own port", "the %s %q and the %s %q cannot both be had", other.what, other, e.what, e)
			return e, false
		}
	}
	a.taken = append(a.taken, e)
	return e, true
}

// TakeAdmin reads the admin address, "host:port" or "unix:/path", and returns it in its
// one spelling, or "" if it is wrong. It comes after the listeners.
func (a *Addresses) TakeAdmin(s string, at strict.Where) string {
	if socket, ok := strings.CutPrefix(s, "unix:"); ok {
		if f := a.checkSocket(socket); f != nil {
			a.Report.Errors.Add(at, f)
		}
		return s
	}
	e, ok := a.Take("admin address", s, at)
	if !ok {
		return ""
	}
	if !e.IsLoopback() {
		a.Report.Warnings.Addf(at, fmt.Sprintf("write %q or %q, or let a firewall guard it", a.Admin, "unix:"+a.Socket),
			"the admin address %q can be reached from other machines, and asks for no password", e)
	}
	return e.String()
}

// maxSocketPath is sun_path of sockaddr_un less its closing zero (unix(7)).
const maxSocketPath = 107

func (a *Addresses) checkSocket(s string) *strict.Fault {
	switch {
	case !path.IsAbs(s) || path.Clean(s) != s || s == "/":
		return strict.Faultf(fmt.Sprintf("write an absolute path, as in %q", "unix:"+a.Socket), "%q is not the path of a socket", s)
	case len(s) > maxSocketPath:
		return strict.Faultf("", "the path of a socket has at most %d bytes", maxSocketPath)
	}
	return nil
}
