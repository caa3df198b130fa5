//go:build linux

package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
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

func TestADownloadResumesOnlyWhereItEnded(t *testing.T) {
	const whole = "0123456789"
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want Kind
	}{
		"a server with ranges": {func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(whole))
		}, 0},
		"a server without":      {says(whole), NoRange},
		"another part":          {part("bytes 3-9/10"), NoRange},
		"a part of a part":      {part("bytes 40-49/50"), NoRange},
		"a part without a name": {part(""), NoRange},
		"many parts":            {part("multipart"), NoRange},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.serve(t, c.h)
			registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.url(otherName), http.StatusFound)
			})
			r := w.open(t, registry.url(registryName))
			q := blob(Anonymous())
			q.Offset = 4
			if c.want != 0 {
				fails(t, r, q, c.want)
				return
			}
			if got := get(t, r, q); got != whole[4:] {
				t.Errorf("got %q", got)
			}
			if got := other.requests()[0].header.Get("Range"); got != "bytes=4-" {
				t.Errorf("asked for %q", got)
			}
		})
	}
}

func part(contentRange string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
	}
}

func TestABodyThatStallsFailsAndASlowReaderDoesNot(t *testing.T) {
	const size = 1 << 20 // more than is buffered on the way
	w := newWorld(t)
	stop := make(chan struct{})
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		if strings.Contains(r.URL.Path, "blobs") {
			<-stop
			return
		}
		fmt.Fprint(w, strings.Repeat("x", size))
	})
	t.Cleanup(func() { close(stop) })
	o := w.options(t, registry.url(registryName))
	o.Idle = 200 * time.Millisecond
	r := open(t, o)
	resp, err := r.Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if string(text) != "the beginning" {
		t.Errorf("got %q", text)
	}
	isKind(t, err, Unreachable)

	resp, err = r.Do(t.Context(), manifest(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, len("the beginning"))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * o.Idle) // the reader has its reasons
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != size {
		t.Errorf("a slow reader got %d bytes, %v", n, err)
	}
}

func TestABodyThatIsCutShortIsNotTakenForWhole(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "short")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp, err := w.open(t, registry.url(registryName)).Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, err = io.ReadAll(resp.Body)
	isKind(t, err, Broken)
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

func TestABodyEndsWithWhoAskedForIt(t *testing.T) {
	w := newWorld(t)
	gone := make(chan struct{})
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	r := w.open(t, registry.url(registryName))
	ctx, leave := context.WithCancel(t.Context())
	resp, err := r.Do(ctx, blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	leave()
	_, err = io.ReadAll(resp.Body)
	isKind(t, err, Cancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not context.Canceled", err)
	}
	_ = resp.Body.Close()
	within(t, "the upstream's request", gone)
	// And closing is enough.
	if resp, err = r.Do(t.Context(), blob(Anonymous())); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	within(t, "the upstream's request", gone)
	if resp.Body.(*stream).ctx.Err() == nil {
		t.Error("the request's context outlives its body")
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

// Whoever gives up a download closes it from another goroutine, which the event that
// tells of it must bear.
func TestABodyMayBeClosedWhileItIsRead(t *testing.T) {
	w := newWorld(t)
	site := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
		}
	})
	told := make(chan Event, 1)
	o := w.options(t, site.url(registryName))
	o.Observe = func(e Event) { told <- e }
	resp, err := open(t, o).Do(t.Context(), blob(Anonymous()))
	if err != nil {
		t.Fatal(err)
	}
	reading, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := io.ReadFull(resp.Body, make([]byte, 1))
		close(reading)
		for err == nil {
			_, err = resp.Body.Read(make([]byte, 100))
		}
		ended <- err
	}()
	<-reading
	resp.Body.Close()
	if err := <-ended; err == io.EOF {
		t.Error("the reader takes what was cut off for the end")
	}
	if e := <-told; e.Bytes == 0 {
		t.Errorf("the event tells of no byte: %+v", e)
	}
}
