//go:build linux

package evasion

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// want is what has to come of a request.
type want struct {
	means   string
	port    uint16
	verdict verdict
}

// answers is what a client of each way gets for a verdict.
var answers = map[way]map[verdict]string{
	connect:  {passes: "200", denied: "403", notPublic: "403", malformed: "400"},
	absolute: {passes: "200", denied: "403", notPublic: "403", malformed: "400"},
	socks:    {passes: "0", denied: "2", notPublic: "2", malformed: "closed"},
}

// holds puts one request and holds all that came of it against what has to.
func (p *proxy) holds(t *testing.T, w way, b []byte, want want) {
	t.Helper()
	o := p.ask(t, w, b)
	complain := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s, %.90q: "+format, append([]any{w, b}, args...)...)
	}
	if o.record.Outcome != string(want.verdict) {
		complain("%s (%s), want %s", o.record.Outcome, o.record.Reason, want.verdict)
		return
	}
	if a := answers[w][want.verdict]; o.answer != a {
		complain("the client got %s, want %s", o.answer, a)
	}
	if want.verdict == malformed {
		want.means, want.port = o.record.Host, o.record.Port // of no consequence
	}
	if o.record.Host != want.means || o.record.Port != want.port {
		complain("taken for %s port %d, want %s port %d", o.record.Host, o.record.Port, want.means, want.port)
	}
	literal, err := netip.ParseAddr(want.means)
	byName := err != nil
	p.heldTraffic(complain, o, want, byName)
	if want.verdict != passes || len(o.visits) != 1 {
		return
	}
	if byName {
		literal = netip.MustParseAddr(public)
	}
	if at := netip.AddrPortFrom(literal, want.port); o.visits[0].at != at || o.record.Address != at.String() {
		complain("dialled %s, recorded %s, want %s", o.visits[0].at, o.record.Address, at)
	}
	if w == absolute {
		p.heldHost(complain, o.visits[0].host, want)
	}
}

// heldTraffic: what is refused has led to no packet, what passes to one look-up of
// each family and one connection.
func (p *proxy) heldTraffic(complain func(string, ...any), o outcome, want want, byName bool) {
	dials, lookups := 0, 0
	if want.verdict == passes {
		dials = 1
		if byName {
			lookups = 2
		}
	}
	if o.connects != dials || o.record.Tries != dials || len(o.visits) != dials {
		complain("%d connections begun, %d recorded, %d come to an origin, want %d", o.connects, o.record.Tries, len(o.visits), dials)
	}
	if o.datagrams != lookups || len(o.questions) != lookups {
		complain("%d datagrams sent, %d questions asked, want %d", o.datagrams, len(o.questions), lookups)
	}
	for _, q := range o.questions {
		if q.name != want.means || q.typ != dnsmessage.TypeA && q.typ != dnsmessage.TypeAAAA {
			complain("asked the name server for %s %s", q.typ, q.name)
		}
	}
}

// heldHost: the origin reads the host that was decided about.
func (p *proxy) heldHost(complain func(string, ...any), host string, want want) {
	means := want.means
	if strings.Contains(means, ":") {
		means = "[" + means + "]"
	}
	port := fmt.Sprintf(":%d", want.port)
	got := strings.ToLower(strings.TrimSuffix(host, port))
	if want.port != 80 && !strings.HasSuffix(host, port) {
		got = host + " without port"
	}
	if got == means {
		return
	}
	// An address may stand there as it was written where all read it alike.
	if a, err := netip.ParseAddr(strings.Trim(got, "[]")); err != nil || a.String() != want.means {
		complain("the origin was told %s, want %s", host, means)
	}
}

// A spelling means one thing, whichever way it comes in.
func TestSpellings(t *testing.T) {
	p := start(t, openRules, 80)
	cases, requests := 0, 0
	seen := make(map[string]bool)
	for _, s := range spellings {
		means := s.means
		if a, err := netip.ParseAddr(means); err == nil {
			means = a.String()
		}
		want := want{means, 80, s.verdict}
		for _, text := range s.texts {
			if seen[text] {
				t.Errorf("%q is there twice", text)
			}
			seen[text] = true
			cases++
			for _, w := range ways {
				if b, can := w.request(text, "80"); can && !otherwise(w, text) {
					requests++
					p.holds(t, w, b, want)
				}
			}
			if bare := strings.Trim(text, "[]"); s.means != "" && bare != text {
				requests++
				p.holds(t, socks, socksRequest(atypName, bare, 80), want)
			}
		}
		if a, err := netip.ParseAddr(means); err == nil {
			requests++
			p.holds(t, socks, socksAddr(a, 80), want)
			if a.Is4() {
				requests++
				p.holds(t, socks, socksRequest(atypIPv6, mapped(a), 80), want)
			}
		}
	}
	t.Logf("%d spellings in %d requests", cases, requests)
	if cases < 300 {
		t.Errorf("only %d spellings", cases)
	}
}

func mapped(a netip.Addr) string {
	b := a.As16()
	return string(b[:])
}

// otherwise lists what is no host in one way and is one in another: SOCKS5 has no
// use for brackets around an IPv6 address.
func otherwise(w way, text string) bool { return w == socks && text == "::1" }

// Under an allow-list nothing but the listed destinations passes, however it is
// spelt.
func TestAllowListsLetNothingElsePass(t *testing.T) {
	listed := map[string]bool{"allowed.test": true, "8.8.8.8": true, "2606:4700:4700::1111": true}
	rules := strings.NewReplacer("\nname = \"all\"\n", "\nname = \"list\"\nto = [\"allowed.test\", \"8.8.8.8\", \"2606:4700:4700::1111\"]\n").Replace(openRules)
	p := start(t, rules, 80)
	for _, s := range spellings {
		means := s.means
		if a, err := netip.ParseAddr(means); err == nil {
			means = a.String()
		}
		want := want{means, 80, s.verdict}
		if want.verdict != malformed && !listed[means] {
			want.verdict = denied
		}
		for _, text := range s.texts {
			for _, w := range ways {
				if b, can := w.request(text, "80"); can && !otherwise(w, text) {
					p.holds(t, w, b, want)
				}
			}
		}
	}
}
