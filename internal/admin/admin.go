// Package admin is the HTTP interface for whoever runs the proxy: what is live, who
// uses how much, what was refused and why, what is in force, and the few things that
// can be done about it. ADMIN.md beside this file documents every endpoint.
//
// It asks for no password: it is for the machine's own loopback or a unix socket. So
// that pages in the operator's browser cannot use it either, it refuses what comes
// from other origins (package site). Deciding, relaying and counting are done elsewhere;
// this package looks on, and passes kills and reloads on.
package admin

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"

	"sluice/acl"
	"sluice/internal/admin/site"
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
	site     *site.Site
	refusals refusals
	feed     *feed
	sampling chan struct{} // has a place for each request that measures rates
}

// New returns a handler, whose Count is to be told of each transaction's end.
func New(o Options) *Handler {
	h := &Handler{o: o, sampling: make(chan struct{}, mostSamplings)}
	h.feed = newFeed(&h.o, &h.refusals)
	h.site = site.New(h.routes(), o.Panicked)
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
func (h *Handler) Close() { h.site.Close(h.feed.close) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.site.ServeHTTP(w, r) }

func (h *Handler) routes() []site.Route {
	page, metrics := site.List(h.routes), h.noMetrics
	if h.o.Page != nil {
		page = site.Serve(h.o.Page)
	}
	if h.o.Metrics != nil {
		metrics = site.Serve(h.o.Metrics)
	}
	list := []site.Route{
		site.On("GET /{$}", "the page, or this list", page),
		site.On("GET /healthz", "whether the process lives", h.healthy),
		site.On("GET /readyz", "whether it takes new tunnels", h.ready),
		site.On("GET /metrics", "metrics, as Prometheus reads them", metrics),
		site.On("GET /tunnels", "what is live", h.tunnels, "client", "host", "rule", "protocol"),
		site.On("GET /tunnels/{id}", "one that is live", h.tunnel),
		site.On("DELETE /tunnels/{id}", "ends it", h.kill),
		site.On("DELETE /tunnels", "ends all of a client", h.killClient, "client"),
		site.On("GET /clients", "what each client has, and what its limits leave it", h.clients, "client"),
		site.On("GET /refusals", "the latest that were refused or failed", h.latestRefusals),
		site.On("GET /events", "what happens, each second, as server-sent events", h.events),
		site.On("GET /config", "the configuration in force", h.config),
		site.On("GET /explain", "what would become of a request, and why", h.explain, "client", "to", "user"),
		site.On("POST /reload", "reads the configuration anew", site.Reload("proxy", h.o.Reload, h.o.Gate.Draining)),
	}
	if h.o.Page != nil {
		list = append(list, site.Route{Pattern: "GET /page/", Does: "what the page is made of", Handle: page, Free: true})
	}
	return list
}
