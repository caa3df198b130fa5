//go:build linux

package evasion

import (
	"slices"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// metadata is what an attacker wants to reach.
const metadata = "169.254.169.254"

// Between the look-up that was vetted and the connection there is no other, so it
// does not help to answer differently the next time.
func TestNamesThatChangeWhereTheyLead(t *testing.T) {
	p := start(t, openRules, 80)
	for _, bad := range []string{metadata, "127.0.0.1", "10.0.0.1", "198.41.0.4", "64:ff9b::a9fe:a9fe", "::1", "fd00:ec2::254"} {
		refused := notPublic
		if bad == "198.41.0.4" {
			refused = denied
		}
		for _, w := range ways {
			var asked atomic.Int32
			p.names.answers(func(string, int) []string {
				if asked.Add(1) <= 2 { // a question for each family
					return []string{public}
				}
				return []string{bad}
			})
			b, _ := w.request("rebind.test", "80")
			p.holds(t, w, b, want{"rebind.test", 80, passes})
			for range 2 {
				o := p.ask(t, w, b)
				if o.record.Outcome != string(refused) || o.connects != 0 || len(o.visits) != 0 || len(o.questions) != 2 {
					t.Errorf("%s, then %s: %+v", w, bad, o)
				}
			}
		}
	}
}

// Each in any order, and each family alone: what is not public is never dialled,
// even when nothing else answers.
func TestNamesThatMixPublicAndOtherAddresses(t *testing.T) {
	p := start(t, openRules, 80)
	bad := []string{metadata, "127.0.0.1", "10.0.0.1", "0.0.0.0", "198.41.0.4", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:808:808::5601:5601", "::1", "fd00:ec2::254", "fe80::1", "::"}
	for _, good := range []string{public, "2606:4700:4700::1111"} {
		for _, answer := range [][]string{
			slices.Concat(bad, []string{good}), slices.Concat([]string{good}, bad), slices.Concat(bad[:5], []string{good}, bad[5:]),
		} {
			p.names.answers(func(string, int) []string { return answer })
			for _, w := range ways {
				b, _ := w.request("mixed.test", "80")
				o := p.ask(t, w, b)
				if o.record.Outcome != "ok" || o.connects != 1 || len(o.visits) != 1 || o.visits[0].at.Addr().String() != good {
					t.Errorf("%s, %s: %+v", w, answer, o)
				}
				// Nothing listens on this port: with the public one failing, no other is tried.
				b, _ = w.request("mixed.test", "81")
				if o = p.ask(t, w, b); o.record.Outcome != "refused" || o.connects != 1 || o.record.Address != joined(good) {
					t.Errorf("%s, %s, closed port: %+v", w, answer, o)
				}
			}
		}
	}
	for _, one := range bad {
		p.names.answers(func(string, int) []string { return []string{one} })
		for _, w := range ways {
			b, _ := w.request("one.test", "80")
			if o := p.ask(t, w, b); o.record.Outcome == "ok" || o.connects != 0 || len(o.visits) != 0 {
				t.Errorf("%s, %s: %+v", w, one, o)
			}
		}
	}
}

func joined(addr string) string {
	if addr == public {
		return addr + ":81"
	}
	return "[" + addr + "]:81"
}

// Rules that name hosts have nothing to say about addresses, and nobody asks for
// their names: neither to allow (the owner of an address names it as he likes)
// nor to deny.
func TestNoAddressIsLookedUpBackwards(t *testing.T) {
	const rules = `
[[listener]]
address = "127.0.0.1:0"
[[rule]]
name = "names"
action = "allow"
clients = ["127.0.0.0/8"]
to = [".allowed.test", ".in-addr.arpa", ".ip6.arpa"]
[egress]
prefer = "auto"
`
	p := start(t, rules, 80)
	for _, host := range []string{"8.8.8.8", "[2606:4700:4700::1111]", metadata, "[64:ff9b::808:808]"} {
		for _, w := range ways {
			b, _ := w.request(host, "80")
			o := p.ask(t, w, b)
			if o.record.Outcome != string(denied) || o.datagrams != 0 || o.connects != 0 {
				t.Errorf("%s, %s: %+v", w, host, o)
			}
		}
	}
	for _, w := range ways {
		b, _ := w.request("www.allowed.test", "80")
		o := p.ask(t, w, b)
		for _, q := range o.questions {
			if q.typ != dnsmessage.TypeA && q.typ != dnsmessage.TypeAAAA {
				t.Errorf("%s: asked for %s %s", w, q.typ, q.name)
			}
		}
		if o.record.Outcome != "ok" || len(o.questions) != 2 {
			t.Errorf("%s: %+v", w, o)
		}
	}
}
