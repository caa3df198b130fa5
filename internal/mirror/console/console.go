// Package console is the HTTP interface for whoever runs the mirror: what is cached and
// what that saved, whether upstreams answer, what was refused and why, what is in
// force, and the few things that can be done about it. CONSOLE.md beside this file
// documents every endpoint.
//
// It is an admin address as package site has it. Serving pulls, keeping content and
// counting are done elsewhere; this package looks on, and passes orders on.
package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"sluice/internal/admin/site"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
)

// Cache is what is done with the content that is kept. A *store.Store is one.
type Cache interface {
	Stats() store.Stats
	// List returns what is kept.
	List() []store.Item
	// Remove removes content, and the tags that name it.
	Remove(oci.Digest) (store.Freed, error)
	// RemoveRepository removes what is known of a repository, and the content that
	// no other holds.
	RemoveRepository(oci.Repository) (store.Freed, error)
	// Verify reads all content, removes what is not what its name says, and calls
	// found after each.
	Verify(ctx context.Context, found func(store.Verified)) error
	// Prune removes what was used least recently, until no more bytes are kept.
	Prune(toSize int64) store.Freed
	// Peek reads small content, which is no use of it; false: it is not kept whole.
	Peek(d oci.Digest, most int64) ([]byte, bool)
}

// Options are what the interface shows and passes on.
type Options struct {
	Store     Cache
	Directory string           // of the cache, for /healthz to try; "": it is not tried
	Metrics   *metrics.Metrics // counts, and knows the upstreams
	Recent    *record.Ring     // of the latest requests
	Version   string
	Started   time.Time // of the process
	// Config returns the configuration in force, as JSON without secrets; nil: there
	// is none to show.
	Config func() []byte
	// Reload reads the configuration anew, and puts it in force or changes nothing;
	// nil: it cannot be done this way.
	Reload func(context.Context) (warnings []string, err error)
	// Draining tells whether the mirror takes no more requests; nil: it always does.
	Draining func() bool
	// Panicked is told of a panic, which ends the one answer that it came in; nil:
	// nobody is.
	Panicked func(value any, stack []byte)
}

// Handler answers requests to the admin address. Close ends those that would last.
type Handler struct {
	o    Options
	site *site.Site
	end  context.CancelCauseFunc
	ctx  context.Context // of what lasts

	listing   listing
	images    images
	verifying chan struct{} // has a place for one
	disk      disk
}

// New returns a handler.
func New(o Options) *Handler {
	if o.Draining == nil {
		o.Draining = func() bool { return false }
	}
	h := &Handler{o: o, verifying: make(chan struct{}, 1), disk: disk{dir: o.Directory}}
	h.listing.list = o.Store.List
	h.images.peek = o.Store.Peek
	h.ctx, h.end = context.WithCancelCause(context.Background())
	h.site = site.New(h.routes(), o.Panicked)
	return h
}

var errStopped = errors.New("the mirror has stopped")

// Close ends what would last, and waits for all requests to be answered. Those that
// come later are refused. The server that has the handler is to be closed before, so
// that none waits for its client.
func (h *Handler) Close() { h.site.Close(func() { h.end(errStopped) }) }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.site.ServeHTTP(w, r) }

func (h *Handler) routes() []site.Route {
	page := site.Serve(newPage())
	return []site.Route{
		site.On("GET /{$}", "the page", page),
		{Pattern: "GET /page/", Does: "what the page is made of", Handle: page, Free: true},
		site.On("GET /healthz", "whether the process lives, and can keep what it fetches", h.healthy),
		site.On("GET /readyz", "whether it takes requests", h.ready),
		site.On("GET /metrics", "metrics, as Prometheus reads them", site.Serve(h.o.Metrics)),
		site.On("GET /status", "what is kept, what that saved, and whether upstreams answer", h.status),
		site.On("GET /cache", "what is kept, by digest", h.items, "registry", "repository", "digest", "after", "limit"),
		site.On("GET /cache/repositories", "what is kept, by repository and tag", h.repositories, "registry", "limit"),
		site.On("POST /cache/remove", "removes content, a repository, or all of a registry", h.remove, "digest", "repository", "registry"),
		site.On("POST /cache/verify", "reads all that is kept, and removes what is damaged", h.verify, "rate"),
		site.On("POST /cache/prune", "removes what was used least recently", h.prune, "to"),
		site.On("GET /requests", "the latest requests", h.requests, "limit", "refused"),
		site.On("GET /config", "the configuration in force", h.config),
		site.On("POST /reload", "reads the configuration anew", site.Reload("mirror", h.o.Reload, h.o.Draining)),
	}
}

func (h *Handler) config(w http.ResponseWriter, _ *http.Request) error {
	if h.o.Config == nil {
		return site.NotFound("there is no configuration to show")
	}
	site.WriteJSON(w, h.o.Config())
	return nil
}

// listing lists what is kept for one at a time, and for those who ask within a second
// of each other once: a cache of 100,000 files takes a while to list.
type listing struct {
	list func() []store.Item

	mu       sync.Mutex
	at       time.Time
	items    []store.Item
	byDigest bool // they are in that order
}

const listedFor = time.Second

// get returns all items, in whatever order. They must not be changed.
func (l *listing) get() []store.Item {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.current()
}

// sorted returns all items in the order of their digests. They must not be changed.
func (l *listing) sorted() []store.Item {
	l.mu.Lock()
	defer l.mu.Unlock()
	if items := l.current(); !l.byDigest {
		l.items = slices.Clone(items) // others may be reading those
		slices.SortFunc(l.items, func(a, b store.Item) int { return cmp.Compare(a.Digest, b.Digest) })
		l.byDigest = true
	}
	return l.items
}

func (l *listing) current() []store.Item {
	if l.items == nil || time.Since(l.at) > listedFor {
		l.items, l.at, l.byDigest = l.list(), time.Now(), false
	}
	return l.items
}

// forget has the next who asks told of a change.
func (l *listing) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = nil
}
