//go:build linux

package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestATokenIsFetchedOnceHoweverManyWait(t *testing.T) {
	const clients = 50 // whose handshakes even a slow machine is done with in time
	w := newWorld(t)
	var waiting atomic.Int64
	all := make(chan struct{})
	auth := w.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		select { // every client knows by now that it needs a token
		case <-all:
		case <-time.After(time.Minute):
		}
		fmt.Fprint(w, `{"token":"the-token","expires_in":300}`)
	})
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		bearer(auth.url(authName), says("manifest"))(w, r)
		if r.Header.Get("Authorization") == "" && waiting.Add(1) == clients {
			close(all)
		}
	})
	r := w.open(t, registry.url(registryName))
	var done sync.WaitGroup
	for range clients {
		done.Go(func() {
			resp, err := r.Do(t.Context(), manifest(Anonymous()))
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
	}
	done.Wait()
	if got := len(auth.requests()); got != 1 {
		t.Errorf("%d tokens were fetched for %d clients", got, clients)
	}
}

func TestTokensAreOfOneRepositoryAndOneIdentity(t *testing.T) {
	w := newWorld(t)
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		gives("the-token-for-"+user+"-"+r.URL.Query().Get("scope"))(w, r)
	})
	registry := w.serve(t, bearer(auth.url(authName), func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("Authorization"))
	}))
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	for range 2 {
		for _, repository := range []string{"library/alpine", "acme/secret"} {
			for as, user := range map[Identity]string{Own(): "user", Anonymous(): ""} {
				want := "Bearer the-token-for-" + user + "-repository:" + repository + ":pull"
				if got := get(t, r, Request{Repository: repository, Path: "manifests/x", As: as}); got != want {
					t.Errorf("%s was asked for with %q, want %q", repository, got, want)
				}
			}
		}
	}
	if got := len(auth.requests()); got != 4 {
		t.Errorf("%d tokens were fetched, want 4", got)
	}
}

func TestAChallengeWithoutAScopeIsAnsweredForTheRepository(t *testing.T) {
	w := newWorld(t)
	auth := w.serve(t, gives("the-token"))
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", auth.url(authName)+"/t"))
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	get(t, w.open(t, registry.url(registryName)), manifest(Anonymous()))
	if got := auth.requests()[0].uri; got != "/t?scope=repository%3Alibrary%2Falpine%3Apull" {
		t.Errorf("asked for %s", got)
	}
}

func TestAfterTheFirstRequestOfARepositoryNoneIsInVain(t *testing.T) {
	w := newWorld(t)
	auth := w.serve(t, gives("the-token"))
	registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
	r := w.open(t, registry.url(registryName))
	for range 10 {
		get(t, r, manifest(Anonymous()))
	}
	if got := len(registry.requests()); got != 11 {
		t.Errorf("%d requests for 10 answers, want 11", got)
	}
}

// A clock that tests set.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// withClock lets a registry live by a clock.
func withClock(r *Registry, c *clock) *Registry {
	r.now, r.breakers.now, r.limits.now, r.tokens.now = c.now, c.now, c.now, c.now
	r.breakers.spread = func() float64 { return 0.5 }
	return r
}

func TestATokenIsFetchedAnewBeforeItExpires(t *testing.T) {
	for name, c := range map[string]struct {
		answer      string
		good, stale time.Duration
	}{
		"five minutes":      {`{"token":"the-token","expires_in":300}`, 269 * time.Second, 271 * time.Second},
		"a short life":      {`{"access_token":"the-token","expires_in":8}`, 5 * time.Second, 7 * time.Second},
		"not said":          {`{"token":"the-token"}`, 44 * time.Second, 46 * time.Second},
		"for ever and ever": {`{"token":"the-token","expires_in":1e300}`, 59 * time.Minute, time.Hour},
		"negative":          {`{"token":"the-token","expires_in":-1}`, 44 * time.Second, 46 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			auth := w.serve(t, says(c.answer))
			registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
			clock := newClock()
			r := withClock(w.open(t, registry.url(registryName)), clock)
			get(t, r, manifest(Anonymous()))
			clock.pass(c.good)
			get(t, r, manifest(Anonymous()))
			if got := len(auth.requests()); got != 1 {
				t.Errorf("after %s: %d tokens, want 1", c.good, got)
			}
			clock.pass(c.stale - c.good)
			get(t, r, manifest(Anonymous()))
			if got := len(auth.requests()); got != 2 {
				t.Errorf("after %s: %d tokens, want 2", c.stale, got)
			}
		})
	}
}

// A registry may forget a token before its time; one that is brand-new it refuses
// for what it does not allow, and another would be as useless.
func TestARefusedTokenIsReplacedUnlessItIsNew(t *testing.T) {
	w := newWorld(t)
	var token atomic.Int64
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		gives(fmt.Sprintf("the-token-%d", token.Add(1)))(w, r)
	})
	var good atomic.Value
	good.Store("Bearer the-token-1")
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != good.Load() {
			r.Header.Del("Authorization")
			bearer(auth.url(authName), nil)(w, r)
			return
		}
		fmt.Fprint(w, "manifest")
	})
	clock := newClock()
	r := withClock(w.open(t, registry.url(registryName)), clock)
	get(t, r, manifest(Anonymous()))
	good.Store("Bearer the-token-2")
	fails(t, r, manifest(Anonymous()), Unauthorized)
	if got := len(auth.requests()); got != 1 {
		t.Errorf("%d tokens, want 1: the first was new", got)
	}
	clock.pass(freshToken)
	get(t, r, manifest(Anonymous()))
	if got := len(auth.requests()); got != 2 {
		t.Errorf("%d tokens, want 2", got)
	}
}

func TestARepositoryThatIsNotForEverybodyIsToldSo(t *testing.T) {
	for name, token := range map[string]http.HandlerFunc{
		"by its token server": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"by itself":           gives("useless"),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			auth := w.serve(t, token)
			registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
			r := w.open(t, registry.url(registryName))
			for range 2 {
				e := fails(t, r, manifest(Anonymous()), Unauthorized)
				if !strings.Contains(e.Challenge, authName) {
					t.Errorf("a client that has credentials is told %q", e.Challenge)
				}
			}
			if got := len(registry.requests()) + len(auth.requests()); got > 6 {
				t.Errorf("%d requests for two answers", got)
			}
		})
	}
}

func TestATokenServersNonsenseIsNotUsed(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"not JSON":        says("<html>"),
		"no token":        says("{}"),
		"line break":      says(`{"token":"a\r\nX-Evil: 1"}`),
		"very long token": says(`{"token":"` + strings.Repeat("a", maxToken+1) + `"}`),
		"endless":         func(w http.ResponseWriter, _ *http.Request) { endless(w) },
		"404":             http.NotFound,
		"500":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			auth := w.serve(t, h)
			registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
			fails(t, w.open(t, registry.url(registryName)), manifest(Anonymous()), Broken)
			if got := len(registry.requests()); got != 1 {
				t.Errorf("the registry was asked %d times", got)
			}
		})
	}
}

// endless writes until nobody reads.
func endless(w http.ResponseWriter) {
	for text := strings.Repeat("a", 64<<10); ; {
		if _, err := w.Write([]byte(text)); err != nil {
			return
		}
	}
}

func TestWhoWaitsForATokenDoesNotLoseItWithTheOneWhoFetched(t *testing.T) {
	tokens := newTokens(time.Now)
	ctx, leave := context.WithCancel(t.Context())
	fetching := make(chan struct{})
	var first sync.WaitGroup
	first.Go(func() {
		_, err := tokens.get(ctx, tokenKey{}, "", func(ctx context.Context) (token, error) {
			close(fetching)
			<-ctx.Done()
			return token{}, ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
	})
	within(t, "the first fetch", fetching)
	got := make(chan struct{})
	waiter := &watched{Context: t.Context(), waits: make(chan struct{})}
	go func() {
		defer close(got)
		second, err := tokens.get(waiter, tokenKey{}, "", func(context.Context) (token, error) {
			return token{value: "second", expires: time.Now().Add(time.Hour)}, nil
		})
		if err != nil || second.value != "second" {
			t.Errorf("%q, %v", second.value, err)
		}
	}()
	within(t, "the second's wait", waiter.waits)
	leave()
	first.Wait()
	within(t, "the second's token", got)
	// And a waiter may leave while another fetches.
	block, blocked := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = tokens.get(t.Context(), tokenKey{scope: "x"}, "", func(context.Context) (token, error) {
			close(blocked)
			<-block
			return token{}, nil
		})
	}()
	within(t, "the third fetch", blocked)
	ctx, leave = context.WithCancel(t.Context())
	leave()
	if _, err := tokens.get(ctx, tokenKey{scope: "x"}, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(block)
}

// watched is a context that tells when somebody waits for its end.
type watched struct {
	context.Context
	once  sync.Once
	waits chan struct{}
}

func (w *watched) Done() <-chan struct{} {
	w.once.Do(func() { close(w.waits) })
	return w.Context.Done()
}

func TestAFetchThatPanicsHoldsNobodyUp(t *testing.T) {
	tokens := newTokens(time.Now)
	func() {
		defer func() { _ = recover() }()
		_, _ = tokens.get(t.Context(), tokenKey{}, "", func(context.Context) (token, error) { panic("oops") })
	}()
	got, err := tokens.get(t.Context(), tokenKey{}, "", func(context.Context) (token, error) { return token{value: "x"}, nil })
	if err != nil || got.value != "x" {
		t.Errorf("%q, %v", got.value, err)
	}
}

func TestTokensAndChallengesAreBounded(t *testing.T) {
	tokens := newTokens(time.Now)
	known := &wants{known: make(map[string]want)}
	for i := range 3 * maxTokens {
		_, _ = tokens.get(t.Context(), tokenKey{scope: fmt.Sprint(i)}, "", func(context.Context) (token, error) {
			return token{value: "x", expires: time.Now().Add(time.Hour)}, nil
		})
		known.keep(fmt.Sprint(i), want{})
	}
	if len(tokens.cached) > maxTokens || len(known.known) > maxTokens {
		t.Errorf("%d tokens, %d challenges, want %d at most", len(tokens.cached), len(known.known), maxTokens)
	}
}

func TestScopesAreCutDownToPulling(t *testing.T) {
	for scope, want := range map[string]string{
		"":                                      "",
		"repository:a/b:pull":                   "repository:a/b:pull",
		"repository:a/b:pull,push":              "repository:a/b:pull",
		"repository:a/b:push,pull":              "repository:a/b:pull",
		"repository:a/b:*":                      "repository:a/b:pull",
		"repository:reg:5000/b:pull,push":       "repository:reg:5000/b:pull",
		"repository(plugin):a/b:pull,push":      "repository(plugin):a/b:pull",
		"repository:a:pull  repository:b:*":     "repository:a:pull repository:b:pull",
		"registry:catalog:*":                    "registry:catalog:*",
		"repository:a/b:delete":                 "repository:a/b:delete",
		"aws":                                   "aws",
		"repository:a/b:metadata_read,pull":     "repository:a/b:pull",
		"repository:samalba/my-app:pull,delete": "repository:samalba/my-app:pull",
	} {
		if got := pullOnly(scope); got != want {
			t.Errorf("%q becomes %q, want %q", scope, got, want)
		}
	}
}

func TestAnIdentityTokenIsChangedForTokensByPOST(t *testing.T) {
	w := newWorld(t)
	auth := w.serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"access_token":"the-token","expires_in":300,"refresh_token":"another"}`)
	})
	registry := w.serve(t, bearer(auth.url(authName)+"/oauth2/token", says("manifest")))
	o := w.options(t, registry.url(registryName))
	o.Helper = helper(t, `cat >/dev/null; echo '{"ServerURL":"x","Username":"<token>","Secret":"s3cret"}'`)
	get(t, open(t, o), manifest(Own()))
	got := auth.requests()[0]
	form, err := url.ParseQuery(got.body)
	if err != nil || got.method != http.MethodPost || got.uri != "/oauth2/token" || got.header.Get("Authorization") != "" {
		t.Fatalf("%s %s, Authorization %q: %v", got.method, got.uri, got.header.Get("Authorization"), err)
	}
	for name, want := range map[string]string{
		"grant_type": "refresh_token", "refresh_token": secret, "service": "one",
		"scope": "repository:library/alpine:pull", "client_id": "sluice-mirror",
	} {
		if form.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, form.Get(name), want)
		}
	}
}

func TestAnIdentityTokenFollowsNoRedirect(t *testing.T) {
	w := newWorld(t)
	other := w.serve(t, gives("the-token"))
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url(otherName), http.StatusTemporaryRedirect)
	})
	registry := w.serve(t, bearer(auth.url(authName), says("manifest")))
	o := w.options(t, registry.url(registryName))
	o.Helper = helper(t, `cat >/dev/null; echo '{"ServerURL":"x","Username":"<token>","Secret":"s3cret"}'`)
	fails(t, open(t, o), manifest(Own()), Broken)
	other.wantNothing(t)
}
