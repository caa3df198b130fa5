package upstream

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// defaultPause follows a 429 that does not say how long.
	defaultPause = time.Minute
	// longestPause bounds what a Retry-After may ask for: then one request looks
	// whether it still holds.
	longestPause = time.Hour
)

// Limits are what the upstream last said of its rate limit to the mirror's own
// requests: those with its credentials, or the anonymous ones if there were none.
type Limits struct {
	Limit       int           // requests in a window
	Remaining   int           // of them
	Window      time.Duration // 0: not said
	Seen        time.Time     // zero: the upstream said nothing of a limit
	PausedUntil time.Time     // no request of the mirror's own before; zero: not paused
}

// rateLimits keeps the limits of both of the mirror's identities, which
// registries count apart: one by address, the other by account. It is safe for
// concurrent use.
type rateLimits struct {
	now func() time.Time

	mu  sync.Mutex
	own [2]Limits // anonymous, with credentials
}

func index(own bool) int {
	if own {
		return 1
	}
	return 0
}

// heard reads the headers of an answer. Docker Hub writes
// "ratelimit-remaining: 76;w=21600".
func (l *rateLimits) heard(own bool, h http.Header) {
	limit, window, ok := parseLimit(h.Get("Ratelimit-Limit"))
	remaining, _, ok2 := parseLimit(h.Get("Ratelimit-Remaining"))
	if !ok || !ok2 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.own[index(own)]
	s.Limit, s.Remaining, s.Window, s.Seen = limit, remaining, window, l.now()
}

// parseLimit reads a number and the parameter w, seconds.
func parseLimit(s string) (n int, window time.Duration, ok bool) {
	s, _, _ = strings.Cut(s, ",")
	number, params, _ := strings.Cut(s, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 {
		return 0, 0, false
	}
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if seconds, err := strconv.ParseUint(value, 10, 31); name == "w" && err == nil {
			window = time.Duration(seconds) * time.Second
		}
	}
	return n, window, true
}

// pause keeps an identity's requests back after a 429, and returns for how long.
func (l *rateLimits) pause(own bool, asked time.Duration) time.Duration {
	if asked <= 0 {
		asked = defaultPause
	}
	asked = min(asked, longestPause)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.own[index(own)]
	if until := l.now().Add(asked); until.After(s.PausedUntil) {
		s.PausedUntil = until
	}
	return s.PausedUntil.Sub(l.now())
}

// paused returns how long an identity's requests are still kept back.
func (l *rateLimits) paused(own bool) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.own[index(own)].PausedUntil.Sub(l.now()))
}

// last returns what is known, without pauses that are over.
func (l *rateLimits) last() Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.own[1]
	if s.Seen.IsZero() && s.PausedUntil.IsZero() {
		s = l.own[0]
	}
	if !s.PausedUntil.After(l.now()) {
		s.PausedUntil = time.Time{}
	}
	return s
}

// retryAfter reads Retry-After, seconds or a date (RFC 9110, section 10.2.3); 0
// of what it cannot read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	s := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
