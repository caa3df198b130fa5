package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/gate"
	"sluice/internal/track"
)

func TestTheLookingEndsWithTheLastSubscriber(t *testing.T) {
	h := handler(t)
	h.feed.o.Totals = func() (int64, int64, map[string]uint64) { return 0, 0, nil }
	before := runtime.NumGoroutine()
	a, f := h.feed.subscribe()
	if f != nil {
		t.Fatal(f)
	}
	b, _ := h.feed.subscribe()
	if n := runtime.NumGoroutine(); n != before+1 {
		t.Errorf("%d goroutines look for two", n-before)
	}
	h.feed.leave(a)
	if h.feed.view == nil {
		t.Fatal("it ended with the first that left")
	}
	h.feed.leave(b)
	h.feed.leave(b) // it may have been dropped as well
	if h.feed.view != nil {
		t.Error("something is kept of what was seen")
	}
	h.feed.wg.Wait()
	if c, f := h.feed.subscribe(); f != nil {
		t.Error(f)
	} else {
		h.feed.leave(c)
	}
}

func TestASubscriberThatLagsIsDroppedAndNobodyElse(t *testing.T) {
	h := handler(t)
	h.feed.o.Totals = func() (int64, int64, map[string]uint64) { return 0, 0, nil }
	lags, _ := h.feed.subscribe()
	takes, _ := h.feed.subscribe()
	for range waiting + 1 {
		h.Reloaded(nil)
		<-takes.texts
	}
	n := 0
	for range lags.texts {
		n++
	}
	if n != waiting {
		t.Errorf("it got %d texts, and then no more", n)
	}
	h.Reloaded(fmt.Errorf("a \"fault\"\nin two lines"))
	for {
		text := string(<-takes.texts)
		if !strings.Contains(text, `"ok":false`) {
			continue
		}
		if !strings.HasPrefix(text, "event: reload\ndata: {\"time\":") || !strings.HasSuffix(text, `,"ok":false,"error":"a \"fault\"\nin two lines"}`+"\n\n") {
			t.Errorf("%q", text)
		}
		break
	}
	h.feed.leave(takes)
}

// Who comes between two ticks is told of what happened meanwhile by the second, as all
// others are, and not twice.
func TestNothingIsToldTwiceToWhoComesBetweenTwoTicks(t *testing.T) {
	g := gate.New(&gate.Policy{}, func(*track.Record) {})
	rs := &refusals{}
	v := newView(&Options{Gate: g, Totals: func() (int64, int64, map[string]uint64) { return 0, 0, nil }}, rs)
	rs.add(&track.Record{ID: 1, Outcome: "malformed"}, time.Now())
	tx := g.Begin(gate.Source{Client: netip.MustParseAddrPort("192.0.2.7:1")}, track.HTTP)
	if start := string(v.start()); strings.Contains(start, "malformed") || strings.Contains(start, tx.ID().String()) {
		t.Errorf("the start tells what the tick will: %s", start)
	}
	if tick := string(v.tick()); strings.Count(tick, "malformed") != 1 || strings.Count(tick, tx.ID().String()) != 1 {
		t.Errorf("the tick tells %s", tick)
	}
	if start := string(v.start()); strings.Count(start, "malformed") != 1 || strings.Count(start, tx.ID().String()) != 1 {
		t.Errorf("the next start tells %s", start)
	}
	if tick := string(v.tick()); strings.Contains(tick, "malformed") || strings.Contains(tick, tx.ID().String()) {
		t.Errorf("the next tick tells again: %s", tick)
	}
}

func TestFewOfManyAreTold(t *testing.T) {
	s := groups[int]{of: make(map[int]*group)}
	for i := range 500 {
		g := s.enter(i, func() string { return fmt.Sprint("client ", i) })
		g.move(int64(i%100), 0)
		g.tunnels = 1 + i/100
	}
	all := make([]*group, 0, len(s.of))
	for _, g := range s.of {
		all = append(all, g)
	}
	slices.SortFunc(all, order)
	for range 2 {
		if got := s.busiest(); !slices.Equal(got, all[:mostGroups]) || got[0].up != 99 || got[0].tunnels != 5 {
			t.Errorf("the busiest are not first: %+v", *got[0])
		}
	}
	for _, g := range s.of {
		g.tunnels = 0
	}
	s.clear()
	if len(s.of) != 0 || len(s.busiest()) != 0 {
		t.Errorf("%d are kept that nothing is in", len(s.of))
	}
}

func TestOfThousandsOfClientsTheFirstAreTold(t *testing.T) {
	const clients = mostClients + 7
	g := gate.New(&gate.Policy{}, func(*track.Record) {})
	for i := range clients {
		client := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		g.Begin(gate.Source{Client: netip.AddrPortFrom(client, 1)}, track.Connect)
	}
	h := New(Options{Gate: g, Config: func() (*config.Config, time.Time) { return &config.Config{}, time.Time{} }})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/clients", nil))
	var answer clientsAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Clients) != mostClients || answer.LeftOut != clients-mostClients {
		t.Errorf("%d clients, %d left out, %v", len(answer.Clients), answer.LeftOut, err)
	}
}

func TestClientsAreFilteredByWhatTheyAre(t *testing.T) {
	for _, step := range []struct {
		filter, client string
		fits           bool
	}{
		{"192.0.2.7", "192.0.2.7", true},
		{"::ffff:192.0.2.7", "192.0.2.7", true},
		{"::ffff:192.0.2.0/120", "192.0.2.9", true},
		{"192.0.2.0/24", "192.0.3.1", false},
		{"2001:db8::1", "2001:db8::1", true},
		{"2001:db8::1", "2001:db8::2", false},
		{"2001:db8::/64", "2001:db8::ffff:1", true},
		{"2001:db8::/64", "2001:db8:0:1::1", false},
		{"fe80::/64", "fe80::1%eth0", true},
		{"::/0", "192.0.2.7", false},
	} {
		fits, err := clientFilter(url.Values{"client": {step.filter}})
		if err != nil || fits(netip.MustParseAddr(step.client)) != step.fits {
			t.Errorf("%s for %s: want %v, %v", step.filter, step.client, step.fits, err)
		}
	}
}

func TestALongTextIsCutWhereARefusalIsKept(t *testing.T) {
	var s refusals
	long := strings.Repeat("ä", 2000)
	s.add(&track.Record{Path: long, Reason: long, User: long, Outcome: "malformed"}, time.Now())
	list, n := s.since(nil, 0)
	if r := list[0]; n != 1 || len(r.Path) != longest+3 || len(r.Reason) != longest+3 || len(r.User) != longest+3 {
		t.Errorf("%d refusals, the path has %d bytes", n, len(r.Path))
	}
	if list, n = s.since(nil, 1); len(list) != 0 || n != 1 {
		t.Errorf("%d that are new of %d", len(list), n)
	}
}

// A scan drives its own refusals out, in the list and in what a watcher is told, and
// nobody else's.
func TestAScanHidesNoRefusalOfOthers(t *testing.T) {
	var s refusals
	refuse := func(client string) {
		s.add(&track.Record{Client: netip.MustParseAddrPort(client), Outcome: "rule_denied"}, time.Now())
	}
	told := func(list []refusal) map[string]int {
		clients := make(map[string]int)
		for i, r := range list {
			clients[r.Client.Addr().String()]++
			if i > 0 && r.number >= list[i-1].number {
				t.Fatalf("number %d comes after %d", r.number, list[i-1].number)
			}
		}
		return clients
	}
	refuse("192.0.2.7:1")
	for i := range 5000 {
		refuse("203.0.113.66:1")
		refuse(fmt.Sprintf("[2001:db8::%x]:1", i)) // a /64 is one client
		if i == 2000 {
			refuse("192.0.2.8:1")
			refuse("192.0.2.8:1")
		}
	}
	all, n := s.since(nil, 0)
	clients := told(all)
	if n != 10_003 || len(all) != kept || clients["192.0.2.7"] != 1 || clients["192.0.2.8"] != 2 || clients["203.0.113.66"] < kept/2-2 || len(s.of) != 4 {
		t.Errorf("%d of %d: %v", len(all), n, clients)
	}
	if clients := told(atMost(all, 50)); clients["192.0.2.7"] != 1 || clients["192.0.2.8"] != 2 || clients["203.0.113.66"] < 20 {
		t.Errorf("of few: %v", clients)
	}
	if all[0].number != n || len(atMost(all[:50], 50)) != 50 {
		t.Errorf("the latest is %d of %d", all[0].number, n)
	}
}

func BenchmarkRefusal(b *testing.B) {
	var s refusals
	r := &track.Record{Path: "/v2/", Reason: "no rule lets 192.0.2.7 reach example.com:443", Outcome: "rule_denied"}
	b.ReportAllocs()
	for b.Loop() {
		s.add(r, r.Start)
	}
}

// transactions are a gate with that many under way.
func transactions(t testing.TB, n int) (*gate.Gate, []*gate.Transaction) {
	g := gate.New(&gate.Policy{}, func(*track.Record) {})
	host, err := acl.ParseHost("example.com")
	if err != nil {
		t.Fatal(err)
	}
	list := make([]*gate.Transaction, n)
	for i := range list {
		client := netip.AddrFrom4([4]byte{192, 0, 2, byte(i)})
		list[i] = g.Begin(gate.Source{Listener: ":3128", Client: netip.AddrPortFrom(client, uint16(i))}, track.HTTP)
		list[i].ToHost(host, 443)
	}
	return g, list
}

// stuck is the client of an answer that it takes nothing of until the channel closes.
type stuck struct {
	*httptest.ResponseRecorder
	writes chan struct{} // has one for each that has begun
	until  chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	s.writes <- struct{}{}
	<-s.until
	return 0, io.ErrClosedPipe
}

// Whoever asks for thousands of tunnels and does not read the answer keeps little of
// the proxy's memory: 56 bytes for each tunnel, and one chunk.
func TestAnAnswerThatIsNotReadTakesLittleMemory(t *testing.T) {
	const tunnels, clients = 5000, 20
	g, _ := transactions(t, tunnels)
	h := New(Options{Gate: g})
	writes, until := make(chan struct{}), make(chan struct{})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var wg sync.WaitGroup
	for range clients {
		w := &stuck{httptest.NewRecorder(), writes, until}
		wg.Go(func() { h.ServeHTTP(w, httptest.NewRequest("GET", "/tunnels", nil)) })
	}
	for range clients {
		<-writes
	}
	each := (heap() - before) / clients
	close(until)
	wg.Wait()
	if most := int64(tunnels*100 + 4*chunk); each > most {
		t.Errorf("each takes %d bytes, more than %d", each, most)
	}
}

// What a second costs with 5,000 transactions, all of which move. They have no
// address here, so each is looked at closer than a tunnel would be.
func BenchmarkTick(b *testing.B) {
	g, list := transactions(b, 5000)
	v := newView(&Options{Gate: g, Totals: func() (int64, int64, map[string]uint64) { return 0, 0, nil }}, &refusals{})
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		for _, t := range list {
			up, _ := t.Counters()
			up.Add(1000)
		}
		b.StartTimer()
		v.tick()
	}
}
