package metrics

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab/reference"
	"sluice/internal/metrics/service"
	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type totals struct {
	Up, Down int64
	Requests map[string]uint64
}

func totalsOf(m *Metrics) (t totals) {
	t.Up, t.Down, t.Requests = m.Totals()
	return t
}

// newGate returns a gate that m counts for, with rule "r" that allows all.
func newGate(t testing.TB) (*gate.Gate, *Metrics) {
	t.Helper()
	policy, err := acl.New([]acl.Rule{{Name: "r", Action: acl.Allow, Ports: []acl.PortRange{{First: 1, Last: 65535}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := gate.New(&gate.Policy{ACL: policy, Dialer: &egress.Dialer{}}, func(*track.Record) {})
	m := New(Options{Live: g.Live().List})
	g.Count, g.Dialed = m.Count, m.Dialed
	return g, m
}

// begin starts a transaction that rule "r" allows.
func begin(t testing.TB, g *gate.Gate, p track.Protocol) *gate.Transaction {
	t.Helper()
	tx := g.Begin(gate.Source{Client: netip.MustParseAddrPort("192.0.2.7:4444")}, p)
	if e := tx.To("192.0.2.1", "443"); e != nil {
		t.Error(e)
	}
	if e := tx.Decide(); e != nil {
		t.Error(e)
	}
	return tx
}

func TestBytesShowBeforeTheirTunnelEnds(t *testing.T) {
	g, m := newGate(t)
	tx := begin(t, g, track.Connect)
	up, down := tx.Counters()
	up.Add(100)
	down.Add(20)
	bytes := `
sluice_bytes_total{direction="down",protocol="connect",rule="r"} 20
sluice_bytes_total{direction="up",protocol="connect",rule="r"} 100
`
	reference.WantScrape(t, m, "sluice_bytes", bytes)
	reference.WantScrape(t, m, "sluice_bytes", bytes)
	reference.WantScrape(t, m, "sluice_requests_total", "")
	reference.WantScrape(t, m, "sluice_requests_in_progress{", `
sluice_requests_in_progress{protocol="connect"} 1
sluice_requests_in_progress{protocol="http"} 0
sluice_requests_in_progress{protocol="socks5"} 0
`)
	up.Add(5)
	tx.Finish(gate.Finish{})
	reference.WantScrape(t, m, "sluice_bytes", strings.ReplaceAll(bytes, "100", "105"))
	reference.WantScrape(t, m, "sluice_requests_total", `
sluice_requests_total{outcome="ok",protocol="connect",rule="r"} 1
`)
	reference.WantScrape(t, m, `sluice_requests_in_progress{protocol="connect"}`, `
sluice_requests_in_progress{protocol="connect"} 0
`)
	reference.WantScrape(t, m, `sluice_tunnel_duration_seconds_count{protocol="connect"}`, `
sluice_tunnel_duration_seconds_count{protocol="connect"} 1
`)
}

func TestARefusalIsCountedByItsCause(t *testing.T) {
	g, m := newGate(t)
	for range 2 {
		g.Begin(gate.Source{}, track.SOCKS5).Fail(gate.Malformed("what?"), 0)
	}
	begin(t, g, track.HTTP).Fail(&egress.Error{Kind: egress.Timeout, Sentence: "it does not answer"}, 504)
	reference.WantScrape(t, m, "sluice_requests_total", `
sluice_requests_total{outcome="malformed",protocol="socks5",rule=""} 2
sluice_requests_total{outcome="timeout",protocol="http",rule="r"} 1
`)
	reference.WantScrape(t, m, "sluice_bytes", "")
	reference.WantScrape(t, m, `sluice_tunnel_duration_seconds_count{protocol="http"}`, `
sluice_tunnel_duration_seconds_count{protocol="http"} 0
`)
	if d := cmp.Diff(totals{0, 0, map[string]uint64{"malformed": 2, "timeout": 1}}, totalsOf(m)); d != "" {
		t.Error(d)
	}
}

func TestWhatIsOnlyObservedIsCountedBesideItsOutcome(t *testing.T) {
	m := New(Options{})
	m.Count(&track.Record{Protocol: track.Connect, Rule: "strict", Decision: "observe", Outcome: "ok"}, 0, 0)
	m.Count(&track.Record{Protocol: track.Connect, Rule: "strict", Decision: "deny", Outcome: "rule_denied"}, 0, 0)
	reference.WantScrape(t, m, "sluice_observed_refusals_total", `
sluice_observed_refusals_total{protocol="connect",rule="strict"} 1
`)
	reference.WantScrape(t, m, "sluice_requests_total", `
sluice_requests_total{outcome="ok",protocol="connect",rule="strict"} 1
sluice_requests_total{outcome="rule_denied",protocol="connect",rule="strict"} 1
`)
}

// However many ask meanwhile, no byte is counted twice, none is left out once its
// transaction has ended, and what one has read does not go back for another.
func TestManyReadersCountEachByteOnce(t *testing.T) {
	g, m := newGate(t)
	const writers, rounds = 4, 200
	var writing, reading sync.WaitGroup
	over := make(chan struct{})
	for range 3 {
		reading.Go(func() {
			var last totals
			for {
				now := totalsOf(m)
				if now.Up < last.Up || now.Down < last.Down || now.Requests["ok"] < last.Requests["ok"] {
					t.Errorf("totals go back from %v to %v", last, now)
				}
				last = now
				reference.Scrape(t, m, "sluice_bytes_total")
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	for range writers {
		writing.Go(func() {
			for range rounds {
				tx := begin(t, g, track.Connect)
				up, down := tx.Counters()
				for range 10 {
					up.Add(1)
					down.Add(3)
				}
				tx.Finish(gate.Finish{})
			}
		})
	}
	writing.Wait()
	n := uint64(writers * rounds)
	if d := cmp.Diff(totals{int64(10 * n), int64(30 * n), map[string]uint64{"ok": n}}, totalsOf(m)); d != "" {
		t.Errorf("all have ended: %s", d)
	}
	close(over)
	reading.Wait()
}

// halted is live, and whoever asks it has its answer, but the first not before goes is closed.
type halted struct {
	track.Live
	asked, goes chan struct{}
}

func (h halted) Uncounted() track.Uncounted {
	u := h.Live.Uncounted()
	select {
	case h.asked <- struct{}{}:
		<-h.goes
	default: // not the first
	}
	return u
}

func TestWhatOneReaderHasAskedForIsNotMissingForAnother(t *testing.T) {
	g, _ := newGate(t)
	h := halted{asked: make(chan struct{}, 1), goes: make(chan struct{})}
	m := New(Options{Live: func() []track.Live {
		list := g.Live().List()
		for i := range list {
			list[i] = halted{list[i], h.asked, h.goes}
		}
		return list
	}})
	g.Count = m.Count
	tx := begin(t, g, track.Connect)
	up, _ := tx.Counters()
	up.Add(100)
	read := make(chan int64, 2)
	reader := func() { up, _, _ := m.Totals(); read <- up }
	go reader()
	for len(h.asked) == 0 {
		time.Sleep(time.Millisecond)
	}
	up.Add(10)
	tx.Finish(gate.Finish{})
	go reader()
	select {
	case up := <-read: // it has not waited
		read <- up
	case <-time.After(50 * time.Millisecond):
	}
	close(h.goes)
	for range 2 {
		if up := <-read; up != 110 {
			t.Errorf("a reader gets %d of 110 bytes", up)
		}
	}
}

func TestAFailedReloadShowsUntilOneSucceeds(t *testing.T) {
	m := New(Options{})
	reference.WantScrape(t, m, "sluice_config_last_reload_successful", "sluice_config_last_reload_successful 1\n")
	at := reference.Scrape(t, m, "sluice_config_last_reload_success_timestamp_seconds")
	time.Sleep(2 * time.Millisecond)
	m.Reloaded(errors.New("line 3: no"))
	reference.WantScrape(t, m, "sluice_config_last_reload_successful", "sluice_config_last_reload_successful 0\n")
	reference.WantScrape(t, m, "sluice_config_last_reload_success_timestamp_seconds", at)
	m.Reloaded(nil)
	reference.WantScrape(t, m, "sluice_config_last_reload_successful", "sluice_config_last_reload_successful 1\n")
	reference.WantScrape(t, m, "sluice_config_reloads_total", `
sluice_config_reloads_total{result="failure"} 1
sluice_config_reloads_total{result="success"} 1
`)
	if now := reference.Scrape(t, m, "sluice_config_last_reload_success_timestamp_seconds"); now == at {
		t.Errorf("the time of the last success stays %s", at)
	}
}

func TestLookupsAndDialsAreTimed(t *testing.T) {
	m := New(Options{})
	for _, d := range []struct {
		r egress.Result
		e *egress.Error
	}{
		{egress.Result{DNS: 250 * time.Millisecond, Dial: 500 * time.Millisecond, Tries: 1}, nil},
		{egress.Result{Dial: 2 * time.Second, Tries: 1}, nil}, // an address
		{egress.Result{DNS: 4 * time.Second}, &egress.Error{Kind: egress.ResolverTimeout}},
		{egress.Result{DNS: 250 * time.Millisecond, Dial: 10 * time.Second, Tries: 1}, &egress.Error{Kind: egress.Timeout}},
		{egress.Result{DNS: time.Second}, &egress.Error{Kind: egress.ClientGone}},
	} {
		m.Dialed(d.r, d.e)
	}
	reference.WantScrape(t, m, "sluice_dns_duration_seconds_sum", "sluice_dns_duration_seconds_sum 4.5\n")
	reference.WantScrape(t, m, "sluice_dns_duration_seconds_count", "sluice_dns_duration_seconds_count 3\n")
	reference.WantScrape(t, m, "sluice_dial_duration_seconds_sum", "sluice_dial_duration_seconds_sum 2.5\n")
	reference.WantScrape(t, m, "sluice_dial_duration_seconds_count", "sluice_dial_duration_seconds_count 2\n")
}

func TestTheStateOfTheServerIsAskedAtEachScrape(t *testing.T) {
	s := State{Tunnels: 1, MaxTunnels: 2, Clients: 3, Handshakes: 4, MaxHandshakes: 5, OverHandshakes: 6,
		OverMaxHandshakes: 7, AcceptFailures: 8, RecordsLost: 9, Panics: 10}
	m := New(Options{State: func() State { return s }, Version: "v1.2.3"})
	s.Draining = true
	for _, line := range []string{
		"sluice_tunnels 1", "sluice_max_tunnels 2", "sluice_clients 3", "sluice_handshakes 4", "sluice_max_handshakes 5",
		`sluice_connections_reset_total{bound="handshakes"} 6`, `sluice_connections_reset_total{bound="max_handshakes"} 7`,
		"sluice_accept_failures_total 8", "sluice_log_records_lost_total 9", "sluice_panics_total 10", "sluice_draining 1",
	} {
		name, _, _ := strings.Cut(line, " ")
		reference.WantScrape(t, m, name+" ", line+"\n")
	}
	if info := reference.Scrape(t, m, "sluice_build_info"); !strings.Contains(info, `version="v1.2.3"`) {
		t.Errorf("build info %s", info)
	}
}

func TestScrapesAreBounded(t *testing.T) {
	reference.CheckScrapesAreBounded(t, service.Scrapes, func(gathering func()) http.Handler {
		m := New(Options{})
		m.state = func() State { gathering(); return State{} }
		return m
	})
}
