package page_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"sluice/internal/admin/page"
)

// object is a JSON object of the admin interface.
type object = map[string]any

// feed plays the admin interface to the page, with what a test wants to be shown.
type feed struct {
	*httptest.Server
	t       *testing.T
	start   func() object
	explain func(r *http.Request) (int, object)
	kill    func() (int, object)

	mu      sync.Mutex
	readers map[chan string]bool
	killed  []string // requests that kill, as "DELETE /path?query"
	refuse  string   // error with which /events is refused, if not empty
}

// newFeed serves the page and a feed that begins with start.
func newFeed(t *testing.T, start func() object) *feed {
	f := &feed{t: t, start: start, readers: make(map[chan string]bool)}
	f.explain = func(*http.Request) (int, object) {
		return http.StatusOK, object{"allowed": false, "sentence": "no rule lets it", "steps": []object{}}
	}
	f.kill = func() (int, object) { return http.StatusOK, object{"killed": 1} }
	mux := http.NewServeMux()
	mux.Handle("/", page.Handler())
	mux.HandleFunc("GET /events", f.events)
	mux.HandleFunc("GET /config", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, object{"listener": []object{{"address": ":3128"}, {"address": ":1080"}}, "loaded": stamp(began)})
	})
	mux.HandleFunc("GET /explain", func(w http.ResponseWriter, r *http.Request) {
		status, body := f.explain(r)
		answer(w, status, body)
	})
	kill := func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.killed = append(f.killed, r.Method+" "+r.URL.String())
		f.mu.Unlock()
		status, body := f.kill()
		answer(w, status, body)
	}
	mux.HandleFunc("DELETE /tunnels", kill)
	mux.HandleFunc("DELETE /tunnels/{id}", kill)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() { f.drop(); f.Close() })
	return f
}

func answer(w http.ResponseWriter, status int, body object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func event(name string, data object) string {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, b)
}

func (f *feed) events(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	if f.refuse != "" {
		f.mu.Unlock()
		answer(w, http.StatusServiceUnavailable, object{"error": f.refuse})
		return
	}
	mine := make(chan string, 64)
	mine <- event("start", f.start())
	f.readers[mine] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.readers, mine)
		f.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		select {
		case text, ok := <-mine:
			if !ok {
				return
			}
			w.Write([]byte(text))
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// send sends an event to all who read.
func (f *feed) send(name string, data object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.readers {
		c <- event(name, data)
	}
}

// drop ends all connections, as a restart of the proxy does.
func (f *feed) drop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.readers {
		delete(f.readers, c)
		close(c)
	}
}

// reading returns how many read the feed.
func (f *feed) reading() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.readers)
}

func (f *feed) kills() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.killed...)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// began is the time of the first event of the feeds that tests make.
var began = time.Now().Add(-time.Minute)

// tunnelObject is a live tunnel as the feed tells of it.
func tunnelObject(id int, client, host string) object {
	return object{
		"id": fmt.Sprintf("%016x", id), "start": stamp(began.Add(-time.Duration(id) * time.Second)),
		"listener": ":3128", "protocol": "connect", "client": client, "client_port": 40000 + id%20000,
		"host": host, "port": 443, "address": "203.0.113.5:443", "rule": "docker-hosts",
		"decision": "allow", "total_seconds": 1, "bytes_up": 0, "bytes_down": 0,
	}
}

// starting is a start event with these tunnels.
func starting(tunnels ...object) object {
	return object{
		"time": stamp(began), "version": "v1.4.0", "started": stamp(began.Add(-75 * time.Hour)),
		"max_tunnels": 20000, "draining": false, "tunnels": tunnels, "refusals": []object{},
		"requests": object{"ok": len(tunnels)}, "bytes_up": 0, "bytes_down": 0,
	}
}

// ticking is the nth tick, with changes in place of what is quiet.
func ticking(n, live int, changes object) object {
	tick := object{
		"time": stamp(began.Add(time.Duration(n) * time.Second)), "draining": false, "count": live,
		"bytes_up": 0, "bytes_down": 0, "rate_up": 0, "rate_down": 0, "requests": object{"ok": live},
		"opened": []object{}, "closed": []string{}, "moved": []any{}, "refused": []object{},
		"clients": []object{}, "destinations": []object{},
	}
	for name, value := range changes {
		tick[name] = value
	}
	return tick
}
