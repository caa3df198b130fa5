package acl

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestHostSpellings(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a" // 253 bytes
	for _, c := range []struct {
		in   string
		want string // "" for an error
		addr bool
	}{
		// Names.
		{in: "example.com", want: "example.com"},
		{in: "EXAMPLE.Com", want: "example.com"},
		{in: "example.com.", want: "example.com"},
		{in: "registry", want: "registry"},
		{in: "xn--bcher-kva.example", want: "xn--bcher-kva.example"},
		{in: "b\u00fccher.example", want: "xn--bcher-kva.example"},
		{in: "B\u00dcCHER.example.", want: "xn--bcher-kva.example"},
		{in: "example\u3002com", want: "example.com"}, // ideographic full stop
		{in: "\uff45xample.com", want: "example.com"}, // full width
		{in: "stra\u00dfe.example", want: "xn--strae-oqa.example"},
		{in: "_acme-challenge.example.com", want: "_acme-challenge.example.com"},
		{in: "a-.b--c.d", want: "a-.b--c.d"},
		{in: "1.example", want: "1.example"},
		{in: "0xg", want: "0xg"},
		{in: "1a", want: "1a"},
		{in: "dead.beef", want: "dead.beef"},
		{in: strings.Repeat("a", 63) + ".b", want: strings.Repeat("a", 63) + ".b"},
		{in: long, want: long},
		{in: long + ".", want: long},

		// IPv4, as inet_aton(3) reads it.
		{in: "127.0.0.1", want: "127.0.0.1", addr: true},
		{in: "127.0.0.1.", want: "127.0.0.1", addr: true},
		{in: "127.1", want: "127.0.0.1", addr: true},
		{in: "127.0.1", want: "127.0.0.1", addr: true},
		{in: "127.65535", want: "127.0.255.255", addr: true},
		{in: "2130706433", want: "127.0.0.1", addr: true},
		{in: "0", want: "0.0.0.0", addr: true},
		{in: "4294967295", want: "255.255.255.255", addr: true},
		{in: "0x7f000001", want: "127.0.0.1", addr: true},
		{in: "0X7F.1", want: "127.0.0.1", addr: true},
		{in: "0x7f.0x0.0x0.0x1", want: "127.0.0.1", addr: true},
		{in: "0x", want: "0.0.0.0", addr: true},
		{in: "0177.0.0.01", want: "127.0.0.1", addr: true},
		{in: "017700000001", want: "127.0.0.1", addr: true},
		{in: "010.8.8.8", want: "8.8.8.8", addr: true},
		{in: "00000000000000000000127.1", want: "87.0.0.1", addr: true}, // octal, however many zeros
		{in: "\u0661\u0662\u0667.0.0.1", want: ""},                      // Arabic digits are not digits here
		{in: "\uff11\uff12\uff17\uff0e\uff10\uff0e\uff10\uff0e\uff11", want: "127.0.0.1", addr: true},
		{in: "\u2460.1.1.1", want: "1.1.1.1", addr: true}, // circled one
		{in: "256.1.1.1"}, {in: "1.256.1"}, {in: "1.2.65536"}, {in: "1.16777216"}, {in: "4294967296"},
		{in: "1.2.3.4.5"}, {in: "08.1.1.1"}, {in: "1.1.1.09"}, {in: "0x100000000"}, {in: "0x1.g.1.1"},
		{in: "example.1"}, {in: "a.0x1f"}, {in: "1..1"}, {in: ".1"}, {in: "99999999999999999999999"},

		// IPv6.
		{in: "::1", want: "::1", addr: true},
		{in: "[::1]", want: "::1", addr: true},
		{in: "2001:DB8:0:0::1", want: "2001:db8::1", addr: true},
		{in: "::ffff:192.0.2.1", want: "192.0.2.1", addr: true},
		{in: "[::ffff:c000:201]", want: "192.0.2.1", addr: true},
		{in: "::192.0.2.1", want: "::c000:201", addr: true},
		{in: "64:ff9b::192.0.2.1", want: "64:ff9b::c000:201", addr: true},
		{in: "[192.0.2.1]"}, {in: "[]"}, {in: "["}, {in: "]"}, {in: "[::1"}, {in: "::1]"}, {in: "[[::1]]"},
		{in: "[example.com]"}, {in: ":"}, {in: ":::"}, {in: "1:2"}, {in: "example.com:443"}, {in: "::1."},
		{in: "::ffff:127.1"}, {in: "::ffff:0177.0.0.1"},
		{in: "[v1.x]"},

		// Zones, percent signs.
		{in: "fe80::1%eth0"}, {in: "[fe80::1%25eth0]"}, {in: "::1%lo"}, {in: "::1%"}, {in: "::ffff:127.0.0.1%1"},
		{in: "example%2ecom"}, {in: "%31"}, {in: "127.0.0.1%eth0"},

		// What is no host.
		{in: ""}, {in: "."}, {in: ".."}, {in: "a..b"}, {in: "a.."}, {in: ".a"}, {in: "*"}, {in: "*.example.com"},
		{in: " "}, {in: "a b"}, {in: " example.com"}, {in: "example.com\n"}, {in: "a\r\nHost: b"}, {in: "a\x00b"},
		{in: "user@example.com"}, {in: "user:pass@example.com"}, {in: "a/b"}, {in: "a\\b"}, {in: "a?b"}, {in: "a#b"},
		{in: "a,b"}, {in: "a;b"}, {in: "a\"b"}, {in: "a'b"}, {in: "a|b"}, {in: "<a>"}, {in: "a\x7fb"}, {in: "\xff"}, {in: "fa\xdf.example"}, {in: "\ufffd.example"},
		{in: "a\u200bb\u202e.example"}, {in: "\u00e9_x.example"}, {in: "-\u00fc.example"},
		{in: strings.Repeat("a", 64) + ".b"}, {in: long + "b"}, {in: strings.Repeat("a.", 127) + "a"},
		{in: strings.Repeat("a", 1<<20)}, {in: strings.Repeat("\u00fc", 300)},
	} {
		h, err := ParseHost(c.in)
		show := c.in
		if len(show) > 80 {
			show = show[:80] + "..."
		}
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%q is taken for %q", show, h)
		case c.want == "":
			if h != (Host{}) {
				t.Errorf("%q: an error and a host: %q", show, h)
			}
			for _, b := range []byte(err.Error()) {
				if b < 0x20 || b > 0x7e {
					t.Errorf("%q: error %q", show, err)
				}
			}
		case err != nil:
			t.Errorf("%q: %v", show, err)
		case h.String() != c.want || h.IsAddr() != c.addr:
			t.Errorf("%q: %q (address: %t), want %q", show, h, h.IsAddr(), c.want)
		case h.IsAddr() == (h.Name() != ""):
			t.Errorf("%q is both or neither: name %q, address %s", show, h.Name(), h.Addr())
		}
	}
}

func TestWhyAHostIsRefused(t *testing.T) {
	for in, want := range map[string]error{
		"":                       ErrHostEmpty,
		"fe80::1%eth0":           ErrHostZone,
		"[fe80::1%25eth0]":       ErrHostZone,
		"a b":                    ErrHostBad,
		strings.Repeat("a", 254): ErrHostTooLong,
		strings.Repeat("a", 9e5): ErrHostTooLong,
	} {
		if _, err := ParseHost(in); !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", in, err, want)
		}
	}
}

func TestHostFromAddr(t *testing.T) {
	if h, err := HostFromAddr(netip.MustParseAddr("::ffff:192.0.2.1")); err != nil || h.String() != "192.0.2.1" {
		t.Errorf("mapped: %s, %v", h, err)
	}
	if _, err := HostFromAddr(netip.Addr{}); !errors.Is(err, ErrHostEmpty) {
		t.Errorf("no address: %v", err)
	}
	for _, s := range []string{"fe80::1%eth0", "::ffff:192.0.2.1%eth0"} {
		if _, err := HostFromAddr(netip.MustParseAddr(s)); !errors.Is(err, ErrHostZone) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestJoin(t *testing.T) {
	for in, want := range map[string]string{
		"Example.com": "example.com:443",
		"127.1":       "127.0.0.1:443",
		"::1":         "[::1]:443",
	} {
		h, err := ParseHost(in)
		if err != nil || h.Join(443) != want {
			t.Errorf("%s: %s, %v", in, h.Join(443), err)
		}
	}
}

func TestPorts(t *testing.T) {
	for in, want := range map[string]uint16{
		"1": 1, "443": 443, "65535": 65535, "00080": 80,
		"": 0, "0": 0, "65536": 0, "99999": 0, "4294967376": 0, "-1": 0, "+80": 0, " 80": 0, "80 ": 0,
		"http": 0, "0x50": 0, "8_0": 0, "\u0668\u0660": 0, "000080": 0, "00000": 0,
	} {
		if got, err := ParsePort(in); got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
}

// What ParseHost accepts it accepts again and unchanged, it is safe to print,
// and addresses are read as net/netip reads them.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{
		"example.com", "EXAMPLE.com.", "127.1", "0x7f.1", "017700000001", "[::1]", "::ffff:1.2.3.4", "fe80::1%eth0",
		"b\u00fccher.example", "xn--bcher-kva", "\uff11\u3002\uff12", "a..b", "1.2.3.4.5", "64:ff9b::1.2.3.4", "\u00ad", "xn--a", "\u2100.c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if a, e := netip.ParseAddr(s); e == nil {
			switch {
			case a.Zone() != "" && err == nil:
				t.Fatalf("%q: a zone got through", s)
			case a.Zone() == "" && (err != nil || h.Addr() != a.Unmap()):
				t.Fatalf("%q: %s, %v; net/netip says %s", s, h, err, a)
			}
		}
		if err != nil {
			if h != (Host{}) {
				t.Fatalf("%q: an error and a host %q", s, h)
			}
			return
		}
		checkHost(t, s, h)
	})
}

func checkHost(t *testing.T, s string, h Host) {
	t.Helper()
	if again, err := ParseHost(h.String()); err != nil || again != h {
		t.Fatalf("%q is %q, but that is %q, %v", s, h, again, err)
	}
	if h.IsAddr() {
		if a := h.Addr(); a.Zone() != "" || a.Is4In6() || h.Name() != "" {
			t.Fatalf("%q: address %s, name %q", s, a, h.Name())
		}
		return
	}
	name := h.Name()
	if name == "" || len(name) > maxName {
		t.Fatalf("%q: a name of %d bytes", s, len(name))
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		t.Fatalf("%q: name %q", s, name)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		t.Fatalf("%q: the address %q passes as a name", s, name)
	}
}
