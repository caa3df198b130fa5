//go:build linux

package upstream

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestARequestReachesTheRegistryAsItShall(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, nil)
	for base, prefix := range map[string]string{"": "/v2/", "/": "/v2/", "/nexus": "/nexus/v2/", "/v2/proxied/": "/v2/proxied/"} {
		o := w.options(t, registry.url(registryName)+base)
		o.Via, o.UserAgent = "me", "tester"
		r := open(t, o)
		for _, q := range []Request{
			{},
			{Repository: "library/alpine", Path: "manifests/3.20", Accept: []string{"a/b", "c/d"}},
			{Method: http.MethodHead, Repository: "library/alpine", Path: "manifests/1..2"},
			{Repository: "a", Path: "tags/list", Query: "n=10&last=x"},
			{Repository: "a", Path: "blobs/sha256:00", Range: "bytes=-5"},
		} {
			before := len(registry.requests())
			get(t, r, q)
			got := registry.requests()[before]
			want := strings.TrimSuffix(prefix+q.Repository+"/"+q.Path, "//") // of /v2/ itself
			if q.Repository == "" {
				want = prefix
			}
			if q.Query != "" {
				want += "?" + q.Query
			}
			if got.uri != want || q.Method != "" && got.method != q.Method {
				t.Errorf("%+v reached %s %s, want %s", q, got.method, got.uri, want)
			}
			if !slices.Equal(got.header["Accept"], q.Accept) || got.header.Get("Range") != q.Range {
				t.Errorf("%+v: Accept %q, Range %q", q, got.header["Accept"], got.header.Get("Range"))
			}
			for name, want := range map[string]string{"Via": "1.1 me", "User-Agent": "tester", "Accept-Encoding": "identity"} {
				if got.header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
				}
			}
		}
	}
}

func TestAPathThatLeadsElsewhereIsNotAsked(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, nil)
	r := w.open(t, registry.url(registryName))
	for _, q := range []Request{
		{Repository: "..", Path: "manifests/x"}, {Repository: "a/../b", Path: "manifests/x"}, {Repository: "a", Path: "manifests/.."},
		{Repository: "a", Path: "./x"}, {Repository: "a//b", Path: "x"}, {Repository: "/a", Path: "x"}, {Repository: "a", Path: ""},
		{Method: http.MethodDelete, Repository: "a", Path: "manifests/x"},
	} {
		fails(t, r, q, Refused)
	}
	registry.wantNothing(t)
	// What means something in a URL means nothing in a name.
	get(t, r, Request{Repository: "a?b#c", Path: "manifests/%2e%2e"})
	if got := registry.requests()[0].uri; got != "/v2/a%3Fb%23c/manifests/%252e%252e" {
		t.Errorf("asked for %s", got)
	}
}

func TestAnswersBecomeKinds(t *testing.T) {
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want Error
	}{
		"404": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown\u001b[2J","detail":{}}]}`)
		}, Error{Kind: NotFound, Status: 404, Code: "MANIFEST_UNKNOWN"}},
		"404 that is no registry's": {http.NotFound, Error{Kind: NotFound, Status: 404}},
		"a code that is none": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"errors":[{"code":"<script>"}]}`)
		}, Error{Kind: NotFound, Status: 404}},
		"403":                     {status(403), Error{Kind: Unauthorized, Status: 403}},
		"401 without a challenge": {status(401), Error{Kind: Unauthorized, Status: 401}},
		"500":                     {status(500), Error{Kind: Broken, Status: 500}},
		"503": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "9")
			w.WriteHeader(503)
		}, Error{Kind: Broken, Status: 503, RetryAfter: 9 * time.Second}},
		"204":            {status(204), Error{Kind: Broken, Status: 204}},
		"304":            {status(304), Error{Kind: Broken, Status: 304}},
		"416":            {status(416), Error{Kind: NoRange, Status: 416}},
		"a part unasked": {status(206), Error{Kind: Broken, Status: 206}},
		"a login page": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/login" {
				http.Redirect(w, r, "/login", http.StatusFound)
				return
			}
			w.Header().Set("Content-Type", "Text/HTML;charset=utf-8")
			fmt.Fprint(w, "<p>Who are you?")
		}, Error{Kind: Broken, Status: 200}},
		"an endless error":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); endless(w) }, Error{Kind: NotFound, Status: 404}},
		"a head without bound": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 2*maxHeader)) }, Error{Kind: Unreachable}},
		"a connection cut":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Error{Kind: Unreachable}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := w.open(t, w.serve(t, c.h).url(registryName))
			e := fails(t, r, manifest(Anonymous()), c.want.Kind)
			if diff := cmp.Diff(c.want, *e, cmpopts.IgnoreFields(Error{}, "Err", "Upstream")); diff != "" {
				t.Errorf("%v (-want +got):\n%s", e, diff)
			}
			if e.Upstream != "one.example" || strings.ContainsFunc(e.Error(), func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q is not fit for a log", e.Error())
			}
		})
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestACertificateOfAnotherIsNoAnswer(t *testing.T) {
	w := newWorld(t)
	w.names.set("stranger.example", allowed)
	registry := w.serve(t, says("x"))
	fails(t, w.open(t, registry.url("stranger.example")), manifest(Anonymous()), Unreachable)
	o := w.options(t, registry.url(registryName))
	o.CA = "" // the system's do not know the tests' CA
	fails(t, open(t, o), manifest(Anonymous()), Unreachable)
	registry.wantNothing(t)
}

func TestARequestWithoutAnAnswerEnds(t *testing.T) {
	w := newWorld(t)
	stop := make(chan struct{})
	registry := w.serve(t, func(http.ResponseWriter, *http.Request) { <-stop })
	t.Cleanup(func() { close(stop) })
	o := w.options(t, registry.url(registryName))
	o.Timeout = 200 * time.Millisecond
	r := open(t, o)
	fails(t, r, manifest(Anonymous()), Unreachable)
	// The others need not wait as long.
	e := fails(t, r, manifest(Anonymous()), Unreachable)
	if e.RetryAfter == 0 || len(registry.requests()) > 1 {
		t.Errorf("%d requests, %v", len(registry.requests()), e)
	}
}

func TestEveryExchangeIsTold(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, says("the blob"))
	auth := w.serve(t, gives("the-token"))
	registry := w.serve(t, bearer(auth.url(authName), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url(otherName), http.StatusFound)
	}))
	var mu sync.Mutex
	var got []Event
	o := w.options(t, registry.url(registryName))
	o.Observe = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, e)
	}
	r := open(t, o)
	get(t, r, Request{Repository: "a", Path: "blobs/sha256:00"})
	fails(t, open(t, func() Options { o.URL = parse(t, "https://gone.one.example"); return o }()), Request{}, Unreachable)
	mu.Lock()
	defer mu.Unlock()
	token := int64(len(`{"token":"the-token","expires_in":300}`))
	want := []Event{
		{Upstream: "one.example", Kind: "blob", Method: "GET", Status: 401},
		{Upstream: "one.example", Kind: "token", Method: "GET", Status: 200, Bytes: token},
		{Upstream: "one.example", Kind: "blob", Method: "GET", Status: 302},
		{Upstream: "one.example", Kind: "blob", Method: "GET", Status: 200, Redirect: 1, Bytes: 8},
		{Upstream: "one.example", Kind: "ping", Method: "GET", Failure: Unreachable},
	}
	ignored := cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".Duration" || p.Last().String() == ".Bytes"
	}, cmp.Ignore())
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	if got[3].Bytes != 8 || got[1].Bytes != token || got[3].Duration <= 0 {
		t.Errorf("%+v", got)
	}
	if got[3].Class() != "2xx" || got[4].Class() != "unreachable" {
		t.Errorf("classes %s and %s", got[3].Class(), got[4].Class())
	}
}

func TestKindsOfRequestsAreTold(t *testing.T) {
	for path, want := range map[string]string{
		"manifests/x": "manifest", "blobs/x": "blob", "tags/list": "tags", "referrers/x": "referrers", "": "other", "x": "other",
	} {
		if got := (Request{Repository: "a", Path: path}).what(); got != want {
			t.Errorf("%q is a request of kind %s, want %s", path, got, want)
		}
	}
}

func TestConnectionsAreUsedAgainAfterARedirectAndAnError(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	remotes := map[string]bool{}
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		remotes[r.RemoteAddr] = true
		mu.Unlock()
		if strings.Contains(r.URL.Path, "blobs") {
			http.Redirect(w, r, "/v2/a/other", http.StatusFound)
			return
		}
		http.Error(w, "no", http.StatusNotFound)
	})
	r := w.open(t, registry.url(registryName))
	for range 5 {
		fails(t, r, blob(Anonymous()), NotFound)
	}
	if len(remotes) != 1 {
		t.Errorf("%d connections for one request after the other", len(remotes))
	}
}

func TestAMirrorKnowsItselfByItsVia(t *testing.T) {
	me, other := NewVia(), NewVia()
	if me == other {
		t.Fatalf("two mirrors are both called %s", me)
	}
	for text, want := range map[string]bool{
		"":                              false,
		"1.1 " + me:                     true,
		"1.1 " + other:                  false,
		"1.1 " + other + ", 1.1 " + me:  true,
		"HTTP/1.1 " + me + " (comment)": true,
		"1.0 fred, 1.1 p.example.net":   false,
		me:                              false,
		"1.1 x" + me:                    false,
	} {
		if got := Loops(http.Header{"Via": {"1.1 first", text}}, me); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
