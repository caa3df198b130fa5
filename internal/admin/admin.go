// Package admin is the HTTP interface for whoever runs the proxy: what is live, who
// uses how much, what was refused and why, what is in force, and the few things that
// can be done about it. ADMIN.md beside this file documents every endpoint.
//
// It asks for no password: it is for the machine's own loopback or a unix socket. So
// that pages in the operator's browser cannot use it either, it refuses what comes
// from other origins (guard.go). Deciding, relaying and counting are done elsewhere;
// this package looks on, and passes kills and reloads on.
package admin

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"sluice/acl"
	"sluice/internal/config"
	"sluice/internal/explain"
	"sluice/internal/gate"
	"sluice/internal/track"
)

// Options are what the interface shows and passes on.
type Options struct {
	Gate    *gate.Gate
	Version string
	Started time.Time // of the process
	// Config returns the configuration in force and when it was loaded.
	Config func() (*config.Config, time.Time)
	// Listening returns the addresses that are bound.
	Listening func() []string
	// Explain answers what would become of a request now.
	Explain func(acl.Request) explain.Answer
	// Reload reads the configuration anew, and puts it in force or changes nothing;
	// nil: it cannot be done this way.
	Reload func(context.Context) (warnings []string, err error)
	// Totals returns the bytes relayed since the start, client to origin and back, of
	// live transactions too, and how many ended with each outcome.
	Totals  func() (up, down int64, requests map[string]uint64)
	Metrics http.Handler // nil: there are none
	// Panicked is told of a panic, which ends the one answer, or the feed's
	// subscriptions, that it came in; nil: nobody is.
	Panicked func(value any, stack []byte)
	// Page serves "/" and all below "/page/"; nil: "/" lists the endpoints.
	Page http.Handler
}

func (o *Options) panicked(value any) {
	if o.Panicked != nil {
		o.Panicked(value, debug.Stack())
	}
}

// Handler answers requests to the admin address. Close ends those that would last.
type Handler struct {
	o        Options
	mux      *http.ServeMux
	guard    guard
	refusals refusals
	feed     *feed
	sampling chan struct{} // has a place for each request that measures rates

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // requests that are being answered
}

// New returns a handler, whose Count is to be told of each transaction's end.
func New(o Options) *Handler {
	h := &Handler{o: o, mux: http.NewServeMux(), guard: newGuard(), sampling: make(chan struct{}, mostSamplings)}
	h.feed = newFeed(&h.o, &h.refusals)
	for _, r := range h.routes() {
		h.mux.Handle(r.pattern, h.answer(r))
	}
	return h
}

// Count takes a transaction's final record; it is for the gate's hook of that name.
func (h *Handler) Count(r *track.Record, _, _ int64) {
	if r.Outcome != ok {
		h.refusals.add(r, time.Now())
	}
}

// ok is the outcome of what went well.
const ok = "ok"

// Reloaded tells whoever watches that a reload happened, however it was asked for;
// err is why it changed nothing, or nil.
func (h *Handler) Reloaded(err error) { h.feed.reloaded(err) }

// Close ends what would last, and waits for all requests to be answered. Those that
// come later are refused. The server that has the handler is to be closed before, so
// that none waits for its client.
func (h *Handler) Close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.feed.close()
	h.wg.Wait()
}

// enter counts a request in; false: the handler is closed.
func (h *Handler) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Add(1)
	return true
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		fail(w, r, &fault{http.StatusServiceUnavailable, "this proxy has stopped", nil})
		return
	}
	defer h.wg.Done()
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			h.o.panicked(v)
			panic(http.ErrAbortHandler) // the library cuts the connection, and has nothing to say
		}
	}()
	if f := h.guard.check(w, r); f != nil {
		fail(w, r, f)
		return
	}
	next, pattern := h.mux.Handler(r)
	if pattern != "" {
		h.mux.ServeHTTP(w, r)
		return
	}
	// The library's own answer says whether the path is unknown or just the method,
	// in plain text.
	own := &head{header: make(http.Header)}
	next.ServeHTTP(own, r)
	if own.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", own.header.Get("Allow"))
		fail(w, r, &fault{own.status, r.URL.Path + " does not take " + r.Method, nil})
		return
	}
	fail(w, r, notFound("there is nothing at %s; / lists what there is", r.URL.Path))
}

// head takes the head of an answer alone.
type head struct {
	header http.Header
	status int
}

func (h *head) Header() http.Header         { return h.header }
func (h *head) Write(p []byte) (int, error) { return len(p), nil }
func (h *head) WriteHeader(status int)      { h.status = status }

// route is an endpoint.
type route struct {
	pattern string // as http.ServeMux reads it
	does    string
	handle  func(http.ResponseWriter, *http.Request) error
	params  []string // that its query may have
}

func (h *Handler) routes() []route {
	page, metrics := h.list, h.noMetrics
	if h.o.Page != nil {
		page = served(h.o.Page)
	}
	if h.o.Metrics != nil {
		metrics = served(h.o.Metrics)
	}
	list := []route{
		{"GET /{$}", "the page, or this list", page, nil},
		{"GET /healthz", "whether the process lives", h.healthy, nil},
		{"GET /readyz", "whether it takes new tunnels", h.ready, nil},
		{"GET /metrics", "metrics, as Prometheus reads them", metrics, nil},
		{"GET /tunnels", "what is live", h.tunnels, []string{"client", "host", "rule", "protocol"}},
		{"GET /tunnels/{id}", "one that is live", h.tunnel, nil},
		{"DELETE /tunnels/{id}", "ends it", h.kill, nil},
		{"DELETE /tunnels", "ends all of a client", h.killClient, []string{"client"}},
		{"GET /clients", "what each client has, and what its limits leave it", h.clients, []string{"client"}},
		{"GET /refusals", "the latest that were refused or failed", h.latestRefusals, nil},
		{"GET /events", "what happens, each second, as server-sent events", h.events, nil},
		{"GET /config", "the configuration in force", h.config, nil},
		{"GET /explain", "what would become of a request, and why", h.explain, []string{"client", "to", "user"}},
		{"POST /reload", "reads the configuration anew", h.reload, nil},
	}
	if h.o.Page != nil {
		list = append(list, route{"GET /page/", "what the page is made of", page, nil})
	}
	return list
}

func served(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// answer turns what goes wrong into an answer.
func (h *Handler) answer(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rt.pattern != "GET /page/" { // versions of assets are the page's own matter
			if f := checkQuery(r, rt.params); f != nil {
				fail(w, r, f)
				return
			}
		}
		if err := rt.handle(w, r); err != nil {
			fail(w, r, err)
		}
	})
}
