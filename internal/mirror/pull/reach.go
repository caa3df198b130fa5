package pull

import (
	"context"
	"encoding/hex"
	"errors"

	"sluice/internal/mirror/upstream"
)

// who is whom the upstream has let have something.
type who uint8

const (
	anyone who = iota // it is public
	mirror            // the mirror, for a client whom a rule names
	client            // the client that asks
)

// asking is a request on its way to its upstream.
type asking struct {
	*Request
	up Upstream
}

func (m *Mirror) asking(r *Request) (asking, error) {
	up, err := m.upstream(r.Repo)
	return asking{r, up}, err
}

// grant is what the client's credentials are remembered by.
func (m *Mirror) grant(a asking) grant { return grant{a.Repo, m.knowledge.digest(a.Authorization)} }

// may tells what is known without asking the upstream: whether the client may have
// what the repository holds, and through whom.
func (m *Mirror) may(a asking) (who, bool) {
	switch {
	case m.isPublic(a.Repo, a.up.TagTTL):
		return anyone, true
	case a.Private:
		return mirror, true
	case a.Authorization != "":
		at, ok := m.knowledge.granted(m.grant(a))
		return client, ok && m.fresh(at, grantTTL)
	}
	return anyone, false
}

// identities returns in whose names to fetch what a client may have through w, the
// first that is let have it: the mirror's own ahead, for a rate limit is often higher
// for those with credentials.
func (a asking) identities(w who) []upstream.Identity {
	if w == client {
		return []upstream.Identity{upstream.Client(a.Authorization)}
	}
	var list []upstream.Identity
	if a.up.Registry.HasCredentials() {
		list = append(list, upstream.Own())
	}
	list = append(list, upstream.Anonymous())
	if w == mirror && a.Authorization != "" {
		list = append(list, upstream.Client(a.Authorization))
	}
	return list
}

// step is something to ask an upstream for.
type step[T any] struct {
	kind  string // what for: the same question with another use is another
	what  string // below the repository
	known bool   // the repository had it once
	// do asks. The answers to the same name are shared by all who ask in it, unless
	// alone is set.
	do    func(ctx context.Context, as upstream.Identity, by who) (T, error)
	alone bool
	// aside says that it is no content: who may see a list need not be who may pull.
	aside bool
	// told tells that an answer is from what was known, and shows nothing new; nil: none is.
	told func(T) bool
	drop func(T) // gives back an answer that nobody takes; nil: there is no need
}

func (s step[T]) ask(ctx context.Context, m *Mirror, a asking, as upstream.Identity, name string, by who) (value T, shared bool, err error) {
	if s.alone {
		value, err = s.do(ctx, as, by)
		return value, false, err
	}
	return ask(ctx, m, question{a.Repo, s.kind, s.what, name}, func(ctx context.Context) (T, error) { return s.do(ctx, as, by) }, s.drop)
}

// openly is the step for a question that anybody may ask. What its answer shows is noted
// before it is told: whoever asks the next moment finds it.
func (s step[T]) openly(m *Mirror, a asking) step[T] {
	ask := s.do
	s.do = func(ctx context.Context, as upstream.Identity, by who) (T, error) {
		value, err := ask(ctx, as, by)
		if err == nil && !s.aside && (s.told == nil || !s.told(value)) {
			m.notePublic(a.Repo, a.up.TagTTL)
		}
		return value, err
	}
	return s
}

// reach asks the upstream for something below a repository, as anybody first: what
// that reaches is public. Where it is refused, the mirror's own credentials are used
// for clients that a rule names, and then the client's own. The error is the
// upstream's, or that of ctx.
func reach[T any](ctx context.Context, m *Mirror, a asking, s step[T]) (value T, by who, shared bool, err error) {
	ttl := a.up.TagTTL
	if challenge, private := m.isPrivate(a.Repo, ttl); private {
		err = &upstream.Error{Upstream: a.Repo.Registry, Kind: upstream.Unauthorized, Challenge: challenge, Err: errPrivate}
	} else {
		public, lately := m.isPublic(a.Repo, ttl), m.wasPublicLately(a.Repo)
		value, shared, err = s.openly(m, a).ask(ctx, m, a, upstream.Anonymous(), "", anyone)
		switch kindOf(err) {
		case 0:
			return value, anyone, shared, err
		case upstream.Unauthorized:
			if !s.aside {
				m.notePrivate(a.Repo, challengeOf(err), ttl)
			}
		case upstream.NotFound:
			if public {
				return value, anyone, shared, err
			}
			if s.known {
				m.noteHidden(a.Repo)
			}
		case upstream.RateLimited:
			// Those without credentials have used up theirs. Whether it is still
			// public cannot be asked now.
			if lately && !a.Private && a.up.Registry.HasCredentials() {
				value, shared, ownErr := s.ask(ctx, m, a, upstream.Own(), "own", anyone)
				if ownErr == nil {
					return value, anyone, shared, nil
				}
			}
		default:
			return value, anyone, shared, err
		}
	}
	if a.Private && a.up.Registry.HasCredentials() {
		value, shared, err = s.ask(ctx, m, a, upstream.Own(), "own", mirror)
		if kind := kindOf(err); kind != upstream.Unauthorized && kind != upstream.NotFound {
			if err == nil && !s.aside {
				m.noteHeld(a.Repo)
			}
			return value, mirror, shared, err
		}
		by = mirror
	}
	limited := kindOf(err) == upstream.RateLimited
	if a.Authorization == "" || away(err) && !limited {
		return value, by, shared, err
	}
	g, before := m.grant(a), err
	value, shared, err = s.ask(ctx, m, a, upstream.Client(a.Authorization), hex.EncodeToString(g.who[:]), client)
	switch {
	case err == nil && s.aside:
	case err == nil:
		m.knowledge.give(g, m.now())
		m.noteHeld(a.Repo)
	case kindOf(err) == upstream.Unauthorized:
		m.knowledge.takeBack(g)
	}
	if err != nil && limited {
		err = before
	}
	return value, client, shared, err
}

// authorise makes sure that the client may have what a repository is known to hold,
// and returns through whom.
func (m *Mirror) authorise(ctx context.Context, a asking, what string) (who, error) {
	if w, ok := m.may(a); ok {
		return w, nil
	}
	was := m.wasPublic(a.Repo)
	done := func(error) {}
	if was { // what is kept can be given
		ctx, done = m.patient(ctx, a)
	}
	_, w, _, err := reach(ctx, m, a, m.stillThere(a, what))
	done(err)
	if away(err) && was && m.wasPublic(a.Repo) {
		return anyone, nil
	}
	return w, err
}

// stillThere asks for something that the repository is known to hold. An answer of another
// length, or with another digest, is of something else: whoever stands between, and has
// one answer for everything, has not said that it is for everybody.
func (m *Mirror) stillThere(a asking, what string) step[head] {
	s := m.headStep(a, what, true)
	ask := s.do
	s.do = func(ctx context.Context, as upstream.Identity, by who) (head, error) {
		h, err := ask(ctx, as, by)
		if err != nil {
			return h, err
		}
		link, ok := m.store.Linked(a.Repo, a.Ref.Digest)
		if h.digest != "" && h.digest != a.Ref.Digest || ok && h.size > 0 && h.size != link.Size {
			return h, &upstream.Error{Upstream: a.Repo.Registry, Kind: upstream.Broken, Err: errOther}
		}
		return h, nil
	}
	return s
}

var errOther = errors.New("an answer about something else than was asked for")
