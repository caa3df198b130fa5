// Package metrics counts what passes, for Prometheus and for the admin interface:
// requests by outcome, bytes by rule while they pass, and the state of the process.
// It has a registry of its own. METRICS.md lists what is in it; serving it, and
// keeping the figures that a State is made of, is left to others.
//
// No label ever has a value that a client chooses: what a rule is named is the
// operator's choice, everything else is from a short list.
package metrics

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/metrics/service"
	"sluice/internal/track"
)

// Options say where the figures come from that are kept elsewhere.
type Options struct {
	// Version is of this build; "": "unknown".
	Version string
	// Live returns the transactions under way, whose Uncounted nobody else may call;
	// nil: there are none.
	Live func() []track.Live
	// State returns what the server counts by itself; nil: all of it is 0.
	State func() State
}

// State is what a server counts by itself. Totals are since the start.
type State struct {
	Tunnels       int // connections to destinations, with those being dialled
	MaxTunnels    int // 0: no bound
	Clients       int // that have these connections
	Handshakes    int // connections of clients that hold no tunnel
	MaxHandshakes int

	OverHandshakes    uint64 // connections reset over the bound of one client
	OverMaxHandshakes uint64 // and over that of all
	AcceptFailures    uint64
	RecordsLost       uint64 // of the access log
	Panics            uint64 // that have ended a connection or a transaction
	Draining          bool
}

// Metrics counts. It is safe for concurrent use.
type Metrics struct {
	*service.Reloads // of the configuration

	registry *prometheus.Registry
	handler  http.Handler
	live     func() []track.Live
	state    func() State
	names    []string       // of outcomes, "ok" first
	outcomes map[string]int // index in names
	observe  string         // the decision of a request that would have been refused

	rules    atomic.Pointer[map[string]*series] // by name; a new one replaces the map
	adding   sync.Mutex                         // one at a time does that
	counting sync.Mutex                         // one at a time asks what is live

	lifetimes [protocols + 1]prometheus.Observer // by protocol
	dns, dial prometheus.Histogram
}

// protocols is how many there are; they count from 1.
const protocols = int(track.SOCKS5)

// New returns metrics in which the configuration has just been read with success.
func New(o Options) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		live:     o.Live, state: o.State,
		names: []string{egress.None.String()}, outcomes: make(map[string]int),
		observe: acl.Observe.String(),
	}
	if m.live == nil {
		m.live = func() []track.Live { return nil }
	}
	if m.state == nil {
		m.state = func() State { return State{} }
	}
	for _, k := range egress.Kinds() {
		m.names = append(m.names, k.String())
	}
	for i, name := range m.names {
		m.outcomes[name] = i
	}
	m.rules.Store(&map[string]*series{})
	m.addHistograms()
	m.Reloads = service.NewReloads(m.registry, "sluice")
	service.AddBuild(m.registry, "sluice", o.Version)
	m.registry.MustRegister(
		traffic{m}, condition{m},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.handler = service.Handler(m.registry)
	return m
}

// Buckets in seconds. A look-up that asks nobody takes some µs, one of a resolver
// nearby a millisecond; and what takes longer than 10 s nobody waits for.
var (
	lookupBuckets   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	lifetimeBuckets = []float64{.1, 1, 10, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}
)

func (m *Metrics) addHistograms() {
	m.dns = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sluice_dns_duration_seconds", Buckets: lookupBuckets,
		Help: "Time of look-ups, whether they found an address or not. A destination that is an address has none.",
	})
	m.dial = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sluice_dial_duration_seconds", Buckets: lookupBuckets,
		Help: "Time from the first connect to an established connection. Failures are in sluice_requests_total.",
	})
	lifetimes := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "sluice_tunnel_duration_seconds", Buckets: lifetimeBuckets,
		Help: "Time from the request to its end, of tunnels, and of plain HTTP requests as protocol http, that ended with outcome ok.",
	}, []string{"protocol"})
	for p := track.Protocol(1); int(p) <= protocols; p++ {
		m.lifetimes[p] = lifetimes.WithLabelValues(p.String())
	}
	m.registry.MustRegister(m.dns, m.dial, lifetimes)
}

// ServeHTTP answers a scrape.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// Dialed counts what came of a dial, as a Gate tells it. How long a client waited
// that has left says nothing about a resolver.
func (m *Metrics) Dialed(r egress.Result, e *egress.Error) {
	if r.DNS > 0 && (e == nil || e.Kind != egress.ClientGone) {
		m.dns.Observe(r.DNS.Seconds())
	}
	if e == nil {
		m.dial.Observe(r.Dial.Seconds())
	}
}

// lifetime counts how long it took until the end.
func (m *Metrics) lifetime(p track.Protocol, d time.Duration) { m.lifetimes[p].Observe(d.Seconds()) }
