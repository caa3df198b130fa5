package acl

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/idna"
)

// A host means the same in every spelling that is taken at all: capitals, a dot
// at the end, in its own script, and as net/url takes it out of a URL.
func FuzzHostSpellings(f *testing.F) {
	for _, s := range []string{
		"example.com", "EXAMPLE.com.", "b\u00fccher.example", "xn--bcher-kva.example", "127.1", "0x7f.1", "[::1]", "::ffff:1.2.3.4",
		"%31.example", "a%2eb", "user@example.com", "stra\u00dfe.example", "\u0130.example", "a\u200db.example", "xn--a", "xn--", "\u212a.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			return
		}
		same := func(what, spelling string) {
			t.Helper()
			if got, err := ParseHost(spelling); err != nil || got != h {
				t.Errorf("%q is %q, but %s, %q, is %q, %v", s, h, what, spelling, got, err)
			}
		}
		same("in capitals", asciiUpper(s))
		if !strings.ContainsAny(s, ":[") {
			same("as it stands in the DNS", strings.TrimSuffix(h.String(), ".")+".")
		}
		if u, err := url.Parse("http://" + h.Join(80) + "/"); err != nil || u.Hostname() != h.String() || u.Port() != "80" {
			t.Errorf("net/url takes %q for host %v, %v", h.Join(80), u, err)
		}
		// What net/url reads out of the text that was accepted is not another host.
		if u, err := url.Parse("http://" + s + "/"); err == nil && u.User == nil && u.Port() == "" && u.Path == "/" && u.RawQuery == "" && u.Fragment == "" {
			same("to net/url", u.Hostname())
		}
		if !h.IsAddr() {
			sameToIDNA(t, s, h)
		}
	})
}

// sameToIDNA compares with the library's other profiles: what one of them makes
// of a name that was accepted is the same name or an error.
func sameToIDNA(t *testing.T, s string, h Host) {
	t.Helper()
	// Some names in ASCII, such as "xn--", are what no name in another script becomes.
	u, err := idna.Lookup.ToUnicode(h.Name())
	if a, e := idna.Lookup.ToASCII(u); err == nil && e == nil && a == h.Name() {
		if got, err := ParseHost(u); err != nil || got != h {
			t.Errorf("%q is %q, but in its own script, %q, it is %q, %v", s, h, u, got, err)
		}
	}
	strict := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true), idna.Transitional(false))
	if a, err := strict.ToASCII(strings.TrimSuffix(s, ".")); err == nil && strings.TrimSuffix(a, ".") != h.Name() {
		t.Errorf("%q is %q, but %q by IDNA's strict rules", s, h, a)
	}
}

func asciiUpper(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

// Ports are read as strconv reads them, but for signs, zeros too many to matter,
// and 0.
func FuzzParsePort(f *testing.F) {
	for _, s := range []string{"80", "00080", "0", "65535", "65536", "+80", "4294967376", "http", "\u0668\u0660", "8_0", "0x50", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParsePort(s)
		want, e := strconv.ParseUint(s, 10, 16)
		if err == nil && (e != nil || uint64(n) != want || n == 0) {
			t.Fatalf("%q is %d; strconv says %d, %v", s, n, want, e)
		}
		if err != nil && e == nil && strconv.FormatUint(want, 10) == s && want != 0 {
			t.Fatalf("%q is refused: %v", s, err)
		}
	})
}

// Two rules, one that denies and one that allows, are held against what their
// destinations mean, read out in the plainest way.
func FuzzRules(f *testing.F) {
	for _, s := range [][3]string{
		{"*.example.com", "example.com", "a.example.com"},
		{".example.com", "10.0.0.0/8", "10.1.2.3"},
		{"b\u00fccher.example", "*.xn--bcher-kva.example", "B\u00dcCHER.example."},
		{"192.0.2.0/24", "0.0.0.0/0", "3221225985"},
		{"::ffff:0:0/96", "2001:db8::/32", "[2001:db8::1]"},
		{"*.com", ".com", "com"},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, deny, allow, host string) {
		p, err := New([]Rule{{Name: "deny", To: []string{deny}}, {Name: "allow", Action: Allow, To: []string{allow}}}, nil)
		if err != nil {
			return
		}
		h, err := ParseHost(host)
		if err != nil {
			return
		}
		r := Request{Client: netip.MustParseAddr("192.0.2.1"), Host: h, Port: 443}
		d := p.Decide(r)
		if explained, steps := p.Explain(r); explained != d || len(steps) == 0 {
			t.Fatalf("decided %+v, explained as %+v", d, explained)
		}
		denied, allowed := plainly(deny, h), plainly(allow, h)
		switch {
		case denied && d.Action != Deny:
			t.Errorf("%s passes though %q denies it", h, deny)
		case d.Action == Allow && !allowed:
			t.Errorf("%s passes though %q does not allow it", h, allow)
		// A rule that denies holds for all that an IPv6 address may stand for.
		case d.Action == Deny && allowed && !denied && !(h.IsAddr() && h.Addr().Is6()):
			t.Errorf("%s does not pass though %q allows it and %q does not deny it", h, allow, deny)
		}
	})
}

// plainly tells whether a destination as in a rule is this host.
func plainly(pattern string, h Host) bool {
	if p, err := netip.ParsePrefix(pattern); err == nil {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
		}
		return h.IsAddr() && p.Contains(h.Addr())
	}
	name, under := strings.CutPrefix(pattern, "*.")
	itself := !under
	if !under {
		name, under = strings.CutPrefix(pattern, ".")
	}
	want, err := ParseHost(name)
	if err != nil {
		return false
	}
	return itself && h == want || under && !h.IsAddr() && strings.HasSuffix(h.Name(), "."+want.Name())
}
