package gate

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/acl"
	"sluice/internal/lab"
	"sluice/internal/track"
)

const (
	registry = "registry-1.docker.io"
	blobs    = "production.cloudflare.docker.com"
)

// newRedirects is a gate that lets one client, or who knows a name, reach the
// registry, but not its blobs.
func newRedirects(t *testing.T) *fixture {
	t.Helper()
	rules := []acl.Rule{
		{Name: "hub", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}, To: []string{registry}, Ports: somePort},
	}
	return newFixture(t, rules, func(p *Policy) { p.Dialer.Resolver = []netip.AddrPort{serveLoopback(t)} })
}

// serveLoopback is a name server that has 127.0.0.1 for every name.
func serveLoopback(t *testing.T) netip.AddrPort {
	return lab.NameServer(t, func(m *dnsmessage.Message) bool {
		lab.Has(m, netip.MustParseAddr("127.0.0.1"))
		return true
	})
}

// refused asks for a host, port 443, and returns the sentence of the refusal.
func (f *fixture) refused(client, user, host string) string {
	f.t.Helper()
	tx := f.Begin(Source{Client: netip.AddrPortFrom(netip.MustParseAddr(client), 4444)}, track.Connect)
	tx.SetUser(user)
	if e := tx.To(host, "443"); e != nil {
		f.t.Fatal(e)
	}
	_, e := tx.Dial(f.t.Context())
	if e == nil {
		f.t.Fatalf("%s reaches %s", client, host)
	}
	tx.Fail(e, e.Kind.Status())
	if got := f.records[len(f.records)-1].Reason; got != e.Sentence {
		f.t.Errorf("the record says %q, the client is told %q", got, e.Sentence)
	}
	return e.Sentence
}

// reach takes the client of source to the registry.
func (f *fixture) reach(user string) {
	f.t.Helper()
	tx := f.Begin(source, track.Connect)
	tx.SetUser(user)
	if e := tx.To(registry, fmt.Sprint(f.port())); e != nil {
		f.t.Fatal(e)
	}
	o, e := tx.Dial(f.t.Context())
	if e != nil {
		f.t.Fatal(e)
	}
	o.Close()
	tx.Finish(Finish{Status: 200})
}

func TestTheRefusalNamesThePresetThatHasTheHost(t *testing.T) {
	f := newRedirects(t)
	for _, c := range []struct{ client, host, want string }{
		{"192.0.2.7", blobs, "no rule lets 192.0.2.7 reach " + blobs + ":443; rule hub admits this client, but not to that host; preset @docker-hub has it"},
		{"192.0.2.7", "example.com", "no rule lets 192.0.2.7 reach example.com:443; rule hub admits this client, but not to that host"},
		{"192.0.2.7", "203.0.113.7", "no rule lets 192.0.2.7 reach 203.0.113.7:443; rule hub admits this client, but not to that host"},
		// Whom no rule admits learns nothing.
		{"198.51.100.7", blobs, "no rule lets 198.51.100.7 reach " + blobs + ":443"},
	} {
		if got := f.refused(c.client, "", c.host); got != c.want {
			t.Errorf("%s to %s\n got %s\nwant %s", c.client, c.host, got, c.want)
		}
	}
}

func TestARefusalAfterARegistryWasReachedSaysThatItMayHaveRedirected(t *testing.T) {
	f := newRedirects(t)
	f.reach("")
	const want = "; preset @docker-hub has it, and registry-1.docker.io, which this client reached within the last minute, may have redirected it there"
	if got := f.refused("192.0.2.7", "", blobs); !strings.HasSuffix(got, want) {
		t.Errorf("got %s", got)
	}
	const broad = "; broad preset @docker-hub-broad has it, and registry-1.docker.io"
	if got := f.refused("192.0.2.7", "", "next.s3.amazonaws.com"); !strings.Contains(got, broad) {
		t.Errorf("got %s", got)
	}
	// It tells nobody where others have been, or what another preset's hosts do.
	for _, c := range []struct{ client, user, host string }{
		{"192.0.2.8", "", blobs}, {"192.0.2.7", "eve", blobs}, {"192.0.2.7", "", "pkg-containers.githubusercontent.com"},
	} {
		if got := f.refused(c.client, c.user, c.host); !strings.HasSuffix(got, " has it") {
			t.Errorf("%v: %s", c, got)
		}
	}
}

func TestAMinuteLaterTheRegistryIsForgotten(t *testing.T) {
	f := newRedirects(t)
	f.reach("")
	f.redirects.mu.Lock()
	for who, v := range f.redirects.last {
		v.at = v.at.Add(-visitAge - time.Second)
		f.redirects.last[who] = v
	}
	f.redirects.mu.Unlock()
	if got := f.refused("192.0.2.7", "", blobs); !strings.HasSuffix(got, "; preset @docker-hub has it") {
		t.Errorf("got %s", got)
	}
}

func TestManyClientsFillNoMemory(t *testing.T) {
	var r redirects
	h, err := acl.ParseHost(registry)
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("2001:db8::")
	for range 10 * maxVisits {
		client = client.Next()
		r.reached(acl.Request{Client: client, Host: h})
		if len(r.last) > maxVisits {
			t.Fatalf("%d are remembered", len(r.last))
		}
	}
	if got := r.from(acl.Request{Client: client, Host: h}, "docker-hub"); got != registry {
		t.Errorf("the last one is forgotten: %q", got)
	}
}

func TestADestinationThatRedirectsNobodyIsPassedOver(t *testing.T) {
	var r redirects
	h, err := acl.ParseHost("example.com")
	if err != nil {
		t.Fatal(err)
	}
	req := acl.Request{Client: netip.MustParseAddr("192.0.2.7"), Host: h}
	if n := testing.AllocsPerRun(100, func() { r.reached(req) }); n != 0 || r.last != nil {
		t.Errorf("%g allocations, %d remembered", n, len(r.last))
	}
}
