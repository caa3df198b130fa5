//go:build linux

package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWhatIsLeftOfARateLimitIsKnown(t *testing.T) {
	w := newWorld(t)
	clock := newClock()
	auth := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		gives("the-token"+password)(w, r)
	})
	r := withClock(open(t, withPassword(t, w.options(t, w.serve(t, bearer(auth.url(authName), func(w http.ResponseWriter, r *http.Request) {
		remaining := "7"
		if strings.HasSuffix(r.Header.Get("Authorization"), secret) {
			remaining = "170"
		}
		w.Header().Set("ratelimit-limit", "200;w=21600")
		w.Header().Set("ratelimit-remaining", remaining+";w=21600")
		w.Header().Set("docker-ratelimit-source", "192.0.2.1")
	})).url(registryName)))), clock)
	if got := r.RateLimit(); got != (Limits{}) {
		t.Errorf("before any request: %+v", got)
	}
	get(t, r, manifest(Anonymous()))
	want := Limits{Limit: 200, Remaining: 7, Window: 6 * time.Hour, Seen: clock.now()}
	if diff := cmp.Diff(want, r.RateLimit()); diff != "" {
		t.Errorf("anonymous (-want +got):\n%s", diff)
	}
	want.Remaining = 170
	resp, err := r.Do(t.Context(), manifest(Own()))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if diff := cmp.Diff(want, r.RateLimit()); diff != "" {
		t.Errorf("own (-want +got):\n%s", diff)
	}
	if got := resp.Header.Get("Docker-Ratelimit-Source"); got != "" {
		t.Errorf("the mirror's own address, %s, is handed on", got)
	}
}

func TestRateLimitsThatCannotBeReadAreNotKnown(t *testing.T) {
	for text, want := range map[string]Limits{
		"":                   {},
		"x":                  {},
		"-1;w=60":            {},
		"5":                  {Limit: 5},
		"5;w=60":             {Limit: 5, Window: time.Minute},
		"5; q=1; w=60":       {Limit: 5, Window: time.Minute},
		"5;w=x":              {Limit: 5},
		"5;w=99999999999999": {Limit: 5},
		"5, 5;w=60":          {Limit: 5},
	} {
		n, window, _ := parseLimit(text)
		if got := (Limits{Limit: n, Window: window}); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestAfter429TheMirrorPausesAsLongAsItIsTold(t *testing.T) {
	clock := newClock()
	for retryAfter, want := range map[string]time.Duration{
		"30": 30 * time.Second,
		clock.now().Add(45 * time.Second).Format(http.TimeFormat): 45 * time.Second,
		"":            defaultPause,
		"soon":        defaultPause,
		"-5":          defaultPause,
		"1000000":     longestPause,
		"99999999999": defaultPause,
	} {
		t.Run("Retry-After: "+retryAfter, func(t *testing.T) {
			w := newWorld(t)
			clock := newClock()
			var limited atomic.Bool
			limited.Store(true)
			registry := w.serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if !limited.Load() {
					return
				}
				if retryAfter != "" {
					w.Header().Set("Retry-After", retryAfter)
				}
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}`)
			})
			r := withClock(w.open(t, registry.url(registryName)), clock)
			e := fails(t, r, manifest(Anonymous()), RateLimited)
			if e.RetryAfter != want || e.Code != "TOOMANYREQUESTS" || e.Status != 429 {
				t.Errorf("%+v, want a pause of %s", e, want)
			}
			limited.Store(false)
			clock.pass(want - time.Second)
			if e := fails(t, r, manifest(Anonymous()), RateLimited); e.RetryAfter != time.Second {
				t.Errorf("a second before: %s left", e.RetryAfter)
			}
			if got := r.RateLimit().PausedUntil; !got.Equal(clock.now().Add(time.Second)) {
				t.Errorf("paused until %s", got)
			}
			if got := len(registry.requests()); got != 1 {
				t.Errorf("%d requests, want 1 before the pause is over", got)
			}
			clock.pass(time.Second)
			get(t, r, manifest(Anonymous()))
			if got := r.RateLimit().PausedUntil; !got.IsZero() {
				t.Errorf("still paused until %s", got)
			}
		})
	}
}

// The pause is of the one who was told: an account has a limit of its own, and so
// has each client that asks in its own name.
func TestAPauseHoldsForNobodyElse(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Authorization") {
		case "":
			w.WriteHeader(http.StatusTooManyRequests)
		case "Bearer limited":
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	r := open(t, withPassword(t, w.options(t, registry.url(registryName))))
	fails(t, r, manifest(Client("Bearer limited")), RateLimited)
	if !r.RateLimit().PausedUntil.IsZero() {
		t.Error("a client's rate limit pauses the mirror")
	}
	fails(t, r, manifest(Anonymous()), RateLimited)
	get(t, r, manifest(Client("Bearer other")))
	r.wants.keep("library/alpine", want{scheme: "basic"}) // as it wanted before
	get(t, r, manifest(Own()))

	r = open(t, withPassword(t, w.options(t, w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}).url(registryName))))
	r.wants.keep("library/alpine", want{scheme: "basic"})
	fails(t, r, manifest(Own()), RateLimited)
	fails(t, r, manifest(Own()), RateLimited)
	get(t, r, manifest(Anonymous()))
}

// breakerAt returns breakers on a clock, without spread.
func breakerAt(c *clock) *breakers { return newBreakers(c.now, func() float64 { return 0.5 }) }

// ask asks a host by its breaker and tells what came of it.
func ask(bs *breakers, o outcome) (asked bool, wait time.Duration) {
	tell, wait := bs.admit("h:443")
	if tell == nil {
		return false, wait
	}
	tell(o)
	return true, 0
}

func TestAHostThatDoesNotAnswerIsLeftAloneAndProbedByOne(t *testing.T) {
	c := newClock()
	bs := breakerAt(c)
	if asked, _ := ask(bs, noReply); !asked {
		t.Fatal("the first request was not let through")
	}
	if asked, wait := ask(bs, answered); asked || wait != firstOpening {
		t.Fatalf("asked %v, wait %s after one in vain", asked, wait)
	}
	c.pass(firstOpening)
	probe, _ := bs.admit("h:443")
	if probe == nil {
		t.Fatal("no probe after the pause")
	}
	if asked, wait := ask(bs, answered); asked || wait <= 0 {
		t.Fatalf("asked %v, wait %s beside the probe", asked, wait)
	}
	probe(noReply)
	if asked, wait := ask(bs, answered); asked || wait != 2*firstOpening {
		t.Fatalf("asked %v, wait %s after a probe in vain", asked, wait)
	}
	c.pass(2 * firstOpening)
	if asked, _ := ask(bs, answered); !asked {
		t.Fatal("no second probe")
	}
	for range 3 {
		if asked, _ := ask(bs, answered); !asked {
			t.Fatal("still closed after a probe that was answered")
		}
	}
	if len(bs.hosts) != 0 {
		t.Errorf("%d hosts are kept although they are well", len(bs.hosts))
	}
}

func TestAProbeThatLeftLetsAnotherProbe(t *testing.T) {
	c := newClock()
	bs := breakerAt(c)
	ask(bs, noReply)
	c.pass(firstOpening)
	if asked, _ := ask(bs, learnedNothing); !asked {
		t.Fatal("no probe")
	}
	if asked, _ := ask(bs, answered); !asked {
		t.Fatal("no other probe after one whose client left")
	}
}

func TestOneFaultOpensNoBreakerManyDo(t *testing.T) {
	c := newClock()
	bs := breakerAt(c)
	for i := range faultsToOpen {
		if asked, _ := ask(bs, faulty); !asked {
			t.Fatalf("closed after %d faults", i)
		}
	}
	if asked, _ := ask(bs, faulty); asked {
		t.Errorf("open after %d faults", faultsToOpen)
	}
	// An answer between them begins the count anew.
	bs = breakerAt(c)
	for range 3 * faultsToOpen {
		ask(bs, faulty)
		if asked, _ := ask(bs, answered); !asked {
			t.Fatal("closed although every other request was answered")
		}
	}
}

func TestThePauseOfABreakerIsBoundedAndSpread(t *testing.T) {
	for o, longest := range map[outcome]time.Duration{noReply: longestUnreachable, faulty: longestFaulty} {
		c := newClock()
		bs := newBreakers(c.now, func() float64 { return 0.999 })
		var wait time.Duration
		for range 40 {
			ask(bs, o)
			if asked, w := ask(bs, o); !asked {
				wait = w
				c.pass(w)
			}
		}
		if wait < longest || wait > longest*5/4 {
			t.Errorf("outcome %d: the pause comes to %s, want up to a quarter more than %s", o, wait, longest)
		}
	}
}

// Those under way when the breaker opens say nothing new when they fail too: the
// pause would else come to its longest at once.
func TestRequestsThatWereUnderWayDoNotLengthenThePause(t *testing.T) {
	c := newClock()
	bs := breakerAt(c)
	var tells []func(outcome) bool
	for range 100 {
		tell, _ := bs.admit("h:443")
		tells = append(tells, tell)
	}
	opened := 0
	for _, tell := range tells {
		if tell(noReply) {
			opened++
		}
	}
	if _, wait := ask(bs, answered); wait != firstOpening || opened != 1 {
		t.Errorf("the pause is %s after %d openings, want %s after one", wait, opened, firstOpening)
	}
}

func TestHostsInTroubleAreBounded(t *testing.T) {
	bs := breakerAt(newClock())
	for i := range 3 * maxBreakers {
		tell, _ := bs.admit(fmt.Sprint(i))
		tell(faulty)
	}
	if len(bs.hosts) > maxBreakers {
		t.Errorf("%d hosts", len(bs.hosts))
	}
}

func TestAnUpstreamThatIsAwayIsAskedOnceAtATime(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, says("manifest"))
	o := w.options(t, registry.url("nobody.one.example")) // does not resolve
	clock := newClock()
	r := withClock(open(t, o), clock)
	fails(t, r, manifest(Anonymous()), Unreachable)
	w.names.set("nobody.one.example", allowed)
	e := fails(t, r, manifest(Anonymous()), Unreachable)
	if e.RetryAfter != firstOpening {
		t.Errorf("to be asked again after %s", e.RetryAfter)
	}
	registry.wantNothing(t)
	clock.pass(firstOpening)
	// The certificate does not have the name, so another it is.
	r.base.Host = strings.Replace(r.base.Host, "nobody.one.example", registryName, 1)
	get(t, r, manifest(Anonymous()))
}

func TestOnlyTheHostThatIsAwayIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	registry := w.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "https://gone.two.example/", http.StatusFound)
		}
	})
	r := w.open(t, registry.url(registryName))
	for range 3 {
		fails(t, r, blob(Anonymous()), Unreachable)
		get(t, r, manifest(Anonymous()))
	}
}

func TestAClientThatLeavesSaysNothingOfTheHost(t *testing.T) {
	w := newWorld(t)
	arrived, stop := make(chan struct{}), make(chan struct{})
	registry := w.serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "slow") {
			close(arrived)
			<-stop
		}
	})
	t.Cleanup(func() { close(stop) })
	r := w.open(t, registry.url(registryName))
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := r.Do(ctx, Request{Repository: "a", Path: "manifests/slow"})
		isKind(t, err, Cancelled)
	}()
	within(t, "the request", arrived)
	leave()
	within(t, "its end", done)
	get(t, r, manifest(Anonymous()))
}
