package acl

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Host is the destination host as a client asked for it, in the one spelling
// that rules are matched on: either a name or an address, never both. The zero
// value is no host.
type Host struct {
	name string
	addr netip.Addr
}

// maxName is the longest name in text form without the trailing dot
// (RFC 1035, section 2.3.4: 255 octets on the wire).
const maxName = 253

// Errors of ParseHost. Their texts are told to clients, so they never repeat
// what the client sent.
var (
	ErrHostEmpty   = errors.New("the host is empty")
	ErrHostTooLong = errors.New("the host name is too long")
	ErrHostZone    = errors.New("an address with a zone is not accepted")
	ErrHostBad     = errors.New("the host is not a valid name or address")
)

// ParseHost brings a host into its one spelling. Names are lower-cased, lose
// one trailing dot and go through IDNA to ASCII (RFC 5891). IPv6 may stand in
// brackets; an IPv4-mapped address becomes the IPv4 address. A name that ends in
// a number is an IPv4 address in one of the forms of inet_aton(3) (decimal,
// octal, hex, short), as resolvers and the WHATWG URL standard read it, or is
// refused: so 127.1, 0x7f000001 and 127.0.0.1 are all matched as one address.
// Zones, percent signs, control characters and spaces are refused.
func ParseHost(s string) (Host, error) {
	if s == "" {
		return Host{}, ErrHostEmpty
	}
	if s[0] == '[' {
		if len(s) < 2 || s[len(s)-1] != ']' {
			return Host{}, ErrHostBad
		}
		a, err := parseIPv6(s[1 : len(s)-1])
		return Host{addr: a}, err
	}
	if strings.IndexByte(s, ':') >= 0 {
		a, err := parseIPv6(s)
		return Host{addr: a}, err
	}
	name, err := normalName(s)
	if err != nil {
		return Host{}, err
	}
	if endsInNumber(name) {
		a, ok := parseIPv4(name)
		if !ok {
			return Host{}, ErrHostBad
		}
		return Host{addr: a}, nil
	}
	return Host{name: name}, nil
}

// HostFromAddr is the Host of a client that asks by address. The address must
// have no zone.
func HostFromAddr(a netip.Addr) (Host, error) {
	if !a.IsValid() {
		return Host{}, ErrHostEmpty
	}
	if a.Zone() != "" {
		return Host{}, ErrHostZone
	}
	return Host{addr: a.Unmap()}, nil
}

// Name returns the name in ASCII, lower case, without trailing dot; "" when the
// client asked by address.
func (h Host) Name() string { return h.name }

// Addr returns the address, unmapped; invalid when the client asked by name.
func (h Host) Addr() netip.Addr { return h.addr }

// IsAddr tells whether the client asked by address.
func (h Host) IsAddr() bool { return h.addr.IsValid() }

// String returns the name or the address, the latter without brackets.
func (h Host) String() string {
	if h.addr.IsValid() {
		return h.addr.String()
	}
	return h.name
}

// Join returns host and port as one text, IPv6 in brackets.
func (h Host) Join(port uint16) string {
	if h.addr.IsValid() {
		return netip.AddrPortFrom(h.addr, port).String()
	}
	return h.name + ":" + strconv.Itoa(int(port))
}

func parseIPv6(s string) (netip.Addr, error) {
	if strings.IndexByte(s, '%') >= 0 {
		return netip.Addr{}, ErrHostZone
	}
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() {
		return netip.Addr{}, ErrHostBad
	}
	return a.Unmap(), nil
}

// normalName lower-cases and checks a name. Underscores pass, for names of the
// DNS have them (RFC 2181, section 11).
func normalName(s string) (string, error) {
	if len(s) > 4*maxName {
		return "", ErrHostTooLong
	}
	s = strings.TrimSuffix(s, ".")
	if s == "" {
		return "", ErrHostBad
	}
	ascii, upper := true, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		ascii = ascii && c < 0x80
		upper = upper || 'A' <= c && c <= 'Z'
	}
	if !ascii {
		// idna replaces bytes that are not UTF-8 by U+FFFD and encodes that.
		if !utf8.ValidString(s) {
			return "", ErrHostBad
		}
		var err error
		if s, err = idna.Lookup.ToASCII(s); err != nil {
			return "", ErrHostBad
		}
		s = strings.TrimSuffix(s, ".")
	} else if upper {
		s = strings.ToLower(s)
	}
	if len(s) > maxName {
		return "", ErrHostTooLong
	}
	return s, checkLabels(s)
}

// checkLabels holds every label to letters, digits, hyphen and underscore, 1 to
// 63 of them (RFC 1035, section 2.3.4).
func checkLabels(s string) error {
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			c := s[i]
			if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return ErrHostBad
			}
			continue
		}
		if n := i - start; n == 0 || n > 63 {
			return ErrHostBad
		}
		start = i + 1
	}
	return nil
}

// endsInNumber tells whether the last label is digits only or a hex number,
// which makes the whole an address (WHATWG URL, "ends in a number").
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if rest, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(rest, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

// parseIPv4 reads the forms of inet_aton(3): one to four parts, each decimal,
// octal (leading 0) or hex (leading 0x); the last part fills what is left.
func parseIPv4(name string) (netip.Addr, bool) {
	parts := strings.Split(name, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var v uint64
	for i, p := range parts {
		n, err := parseIPv4Part(p)
		if err != nil {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false
			}
			v |= n << (24 - 8*i)
			continue
		}
		if n >= 1<<(8*(4-i)) {
			return netip.Addr{}, false
		}
		v |= n
	}
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), true
}

func parseIPv4Part(p string) (uint64, error) {
	switch {
	case p == "":
		return 0, ErrHostBad
	case p == "0x":
		return 0, nil // inet_aton reads "0x" as zero
	case strings.HasPrefix(p, "0x"):
		return strconv.ParseUint(p[2:], 16, 33)
	case len(p) > 1 && p[0] == '0':
		return strconv.ParseUint(p[1:], 8, 33)
	}
	return strconv.ParseUint(p, 10, 33)
}

// ParsePort reads a port as a decimal number from 1 to 65535 and nothing else:
// no sign, no service name, no wrapping of large numbers.
func ParsePort(s string) (uint16, error) {
	if s == "" || len(s) > 5 || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("the port is not a number from 1 to 65535")
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("the port is not a number from 1 to 65535")
	}
	return uint16(n), nil
}
