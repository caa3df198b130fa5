package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
)

// authorization is what a request carries, and how it came about.
type authorization struct {
	header string // "": none
	how    want
	token  token // if header has one
}

func basic(c credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+c.secret))
}

// authenticated makes an exchange in somebody's name: with what the registry wanted
// for that repository the last time, and once more with what it wants now if that
// was refused.
func (r *Registry) authenticated(ctx context.Context, e exchange, q Request) (resp *http.Response, away bool, err error) {
	if q.As.authorization != "" {
		e.authorization = q.As.authorization
		return r.follow(ctx, e)
	}
	var first authorization
	if known, ok := r.wants.of(q.Repository); ok {
		if first, err = r.authorize(ctx, known, "", q.As); err != nil {
			return nil, false, err
		}
	}
	e.authorization = first.header
	resp, away, err = r.follow(ctx, e)
	if err != nil || away || resp.StatusCode != http.StatusUnauthorized {
		return resp, away, err
	}
	now, ok := wanted(resp.Header, q.Repository)
	if !ok || !r.another(first, now, q.As) {
		return resp, away, nil
	}
	discard(resp)
	second, err := r.authorize(ctx, now, first.token.value, q.As)
	if err != nil {
		return nil, false, err
	}
	e.authorization = second.header
	resp, away, err = r.follow(ctx, e)
	switch {
	case err != nil:
	case resp.StatusCode != http.StatusUnauthorized:
		r.wants.keep(q.Repository, now)
	case q.As.own:
		r.credentials.doubted()
	}
	return resp, away, err
}

// another tells whether it makes sense to ask once more after a refusal. The same
// password, or a token as new as one can be, would be refused again.
func (r *Registry) another(first authorization, now want, as Identity) bool {
	switch {
	case now.scheme == "basic":
		if as.own && first.how.scheme == "basic" {
			r.credentials.doubted()
			return false
		}
		return as.own
	case !first.how.same(now):
		return true
	}
	return r.now().Sub(first.token.got) >= freshToken
}

// authorize returns what the registry wants, with a token other than the one that
// was refused.
func (r *Registry) authorize(ctx context.Context, how want, refused string, as Identity) (authorization, error) {
	var c credential
	if as.own {
		var err error
		if c, err = r.credentials.get(ctx); err != nil {
			if ctx.Err() != nil {
				return authorization{}, r.ended(ctx)
			}
			return authorization{}, r.fail(NoCredentials, err)
		}
	}
	a := authorization{how: how}
	switch {
	case how.scheme == "bearer":
		key := tokenKey{c.generation, how.realm, how.service, how.scope}
		t, err := r.tokens.get(ctx, key, refused, func(ctx context.Context) (token, error) { return r.fetchToken(ctx, how, c) })
		if err != nil {
			return authorization{}, r.untokened(ctx, err, how, as)
		}
		a.header, a.token = "Bearer "+t.value, t
	case c.refresh:
		return authorization{}, r.fail(NoCredentials, errors.New("the registry takes a password, and the helper gives an identity token"))
	case as.own:
		a.header = basic(c)
	}
	return a, nil
}

// untokened is the error of a token that was not to be had. A client that may try
// its own credentials is told the registry's challenge.
func (r *Registry) untokened(ctx context.Context, err error, how want, as Identity) error {
	failure := (*Error)(nil)
	switch {
	case !errors.As(err, &failure): // it waited for another's fetch
		return r.ended(ctx)
	case failure.Kind == Unauthorized:
		if as.own {
			r.credentials.doubted()
		}
		told := *failure // others were told the same one
		told.Challenge = how.challenge
		return &told
	}
	return err
}
