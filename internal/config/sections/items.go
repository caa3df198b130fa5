package sections

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"sluice/acl"
	"sluice/internal/config/strict"
)

// Presets are the destination presets that a rule may name with "@".
type Presets struct {
	Lookup acl.PresetFunc // nil: there are none
	Names  []string       // for the message about one that does not exist
}

// addressFault says what to write instead of something that is neither an
// address nor a CIDR.
func addressFault(s string, err error) *strict.Fault {
	f := strict.AsFault(err)
	if f.Fix != "" {
		return f
	}
	f.Fix = `write an address or a network, such as "192.0.2.10" or "192.0.2.0/24"`
	network, mask, _ := strings.Cut(s, "/")
	if bits, ok := maskBits(mask); ok {
		if a, err := netip.ParseAddr(network); err == nil && a.Is4() {
			f.Fix = fmt.Sprintf("write %q", netip.PrefixFrom(a, bits).Masked())
		}
		return f
	}
	switch s {
	case "all", "any", "*", "everyone":
		f.Fix = `write the networks that are meant; all of the Internet is "0.0.0.0/0" and "::/0"`
		return f
	}
	if h, err := acl.ParseHost(s); err == nil && !h.IsAddr() {
		f.Problem = fmt.Sprintf("%q is a name, and clients are known by address only", s)
	}
	return f
}

// maskBits reads a netmask such as 255.255.255.0, as Squid's files have them.
func maskBits(s string) (int, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	ones, bits := net.IPMask(a.AsSlice()).Size()
	return ones, bits != 0
}

// fault says what to write instead in `to`.
func (p Presets) fault(s string, err error) *strict.Fault {
	var noPreset *acl.PresetError
	if errors.As(err, &noPreset) {
		f := &strict.Fault{Problem: err.Error()}
		if near := strict.Nearest(noPreset.Name, p.Names); near != "" {
			f.Fix = fmt.Sprintf("did you mean %q?", "@"+near)
		} else if len(p.Names) > 0 {
			f.Fix = "the presets are @" + strings.Join(p.Names, ", @")
		}
		return f
	}
	f := strict.AsFault(err)
	if strings.Contains(s, "://") {
		f.Problem = fmt.Sprintf("%q is a URL, and only hosts can be named here", s)
	}
	switch host, port := hostOfURL(s); {
	case f.Fix != "":
	case s == "*" || s == "any" || s == "all":
		f.Fix = "leave `to` out: the rule is then for every destination"
	case host != "" && port != "":
		f.Fix = fmt.Sprintf("write %q here, and the port in ports = [%s]", host, port)
	case host != "" && host != s:
		f.Fix = fmt.Sprintf("write %q", host)
	default:
		f.Fix = `write a name, "*.example.com", ".example.com", an address, a CIDR or a "@preset"`
	}
	return f
}

// hostOfURL finds the host, and the port if there is one, in a URL or in
// "host:port"; "" for what has none.
func hostOfURL(s string) (host, port string) {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	s, _, _ = strings.Cut(s, "/")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = s, ""
	}
	if _, err := acl.ParseHost(host); err != nil {
		return "", ""
	}
	if _, err := acl.ParsePort(port); err != nil {
		port = ""
	}
	return host, port
}
