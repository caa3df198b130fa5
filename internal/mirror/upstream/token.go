package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxTokenBody = 256 << 10 // bytes of a token server's answer
	maxToken     = 32 << 10  // bytes of a token: it travels in a header
	maxTokens    = 4096      // cached; a client chooses repositories, so there are bounds

	// defaultTokenLife is what a token server grants that does not say how long
	// (the distribution project's token specification).
	defaultTokenLife = time.Minute
	longestTokenLife = time.Hour

	// freshToken is how young a token must be for its refusal to be the registry's
	// last word: another one would be refused as well.
	freshToken = 15 * time.Second
)

// tokenKey is what a token is good for.
type tokenKey struct {
	generation            uint64 // of the mirror's own credentials; 0: anonymous
	realm, service, scope string
}

type token struct {
	value        string
	got, expires time.Time
}

// tokens caches tokens and has each fetched once, however many wait for it. It is
// safe for concurrent use.
type tokens struct {
	now func() time.Time

	mu     sync.Mutex
	cached map[tokenKey]token
	calls  map[tokenKey]*tokenCall
}

// tokenCall is a fetch under way. Its fields are set when done is closed.
type tokenCall struct {
	done  chan struct{}
	token token
	err   error
	left  bool // the one who fetched has left, which says nothing of the token
}

func newTokens(now func() time.Time) *tokens {
	return &tokens{now: now, cached: make(map[tokenKey]token), calls: make(map[tokenKey]*tokenCall)}
}

// get returns a token other than the one that was refused, from the cache or by
// fetch. It is called by one goroutine at a time for a key; the others wait for
// what comes of it, or until ctx ends. If the one that fetches leaves, another
// takes its place.
func (t *tokens) get(ctx context.Context, key tokenKey, refused string, fetch func(context.Context) (token, error)) (token, error) {
	for {
		t.mu.Lock()
		if have, ok := t.cached[key]; ok && have.value != refused && t.now().Before(have.expires) {
			t.mu.Unlock()
			return have, nil
		}
		call := t.calls[key]
		if call == nil {
			call = &tokenCall{done: make(chan struct{}), left: true}
			t.calls[key] = call
			t.mu.Unlock()
			t.run(ctx, key, call, fetch)
			return call.token, call.err
		}
		t.mu.Unlock()
		select {
		case <-call.done:
			if !call.left {
				return call.token, call.err
			}
		case <-ctx.Done():
			return token{}, context.Cause(ctx)
		}
	}
}

// run makes the fetch and tells those that wait, even if it panics.
func (t *tokens) run(ctx context.Context, key tokenKey, call *tokenCall, fetch func(context.Context) (token, error)) {
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.calls, key)
		if call.err == nil && !call.left {
			t.keep(key, call.token)
		}
		close(call.done)
	}()
	call.token, call.err = fetch(ctx)
	call.left = call.err != nil && ctx.Err() != nil
}

// keep caches a token, the lock held. Of too many those go that are over, and if
// that is none, all.
func (t *tokens) keep(key tokenKey, got token) {
	if len(t.cached) >= maxTokens {
		for k, old := range t.cached {
			if !t.now().Before(old.expires) {
				delete(t.cached, k)
			}
		}
	}
	if len(t.cached) >= maxTokens {
		clear(t.cached)
	}
	t.cached[key] = got
}

// want is how a registry wants to be asked for a repository.
type want struct {
	scheme         string // "bearer" or "basic"
	realm          string
	service, scope string
	challenge      string // as it was told
}

// same tells whether the same token would do. Challenges may say more each time,
// such as what was wrong with the token before.
func (w want) same(as want) bool {
	w.challenge = as.challenge
	return w == as
}

// wanted chooses from a registry's challenges; Bearer goes before Basic, for a
// token can do less than a password. The scope is cut down to pulling: credentials
// that may push shall not be turned into tokens that may.
func wanted(h http.Header, repository string) (want, bool) {
	text := challengeText(h)
	var basic bool
	for _, c := range parseChallenges(h.Values("WWW-Authenticate")) {
		switch {
		case c.scheme == "bearer" && c.params["realm"] != "":
			w := want{scheme: "bearer", realm: c.params["realm"], service: c.params["service"], scope: pullOnly(c.params["scope"]), challenge: text}
			if w.scope == "" && repository != "" {
				w.scope = "repository:" + repository + ":pull"
			}
			return w, true
		case c.scheme == "basic":
			basic = true
		}
	}
	return want{scheme: "basic", challenge: text}, basic
}

// pullOnly takes all actions but pulling from scopes of repositories
// (type:name:action,action separated by blanks).
func pullOnly(scopes string) string {
	list := strings.Fields(scopes)
	for i, scope := range list {
		at := strings.LastIndexByte(scope, ':')
		if !strings.HasPrefix(scope, "repository") || at < 0 {
			continue
		}
		for action := range strings.SplitSeq(scope[at+1:], ",") {
			if action == "pull" || action == "*" {
				list[i] = scope[:at] + ":pull"
			}
		}
	}
	return strings.Join(list, " ")
}

// fetchToken asks the token server that a registry named.
func (r *Registry) fetchToken(ctx context.Context, w want, as credential) (token, error) {
	realm, err := r.realm(w.realm, as != credential{})
	if err != nil {
		return token{}, err
	}
	start := r.now()
	resp, err := r.askTokenServer(ctx, realm, w, as)
	if err != nil {
		return token{}, err
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusOK {
		e := r.statusError(resp, Identity{own: as != credential{}}, "token", true)
		if e.Kind == NotFound {
			e.Kind = Broken // that is of the token server, not of what was asked for
		}
		e.Err = fmt.Errorf("token server: %w", e.Err)
		return token{}, e
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBody+1))
	if err == nil && len(text) > maxTokenBody {
		err = fmt.Errorf("more than %d bytes", maxTokenBody)
	}
	var got token
	if err == nil {
		got, err = readToken(text, start)
	}
	switch {
	case ctx.Err() != nil:
		return token{}, r.ended(ctx)
	case err != nil:
		return token{}, r.fail(Broken, fmt.Errorf("answer of token server %s: %w", realm.Host, err))
	}
	return got, nil
}

// askTokenServer asks with GET, as every token server understands. An identity
// token goes by POST, as OAuth 2.0 has it (RFC 6749, section 6), which follows no
// redirect.
func (r *Registry) askTokenServer(ctx context.Context, realm *url.URL, w want, as credential) (*http.Response, error) {
	e := exchange{method: http.MethodGet, url: realm, what: "token", header: r.header("application/json")}
	if as.refresh {
		form := url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {as.secret}, "client_id": {"sluice-mirror"},
			"service": {w.service}, "scope": {w.scope},
		}
		e.method, e.body = http.MethodPost, form.Encode()
		e.header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r.send(ctx, e)
	}
	u := *realm
	query := u.Query()
	if w.service != "" {
		query.Set("service", w.service)
	}
	for _, scope := range strings.Fields(w.scope) {
		query.Add("scope", scope)
	}
	u.RawQuery = query.Encode()
	e.url = &u
	if as != (credential{}) {
		e.authorization = basic(as)
	}
	resp, _, err := r.follow(ctx, e)
	return resp, err
}

// readToken reads a token server's answer; its clock is not trusted, so a token's
// life is counted from before it was asked for.
func readToken(text []byte, asked time.Time) (token, error) {
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"` // OAuth 2.0's name of the same
		ExpiresIn   float64 `json:"expires_in"`   // seconds
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return token{}, errors.New("not the JSON of a token") // err may have a part of it
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	switch {
	case value == "":
		return token{}, errors.New("there is no token in it")
	case len(value) > maxToken:
		return token{}, fmt.Errorf("a token of more than %d bytes", maxToken)
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }):
		return token{}, errors.New("a token that cannot stand in a header")
	}
	life := defaultTokenLife
	if answer.ExpiresIn > 0 {
		life = time.Duration(min(answer.ExpiresIn, longestTokenLife.Seconds()) * float64(time.Second))
	}
	// What is about to expire may have done so when it arrives.
	life -= min(life/4, 30*time.Second)
	return token{value: value, got: asked, expires: asked.Add(life)}, nil
}

// wants remembers how the registry wants to be asked for each repository, which
// spares every request after the first one round trip. It is safe for concurrent
// use.
type wants struct {
	mu    sync.Mutex
	known map[string]want
}

func (w *wants) of(repository string) (want, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	known, ok := w.known[repository]
	return known, ok
}

func (w *wants) keep(repository string, how want) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.known) >= maxTokens {
		clear(w.known)
	}
	w.known[repository] = how
}
