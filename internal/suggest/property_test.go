package suggest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/presets"
)

// Random logs over a small world: the file that is suggested is valid, it allows all
// that passed, and of all else only what its documentation says.
func TestSuggestionsAllowWhatPassedAndLittleElse(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	hosts := []string{
		"a.test", "b.test", "www.a.test", "1.cdn.a.test", "2.cdn.a.test", "3.cdn.a.test", "x.co.uk", "y.co.uk", "z.co.uk", "x.y.co.uk",
		"registry-1.docker.io", "auth.docker.io", "hub.docker.com", "proxy.golang.org", "sum.golang.org", "github.com", "codeload.github.com", "8.8.8.8", "8.8.8.9", "2001:db8::1", "lone",
	}
	clients := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.7", "2001:db8::7"}
	users, ports := []string{"", "", "", "ann", "bob"}, []uint16{80, 443, 443, 22, 8443}
	for range 150 {
		w := &world{}
		for range rnd.IntN(40) {
			w.add(t, clients[rnd.IntN(len(clients))], users[rnd.IntN(len(users))], hosts[rnd.IntN(len(hosts))], ports[rnd.IntN(len(ports))])
		}
		text, cfg := written(t, read(t, w.log.String()), Options{}, nil)
		for _, r := range w.seen {
			if d := cfg.Policy.Decide(r); d.Action != acl.Allow {
				t.Fatalf("%v is not allowed by\n%s", r, text)
			}
		}
		for _, client := range append(clients, "192.0.2.9") {
			for _, user := range users {
				for _, host := range append(hosts, "other.test", "4.cdn.a.test", "cdn.a.test", "co.uk", "w.co.uk", "docker.io", "index.docker.io", "8.8.8.10") {
					for _, port := range append(ports, 25) {
						r := requestOf(t, client, user, host, port)
						if cfg.Policy.Decide(r).Action == acl.Allow && !w.justifies(r) {
							t.Fatalf("%v is allowed by\n%s", r, text)
						}
					}
				}
			}
		}
	}
}

// world is what has been seen.
type world struct {
	log  strings.Builder
	seen []acl.Request
}

func (w *world) add(t *testing.T, client, user, host string, port uint16) {
	where := host
	if strings.Contains(host, ":") {
		where = "[" + host + "]"
	}
	if len(w.seen)%2 == 0 {
		w.log.WriteString(recordOf(fmt.Sprintf("%s/%s %s:%d", client, user, host, port), "allow", "ok"))
	} else {
		if user == "" {
			user = "-"
		}
		fmt.Fprintf(&w.log, "1700000000.123    456 %s TCP_TUNNEL/200 5120 CONNECT %s:%d %s HIER_DIRECT/8.8.8.8 -\n", client, where, port, user)
		user = strings.Trim(user, "-")
	}
	w.seen = append(w.seen, requestOf(t, client, user, host, port))
}

func requestOf(t testing.TB, client, user, host string, port uint16) acl.Request {
	t.Helper()
	h, err := acl.ParseHost(host)
	if err != nil {
		t.Fatal(err)
	}
	return acl.Request{Client: netip.MustParseAddr(client), User: user, Host: h, Port: port}
}

// justifies tells whether something was seen for the sake of which this is allowed.
func (w *world) justifies(r acl.Request) bool {
	onWeb := func(port uint16) bool { return port == 80 || port == 443 }
	return slices.ContainsFunc(w.seen, func(s acl.Request) bool {
		switch {
		case s.Client != r.Client || s.User != "" && s.User != r.User, s.Port != r.Port && !(onWeb(s.Port) && onWeb(r.Port)):
			return false
		case s.Host == r.Host:
			return true
		case s.Host.IsAddr() || r.Host.IsAddr():
			return false
		}
		return w.sameDomain(s.Host.Name(), r.Host.Name()) || onWeb(s.Port) && w.samePreset(s, r.Host.Name())
	})
}

// sameDomain tells whether both names are in a domain of which three names were seen.
func (w *world) sameDomain(a, b string) bool {
	for _, d := range []string{"a.test", "cdn.a.test", "y.co.uk", "docker.io", "golang.org", "github.com"} {
		names := make(map[string]bool)
		for _, s := range w.seen {
			if in(d, s.Host.String()) {
				names[s.Host.String()] = true
			}
		}
		if in(d, a) && in(d, b) && len(names) >= 3 {
			return true
		}
	}
	return false
}

func in(domain, name string) bool { return name == domain || strings.HasSuffix(name, "."+domain) }

// samePreset tells whether a name is in a preset of which this client asked for two
// hosts, that of the request among them.
func (w *world) samePreset(s acl.Request, name string) bool {
	for _, p := range presets.All() {
		asked := make(map[string]bool)
		hasName, hasHost := false, false
		for _, h := range p.Hosts {
			hasName = hasName || h.Name == name
			hasHost = hasHost || h.Name == s.Host.Name()
			for _, o := range w.seen {
				if o.Client == s.Client && o.User == s.User && o.Host.String() == h.Name {
					asked[h.Name] = true
				}
			}
		}
		if !p.Broad && hasName && hasHost && len(asked) >= 2 {
			return true
		}
	}
	return false
}

func TestBlocksHaveJustTheCellsOfTheirTable(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	saved := 0
	for range 300 {
		table, want := make([][]int, rnd.IntN(12)), make(map[[2]int]bool)
		width, density := 1+rnd.IntN(12), rnd.Float64()
		for r := range table {
			for c := range width {
				if rnd.Float64() < density {
					table[r] = append(table[r], c)
					want[[2]int{r, c}] = true
				}
			}
		}
		blocks := cover(table)
		got := make(map[[2]int]bool)
		for _, b := range blocks {
			for _, r := range b.rows {
				for _, c := range b.cols {
					got[[2]int{r, c}] = true
				}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v is covered by %v", table, blocks)
		}
		if n := len(classes(table)); len(blocks) > n {
			t.Fatalf("%d blocks where %d would do", len(blocks), n)
		} else if len(blocks) < n {
			saved++
		}
	}
	if saved == 0 {
		t.Error("no table got fewer blocks than it has different rows")
	}
}
