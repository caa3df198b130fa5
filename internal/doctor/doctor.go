// Package doctor finds out why a host cannot reach another one, and whether a
// proxy helps.
//
// It walks to each destination on two ways at once, directly and through the
// proxy: name, connection to every address, TLS, an HTTP request; at a container
// registry also token, manifest, the redirect of a blob and the blob's first
// bytes. Each of these is a [Step] that says what came of it. What this host is
// set to (dockerd's environment, NO_PROXY, daemon.json, the clock) becomes a
// [Fact] each. A [Verdict] follows from the steps and the facts alone.
//
// Any HTTP proxy will do, and any that speaks SOCKS5. Nothing is changed on the
// host, and no credentials are printed. Printing the report is [Report.Write]'s;
// flags and exit statuses are left to the command.
package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// DefaultTimeout bounds a whole examination.
const DefaultTimeout = 30 * time.Second

// Bounds of an examination, so that no list of hosts and no host's answers make
// it a flood.
const (
	maxWalks     = 16 // at once; each has one connection, or one for each address
	maxAddresses = 16 // tried of one name
)

// Options say what is examined. The zero value examines Docker Hub directly, or
// through the proxy that this host is set to.
type Options struct {
	Targets []Target // none: those of @docker-hub
	Image   Image    // pulled from in part; none: library/hello-world

	// Proxy is examined beside the direct way. Nil: the one that the environment
	// names, or dockerd's own, or none.
	Proxy *url.URL

	Timeout  time.Duration           // of all together; 0: DefaultTimeout
	Roots    *x509.CertPool          // nil: the system's
	Environ  []string                // of this process, as os.Environ has it
	System   System                  // where facts about this host are read
	Progress func(s Step, over bool) // nil: nobody waits; called by one goroutine at a time
}

// run is one examination on its way.
type run struct {
	Options
	image  Image
	proxy  *proxy // nil: only the direct way
	budget time.Duration
	places chan struct{} // one for each walk at a time

	mu     sync.Mutex
	report *Report
}

// Run examines. It returns when all is known or the time is up; what was not
// done by then says so in the report. A context that ends early is the same.
func Run(ctx context.Context, o Options) *Report {
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	now := time.Now()
	r := &run{
		Options: o,
		image:   o.Image.orDefault(),
		budget:  o.Timeout,
		places:  make(chan struct{}, maxWalks),
		report:  &Report{began: now, Started: now.UTC().Truncate(time.Millisecond)},
	}
	settings := o.System.read(ctx, o.Environ)
	r.chooseProxy(settings)
	targets := o.Targets
	if len(targets) == 0 {
		targets = DockerHub()
	}
	r.walkAll(ctx, targets)
	r.report.finish(settings)
	return r.report
}

// chooseProxy takes the proxy that was asked for, or else the one that is set.
func (r *run) chooseProxy(set *settings) {
	chosen, source := r.Proxy, "--proxy"
	if chosen == nil {
		chosen, source = set.find()
	}
	if chosen == nil {
		return
	}
	r.proxy = &proxy{URL: chosen, roots: r.Roots}
	r.report.Proxy = &Proxy{URL: Redacted(chosen), Source: source, address: r.proxy.address(), url: chosen}
}

// ways are those that are walked.
func (r *run) ways() []way {
	direct := way{name: Direct, dial: new(net.Dialer).DialContext}
	if r.proxy == nil {
		return []way{direct}
	}
	return []way{direct, {name: Through, dial: r.proxy.dial}}
}

// walkAll walks to the targets, and then to those hosts that a registry names and
// that were not among them: a redirect found on one way is tried on the other.
func (r *run) walkAll(ctx context.Context, targets []Target) {
	ways := r.ways()
	if r.proxy != nil && !r.reachProxy(ctx) {
		ways = ways[:1]
	}
	for len(targets) > 0 {
		var group sync.WaitGroup
		var mu sync.Mutex
		var named []Target
		for _, t := range r.fresh(targets) {
			for _, w := range ways {
				group.Go(func() {
					r.places <- struct{}{}
					defer func() { <-r.places }()
					found := r.walk(ctx, w, t)
					mu.Lock()
					named = append(named, found...)
					mu.Unlock()
				})
			}
		}
		group.Wait()
		targets = named
	}
}

// fresh enters the targets into the report and returns those that are new. A host
// that is needed, as it turns out, stays where it is and is needed.
func (r *run) fresh(targets []Target) []Target {
	var added []Target
	for _, t := range targets {
		i := slices.IndexFunc(r.report.Hosts, func(h Host) bool { return h.Host == t.String() })
		if i >= 0 {
			r.report.Hosts[i].Needed = r.report.Hosts[i].Needed || t.Needed
			continue
		}
		r.report.Hosts = append(r.report.Hosts, Host{Host: t.String(), Needed: t.Needed, Why: t.Why, name: t.Host, target: t})
		added = append(added, t)
	}
	return added
}

// begin starts a step; end has to follow.
func (r *run) begin(w wayName, host, name string) *Step {
	s := &Step{Host: host, Way: w, Step: name, began: time.Now()}
	r.tell(*s, false)
	return s
}

// end enters a step into the report and says whether all is well.
func (r *run) end(s *Step, o Outcome, sentence string) bool {
	s.Outcome, s.Sentence = o, clean(sentence)
	s.Milliseconds = milliseconds(time.Since(s.began))
	r.mu.Lock()
	r.report.Steps = append(r.report.Steps, *s)
	r.mu.Unlock()
	r.tell(*s, true)
	return o == OK
}

func (r *run) tell(s Step, over bool) {
	if r.Progress == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Progress(s, over)
}

// bound gives one part of the work its share of the time: a host that never
// answers must not use up what the next step needs.
func (r *run) bound(ctx context.Context, share int, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, min(most, r.budget/time.Duration(share)))
}
