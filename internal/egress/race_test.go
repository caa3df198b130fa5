//go:build linux

package egress

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
)

// through dials a name whose addresses a name server has.
func through(s *nameserver) *Dialer {
	return &Dialer{AllowPrivate: loopbackOnly, Resolver: []netip.AddrPort{s.addr}}
}

func dialName(t *testing.T, d *Dialer, port uint16) (Result, *Error) {
	t.Helper()
	return d.Dial(t.Context(), Target{Host: host(t, "name.test"), Port: port})
}

func TestANameIsAskedForOnceAndTheVettedAddressIsDialled(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	_, stolen := listen(t, "127.0.0.66", at.Port())
	s := serveNames(t, func(q question) reply {
		if q.nth == 0 {
			return reply{addrs: []string{"127.0.0.1"}}
		}
		return reply{addrs: []string{"127.0.0.66"}} // what a rebinding attack would answer now
	})
	d := through(s)
	d.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	r, e := dialName(t, d, at.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Addr != at || r.DNS <= 0 || r.Tries != 1 {
		t.Errorf("result %+v", r)
	}
	for _, typ := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		if q := s.asked(typ); len(q) != 1 {
			t.Errorf("%v queries: %v", typ, q)
		}
	}

	r, e = dialName(t, d, at.Port()) // the next request meets the changed answer
	failed(t, r, e, NotPublic)
	select {
	case <-stolen:
		t.Error("an address that was not vetted was dialled")
	default:
	}
}

func TestAddressesInsideAreDroppedFromAMixedAnswer(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	r, e := dialName(t, through(serveAddrs(t, "10.0.0.1", "169.254.169.254", "127.0.0.1", "fd00::1", "fe80::1")), at.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Tries != 1 {
		t.Errorf("%d tries", r.Tries)
	}
}

func TestANameThatLeadsInsideIsRefusedWithoutTellingWhere(t *testing.T) {
	for what, answer := range map[string]reply{
		"addresses": {addrs: []string{"10.1.2.3", "fd00::1"}},
		"alias":     {alias: "inside.test.", addrs: []string{"10.1.2.3"}},
		"mapped":    {addrs: []string{"::ffff:10.1.2.3", "64:ff9b::10.1.2.3"}},
	} {
		t.Run(what, func(t *testing.T) {
			s := serveNames(t, func(question) reply { return answer })
			r, e := dialName(t, through(s), 80)
			failed(t, r, e, NotPublic)
			if e.Sentence != "name.test resolves to an address that is not public" {
				t.Errorf("says %q", e.Sentence)
			}
			if r.Tries != 0 {
				t.Errorf("%d tries", r.Tries)
			}
			if e.Err == nil || !strings.Contains(e.Err.Error(), " is not a public address (") {
				t.Errorf("the log has %v", e.Err)
			}
		})
	}
}

func TestABlackHoleCostsOnlyItsHeadStart(t *testing.T) {
	hole, _ := blackHole(t, "127.0.0.2", 0)
	at, conns := listen(t, "127.0.0.3", hole.Port())
	d := through(serveAddrs(t, "127.0.0.2", "127.0.0.3"))
	d.Timeout = time.Minute
	r, e := dialName(t, d, hole.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Addr != at || r.Tries != 2 {
		t.Errorf("result %+v", r)
	}
	eventually(t, "the loser is closed", func() bool { return socketsTo(t, hole) == holeFillers })
}

func TestARefusalIsNotWaitedFor(t *testing.T) {
	at, conns := listen(t, "127.0.0.15", 0)
	var addrs []string
	for i := range 14 {
		addrs = append(addrs, fmt.Sprintf("127.0.0.%d", i+1))
	}
	r, e := dialName(t, through(serveAddrs(t, append(addrs, "127.0.0.15")...)), at.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Tries != 15 {
		t.Errorf("%d tries", r.Tries)
	}
	if r.Dial > 10*attemptDelay {
		t.Errorf("14 refusals took %s", r.Dial)
	}
}

func TestOfTwoThatConnectAtOnceOneIsClosed(t *testing.T) {
	first, relieveFirst := blackHole(t, "127.0.0.2", 0)
	second, relieveSecond := blackHole(t, "127.0.0.3", first.Port())
	d := through(serveAddrs(t, "127.0.0.2", "127.0.0.3"))
	d.Timeout = time.Minute
	type done struct {
		Result
		*Error
	}
	ch := make(chan done)
	go func() {
		r, e := dialName(t, d, first.Port())
		ch <- done{r, e}
	}()
	// Both attempts are under way; their next SYNs, a second after the first,
	// meet open doors.
	time.Sleep(2 * attemptDelay)
	relieveFirst()
	relieveSecond()
	got := <-ch
	connected(t, got.Result, got.Error)
	if got.Addr != first && got.Addr != second {
		t.Errorf("connected to %s", got.Addr)
	}
	eventually(t, "only the winner is left", func() bool {
		return socketsTo(t, first)+socketsTo(t, second) == 2*holeFillers+1
	})
}

func TestAFloodOfAddressesIsNotAFloodOfDials(t *testing.T) {
	var addrs []string
	for i := range 500 {
		addrs = append(addrs, fmt.Sprintf("127.1.%d.%d", i/250, i%250+1))
	}
	s := serveAddrs(t, addrs...)
	r, e := dialName(t, through(s), freePort(t))
	failed(t, r, e, Refused)
	if r.Tries != maxTries {
		t.Errorf("%d tries, want %d", r.Tries, maxTries)
	}
	if q := s.asked(dnsmessage.TypeA); len(q) != 2 || q[0].tcp || !q[1].tcp {
		t.Errorf("queries %v, want one over UDP, cut short, and one over TCP", q)
	}
}

func TestTheMostTellingFailureIsTold(t *testing.T) {
	hole, _ := blackHole(t, "127.0.0.2", 0)
	for _, c := range []struct {
		addrs []string
		want  Kind
	}{
		{[]string{"127.0.0.2", "127.0.0.3"}, Refused},
		{[]string{"127.0.0.3", "127.0.0.2"}, Refused},
		{[]string{"10.0.0.1", "127.0.0.2"}, Timeout},
		{[]string{"10.0.0.1", "127.0.0.3"}, Refused},
		{[]string{"127.0.0.2"}, Timeout},
	} {
		d := through(serveAddrs(t, c.addrs...))
		d.Timeout = 600 * time.Millisecond
		r, e := dialName(t, d, hole.Port())
		failed(t, r, e, c.want)
		if !strings.HasPrefix(e.Sentence, fmt.Sprintf("name.test:%d ", hole.Port())) {
			t.Errorf("%v: says %q", c.addrs, e.Sentence)
		}
	}
}

func TestFamilies(t *testing.T) {
	lab.NeedIPv6(t)
	at, conns := listen(t, "::", 0)
	both := serveAddrs(t, "127.0.0.1", "::1")
	for _, c := range []struct {
		prefer Prefer
		want   string
	}{{Auto, "::1"}, {IPv4, "127.0.0.1"}, {IPv6, "::1"}} {
		d := through(both)
		d.Prefer = c.prefer
		r, e := dialName(t, d, at.Port())
		connected(t, r, e)
		defer (<-conns).Close()
		if r.Addr.Addr().String() != c.want || r.Tries != 1 {
			t.Errorf("prefer %d: %s after %d tries", c.prefer, r.Addr, r.Tries)
		}
	}
}

func TestFamiliesAreTriedInTurn(t *testing.T) {
	port := freePort(t)
	at, conns := listen(t, "127.0.0.9", port)
	// IPv6 has one address; after it and one of IPv4 there is IPv4 only.
	d := through(serveAddrs(t, "127.0.0.1", "127.0.0.9", "127.0.0.2", "127.0.0.3", "::1"))
	r, e := dialName(t, d, port)
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Addr != at || r.Tries != 3 {
		t.Errorf("result %+v, want the third try", r)
	}
}

// Name servers that drop AAAA queries exist; they must not cost more than the
// short wait for the other family.
func TestOneSilentFamilyDoesNotHoldUpTheOther(t *testing.T) {
	lab.NeedIPv6(t)
	at, conns := listen(t, "::", 0)
	for _, silent := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		s := serveNames(t, func(q question) reply {
			return reply{silent: q.typ == silent, addrs: []string{"127.0.0.1", "::1"}}
		})
		d := through(s)
		d.Timeout = time.Hour
		r, e := dialName(t, d, at.Port())
		connected(t, r, e)
		defer (<-conns).Close()
		if r.Tries != 1 {
			t.Errorf("%d tries", r.Tries)
		}
	}
}

func TestAFamilyThatComesLateJoinsTheRace(t *testing.T) {
	lab.NeedIPv6(t)
	hole, _ := blackHole(t, "127.0.0.1", 0)
	at, conns := listen(t, "::1", hole.Port())
	s := serveNames(t, func(q question) reply {
		r := reply{addrs: []string{"127.0.0.1", "::1"}}
		if q.typ == dnsmessage.TypeAAAA {
			r.after = 3 * attemptDelay
		}
		return r
	})
	d := through(s)
	d.Timeout = time.Hour
	r, e := dialName(t, d, hole.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if r.Addr != at || r.Tries != 2 {
		t.Errorf("result %+v", r)
	}
}

func TestTheDeadlineHoldsForTheWhole(t *testing.T) {
	hole, _ := blackHole(t, "127.0.0.1", 0)
	s := serveNames(t, func(q question) reply {
		return reply{addrs: []string{"127.0.0.1"}, after: 200 * time.Millisecond}
	})
	d := through(s)
	d.Timeout = 500 * time.Millisecond
	r, e := dialName(t, d, hole.Port())
	failed(t, r, e, Timeout)
	if r.DNS < 200*time.Millisecond || r.DNS+r.Dial < d.Timeout {
		t.Errorf("dns %s, dial %s", r.DNS, r.Dial)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	d.Timeout = time.Hour
	r, e = d.Dial(ctx, Target{Host: host(t, "name.test"), Port: hole.Port()})
	failed(t, r, e, Timeout)
}
