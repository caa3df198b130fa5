// Package site is what every admin address is, whatever it shows: routes that check
// what they are asked, answers in JSON, a guard against pages of other origins, and
// bounds on what who asks may take.
//
// It asks for no password: such an address is for the machine's own loopback or a unix
// socket.
package site

import (
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
)

// Route is an endpoint.
type Route struct {
	Pattern string // as http.ServeMux reads it
	Does    string // in a few words
	// Handle answers, or returns an error for an answer that has not begun.
	Handle func(http.ResponseWriter, *http.Request) error
	Params []string // that its query may have
	Free   bool     // its query is its own matter
}

// On returns a route whose query may have these parameters.
func On(pattern, does string, handle func(http.ResponseWriter, *http.Request) error, params ...string) Route {
	return Route{Pattern: pattern, Does: does, Handle: handle, Params: params}
}

// Serve makes a Route's Handle of a handler.
func Serve(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// Site answers requests to an admin address. Close it at the end.
type Site struct {
	mux      *http.ServeMux
	guard    guard
	panicked func(value any, stack []byte)

	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup // requests that are being answered
}

// New returns a site of these routes. Panicked is told of a panic, which ends the one
// answer that it came in; nil: nobody is.
func New(routes []Route, panicked func(value any, stack []byte)) *Site {
	s := &Site{mux: http.NewServeMux(), guard: newGuard(), panicked: panicked}
	for _, r := range routes {
		s.mux.Handle(r.Pattern, answer(r))
	}
	return s
}

// Close refuses what comes later, calls end, which ends what would last, and waits
// for all requests to be answered. The server that has the site is to be closed
// before, so that none waits for its client.
func (s *Site) Close(end func()) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	end()
	s.wg.Wait()
}

// enter counts a request in; false: the site is closed.
func (s *Site) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// ServeHTTP answers one request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		Fail(w, r, &Fault{http.StatusServiceUnavailable, "this program has stopped", nil})
		return
	}
	defer s.wg.Done()
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler {
			if s.panicked != nil {
				s.panicked(v, debug.Stack())
			}
			panic(http.ErrAbortHandler) // the library cuts the connection, and has nothing to say
		}
	}()
	if f := s.guard.check(w, r); f != nil {
		Fail(w, r, f)
		return
	}
	next, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	// The library's own answer says whether the path is unknown or just the method,
	// in plain text.
	own := &head{header: make(http.Header)}
	next.ServeHTTP(own, r)
	if own.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", own.header.Get("Allow"))
		Fail(w, r, &Fault{own.status, r.URL.Path + " does not take " + r.Method, nil})
		return
	}
	Fail(w, r, NotFound("there is nothing at %s; / lists what there is", r.URL.Path))
}

// head takes the head of an answer alone.
type head struct {
	header http.Header
	status int
}

func (h *head) Header() http.Header         { return h.header }
func (h *head) Write(p []byte) (int, error) { return len(p), nil }
func (h *head) WriteHeader(status int)      { h.status = status }

// answer turns what goes wrong into an answer.
func answer(rt Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !rt.Free {
			if f := checkQuery(r, rt.Params); f != nil {
				Fail(w, r, f)
				return
			}
		}
		if err := rt.Handle(w, r); err != nil {
			Fail(w, r, err)
		}
	})
}

// List returns an answer for "/" where there is no page: a line for each route.
func List(routes func() []Route) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		var b strings.Builder
		for _, rt := range routes() {
			method, path, _ := strings.Cut(rt.Pattern, " ")
			b.WriteString(method + " " + strings.TrimSuffix(path, "{$}") + "\t" + rt.Does + "\n")
		}
		Plain(w, http.StatusOK, b.String())
		return nil
	}
}
