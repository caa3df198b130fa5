package pull

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// knowledge is what was found out lately of who may have what. Only that a
// repository was public is on disk too, for the time when its upstream is away.
type knowledge struct {
	key [sha256.Size]byte // of the digests of clients' credentials

	mu    sync.Mutex
	seen  map[oci.Repository]sight
	given map[grant]time.Time // when the upstream last accepted them
}

// sight is what came of the last anonymous request for a repository that told
// whether it is public.
type sight struct {
	public    bool
	challenge string // of the refusal
	at        time.Time
}

// grant is a client's credentials for a repository.
type grant struct {
	repo oci.Repository
	who  [sha256.Size]byte
}

const (
	// grantTTL is how long credentials that the upstream has accepted are good for:
	// a revoked token is worth that much longer.
	grantTTL = time.Minute
	// maxKnown bounds what is kept of each kind; past it what has expired goes, or
	// everything.
	maxKnown = 16384
	// trustedFor is how long a repository that was public gets new content by the
	// mirror's own credentials for everybody, should anonymous requests be refused for
	// their rate: it may have turned private, and then what is new is not for them.
	trustedFor = 24 * time.Hour
	// stateEvery is how often it is written that a repository is still public.
	stateEvery = time.Hour
)

func (k *knowledge) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seen, k.given = make(map[oci.Repository]sight), make(map[grant]time.Time)
}

// digest is what is kept of credentials.
func (k *knowledge) digest(authorization string) (d [sha256.Size]byte) {
	mac := hmac.New(sha256.New, k.key[:])
	mac.Write([]byte(authorization))
	mac.Sum(d[:0])
	return d
}

func (k *knowledge) sight(r oci.Repository) sight {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[r]
}

func (k *knowledge) see(r oci.Repository, s sight, ttl time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	makeRoom(k.seen, func(old sight) bool { return s.at.Sub(old.at) >= ttl })
	k.seen[r] = s
}

func (k *knowledge) granted(g grant) (at time.Time, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok = k.given[g]
	return at, ok
}

func (k *knowledge) give(g grant, at time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	makeRoom(k.given, func(old time.Time) bool { return at.Sub(old) >= grantTTL })
	k.given[g] = at
}

func (k *knowledge) takeBack(g grant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.given, g)
}

func makeRoom[K comparable, V any](of map[K]V, expired func(V) bool) {
	if len(of) < maxKnown {
		return
	}
	for key, v := range of {
		if expired(v) {
			delete(of, key)
		}
	}
	if len(of) >= maxKnown {
		clear(of)
	}
}

// isPublic tells whether an anonymous request has reached the repository lately.
func (m *Mirror) isPublic(r oci.Repository, ttl time.Duration) bool {
	s := m.knowledge.sight(r)
	return s.public && m.fresh(s.at, ttl)
}

// wasPublic tells whether the last anonymous request that could tell has reached the
// repository: what holds while the upstream is away.
func (m *Mirror) wasPublic(r oci.Repository) bool {
	if s := m.knowledge.sight(r); !s.at.IsZero() {
		return s.public
	}
	return m.store.State(r).Visibility == store.Public
}

// wasPublicLately tells whether wasPublic holds and was found out within trustedFor.
func (m *Mirror) wasPublicLately(r oci.Repository) bool {
	at := m.knowledge.sight(r).at
	if at.IsZero() {
		at = m.store.State(r).Checked
	}
	return m.wasPublic(r) && m.fresh(at, trustedFor)
}

// isPrivate tells whether an anonymous request was refused lately, and how.
func (m *Mirror) isPrivate(r oci.Repository, ttl time.Duration) (challenge string, private bool) {
	s := m.knowledge.sight(r)
	return s.challenge, !s.at.IsZero() && !s.public && m.fresh(s.at, ttl)
}

// notePublic keeps that an anonymous request has reached a repository.
func (m *Mirror) notePublic(r oci.Repository, ttl time.Duration) {
	now := m.now()
	m.knowledge.see(r, sight{public: true, at: now}, ttl)
	if s := m.store.State(r); s.Visibility != store.Public || now.Sub(s.Checked) >= stateEvery {
		m.setState(r, store.State{Visibility: store.Public, Checked: now})
	}
}

// notePrivate keeps that one was refused. Of repositories of which nothing is known
// nothing is written: anybody can ask for names that do not exist.
func (m *Mirror) notePrivate(r oci.Repository, challenge string, ttl time.Duration) {
	now := m.now()
	m.knowledge.see(r, sight{challenge: challenge, at: now}, ttl)
	if m.store.State(r).Visibility == store.Public {
		m.setState(r, store.State{Visibility: store.Private, Checked: now})
	}
}

// noteHidden keeps that something is not found any more that was known of a
// repository. It may have been removed, or the repository have become private at a
// registry that hides those: until an anonymous request reaches it again, it is no
// public one.
func (m *Mirror) noteHidden(r oci.Repository) {
	m.knowledge.mu.Lock()
	delete(m.knowledge.seen, r)
	m.knowledge.mu.Unlock()
	if m.store.State(r).Visibility == store.Public {
		m.setState(r, store.State{Checked: m.now()})
	}
}

// noteHeld keeps that credentials were wanted and good.
func (m *Mirror) noteHeld(r oci.Repository) {
	if m.store.State(r).Visibility == "" {
		m.setState(r, store.State{Visibility: store.Private, Checked: m.now()})
	}
}

func (m *Mirror) setState(r oci.Repository, s store.State) {
	if err := m.store.SetState(r, s); err != nil {
		m.log.Warn("what is known of a repository cannot be written", zap.String("repository", r.String()), zap.Error(err))
	}
}
