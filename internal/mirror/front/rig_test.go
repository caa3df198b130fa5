package front

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

var zeroTime time.Time

// rig is a mirror of two registries, docker.io by default and ghcr.io, with its
// clients on loopback.
type rig struct {
	t      *testing.T
	hub    *origin // docker.io
	ghcr   *origin
	server *httptest.Server
	spy    *spyListener
	store  *store.Store
	// handler answers what the server gets.
	handler *Handler

	mu      sync.Mutex
	records []record.Record
}

// setup is what a test may want otherwise.
type setup struct {
	Handler
	rules      []access.Rule
	secure     bool
	connection Connection
	tagTTL     time.Duration
	// readTimeout is the server's, for the whole of a request
	readTimeout time.Duration
	maxSize     int64
	own         string // password of the mirror's own for both registries
}

var everybody = access.Rule{Rule: acl.Rule{Name: "everybody", Action: acl.Allow}}

func newRig(t *testing.T, change ...func(*setup)) *rig {
	t.Helper()
	x := &rig{t: t, hub: newOrigin(t), ghcr: newOrigin(t)}
	s := setup{rules: []access.Rule{everybody}, maxSize: 1 << 30, tagTTL: time.Hour}
	for _, f := range change {
		f(&s)
	}
	var err error
	if x.store, err = store.Open(store.Options{Dir: t.TempDir() + "/cache", MaxSize: s.maxSize}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.store.Close() })
	m := pull.New(x.store, pull.Options{})
	t.Cleanup(func() { m.Close() })
	m.Swap(&pull.Policy{Default: "docker.io", Aliases: map[string]string{"index.docker.io": "docker.io"}, Upstreams: map[string]pull.Upstream{
		"docker.io": {Registry: x.registry("docker.io", x.hub, s.own), TagTTL: s.tagTTL},
		"ghcr.io":   {Registry: x.registry("ghcr.io", x.ghcr, s.own), TagTTL: s.tagTTL},
	}})
	policy, err := access.New(s.rules)
	if err != nil {
		t.Fatal(err)
	}
	s.Mirror, s.Policy, s.Listener = m, func() *access.Policy { return policy }, "test"
	s.Record = func(r *record.Record) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.records = append(x.records, *r)
	}
	x.handler = &s.Handler
	var underWay sync.WaitGroup // net/http's server does not wait for it when it is closed
	t.Cleanup(underWay.Wait)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		underWay.Add(1)
		defer underWay.Done()
		x.handler.ServeHTTP(w, r)
	})
	x.server, x.spy = serveAs(t, s.secure, func(server *http.Server) {
		server.ReadTimeout = s.readTimeout
		server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			conn := s.connection
			conn.Conn = c
			return conn.With(ctx)
		}
	}, h)
	return x
}

func (x *rig) registry(name string, o *origin, password string) *upstream.Registry {
	x.t.Helper()
	u, err := url.Parse(o.URL)
	if err != nil {
		x.t.Fatal(err)
	}
	opt := upstream.Options{Name: name, URL: u, Dialer: &egress.Dialer{AllowPrivate: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}
	if password != "" {
		x.t.Setenv("MIRROR_TEST_PASSWORD", password)
		opt.Username, opt.PasswordEnv = "mirror", "MIRROR_TEST_PASSWORD"
	}
	r, err := upstream.New(opt)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(r.Close)
	return r
}

// answer is what came back, whole.
type answer struct {
	*http.Response
	body []byte
	err  error // of reading it
}

// do sends a request with header fields in pairs. Something must come back.
func (x *rig) do(method, path string, header ...string) answer {
	x.t.Helper()
	a := x.try(method, path, header...)
	if a.StatusCode == 0 {
		x.t.Fatal(a.err)
	}
	return a
}

// try is do for an answer that may not even have a head; its status is 0 then.
func (x *rig) try(method, path string, header ...string) answer {
	x.t.Helper()
	req, err := http.NewRequest(method, x.server.URL+path, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := x.server.Client().Do(req)
	if err != nil {
		return answer{Response: &http.Response{Request: req}, err: err}
	}
	defer resp.Body.Close()
	a := answer{Response: resp}
	a.body, a.err = io.ReadAll(resp.Body)
	return a
}

func (x *rig) get(path string, header ...string) answer {
	x.t.Helper()
	return x.do(http.MethodGet, path, header...)
}

func (x *rig) head(path string, header ...string) answer {
	x.t.Helper()
	return x.do(http.MethodHead, path, header...)
}

// want fails the test when an answer has another status, or header fields in pairs
// are not there; "" for a value: the field must not be there.
func (x *rig) want(a answer, status int, header ...string) {
	x.t.Helper()
	if a.StatusCode != status {
		x.t.Errorf("%s %s: %d, want %d: %.300s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if got := a.Header.Get(header[i]); got != header[i+1] {
			x.t.Errorf("%s %s: %s is %q, want %q", a.Request.Method, a.Request.URL, header[i], got, header[i+1])
		}
	}
}

// wantError fails the test unless an answer is an error with that code, in the form
// that the section "Error codes" has for it. It returns the message.
func (x *rig) wantError(a answer, status int, code oci.Code) string {
	x.t.Helper()
	x.want(a, status, "Content-Type", "application/json")
	if a.Request.Method == http.MethodHead {
		if len(a.body) > 0 {
			x.t.Errorf("%s has a body: %q", a.Request.URL, a.body)
		}
		return ""
	}
	var body struct {
		Errors []struct {
			Code    oci.Code
			Message string
		}
	}
	if err := json.Unmarshal(a.body, &body); err != nil || len(body.Errors) != 1 || body.Errors[0].Code != code || body.Errors[0].Message == "" {
		x.t.Errorf("%s %s: %s (%v), want %s", a.Request.Method, a.Request.URL, a.body, err, code)
		return ""
	}
	return body.Errors[0].Message
}

// last returns the record of the latest request that has ended, which is that of an
// answer that was read a moment after it.
func (x *rig) last(requests int) record.Record {
	x.t.Helper()
	for range 1000 {
		x.mu.Lock()
		n := len(x.records)
		x.mu.Unlock()
		if n >= requests {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.records) < requests {
		x.t.Fatalf("%d records of %d requests", len(x.records), requests)
	}
	return x.records[requests-1]
}

// allRecords returns the records of so many requests.
func (x *rig) allRecords(requests int) []record.Record {
	x.t.Helper()
	x.last(requests)
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.records)
}

var noDigest = oci.FromBytes([]byte("there is no such content"))

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}
