package egress

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
)

// Whoever owns a name can give it addresses that swallow everything.
func TestDialsOfBlackHolesShareTheirFurtherSockets(t *testing.T) {
	const holes, dials, extra = 6, 8, 3
	first, _ := blackHole(t, "127.0.0.2", 0)
	at, addrs := []netip.AddrPort{first}, []string{"127.0.0.2"}
	for i := 3; i < holes+2; i++ {
		hole, _ := blackHole(t, fmt.Sprintf("127.0.0.%d", i), first.Port())
		at, addrs = append(at, hole), append(addrs, hole.Addr().String())
	}
	d := through(serveAddrs(t, addrs...))
	d.Timeout = 8 * attemptDelay
	d.Extra = NewExtra(extra)
	var wg sync.WaitGroup
	for range dials {
		wg.Go(func() {
			if r, e := d.Dial(t.Context(), Target{Host: host(t, "name.test"), Port: first.Port()}); e == nil || e.Kind != Timeout {
				t.Errorf("%+v, %v", r, e)
			}
		})
	}
	most := 0
	for end := time.Now().Add(d.Timeout - attemptDelay); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		n := 0
		for _, hole := range at {
			n += socketsTo(t, hole) - holeFillers
		}
		most = max(most, n)
	}
	wg.Wait()
	if most <= dials || most > dials+extra {
		t.Errorf("%d dials had %d sockets at once", dials, most)
	}
	eventually(t, "the places are free again", func() bool { return d.Extra.left.Load() == extra })
}

func TestWithoutFurtherSocketsADialDoesOneThingAfterTheOther(t *testing.T) {
	lab.NeedIPv6(t)
	at, conns := listen(t, "::", 0)
	for what, c := range map[string]struct {
		addrs     []string
		prefer    Prefer
		a, aaaa   int // questions
		want      string
		wantTries int
	}{
		"the first family suffices":  {[]string{"127.0.0.1", "::1"}, Auto, 1, 0, "127.0.0.1", 1},
		"the first is the preferred": {[]string{"127.0.0.1", "::1"}, IPv6, 0, 1, "::1", 1},
		"the first has nothing":      {[]string{"::1"}, Auto, 1, 1, "::1", 1},
		"the first leads inside":     {[]string{"10.0.0.1", "::1"}, Auto, 1, 1, "::1", 1},
	} {
		t.Run(what, func(t *testing.T) {
			s := serveAddrs(t, c.addrs...)
			d := through(s)
			d.Prefer, d.Extra = c.prefer, NewExtra(0)
			r, e := dialName(t, d, at.Port())
			connected(t, r, e)
			defer (<-conns).Close()
			a, aaaa := len(s.asked(dnsmessage.TypeA)), len(s.asked(dnsmessage.TypeAAAA))
			if r.Addr.Addr().String() != c.want || r.Tries != c.wantTries || a != c.a || aaaa != c.aaaa {
				t.Errorf("result %+v after %d and %d questions", r, a, aaaa)
			}
		})
	}
}

func TestWithoutFurtherSocketsOneNameServerIsAskedAtATime(t *testing.T) {
	at, conns := listen(t, "127.0.0.1", 0)
	slow := serveNames(t, func(question) reply {
		return reply{addrs: []string{"127.0.0.1"}, after: serverDelay + serverDelay/2}
	})
	next := serveAddrs(t, "127.0.0.1")
	d := through(slow)
	d.Resolver = append(d.Resolver, next.addr)
	d.Extra = NewExtra(0)
	r, e := dialName(t, d, at.Port())
	connected(t, r, e)
	defer (<-conns).Close()
	if n := len(next.asked(dnsmessage.TypeA)); n != 0 {
		t.Errorf("the other was asked %d times beside the slow one", n)
	}
}
