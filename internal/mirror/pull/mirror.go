package pull

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// New returns a mirror that mirrors nothing yet: see Swap. The store is the caller's
// to close, after the mirror.
func New(s *store.Store, o Options) *Mirror {
	m := &Mirror{store: s, log: o.Log, now: o.Now, patience: cmp.Or(o.Patience, defaultPatience), whole: cmp.Or(o.Whole, defaultWhole), large: make(chan struct{}, maxLarge)}
	if m.log == nil {
		m.log = zap.NewNop()
	}
	if m.now == nil {
		m.now = time.Now
	}
	m.ctx, m.end = context.WithCancel(context.Background())
	m.policy.Store(&Policy{})
	rand.Read(m.knowledge.key[:])
	m.knowledge.clear()
	return m
}

// Swap puts a policy in force. What goes on goes on. What is known in memory of who
// may have what is forgotten, for it may be of another upstream of the same name.
func (m *Mirror) Swap(p *Policy) {
	m.policy.Store(p)
	m.knowledge.clear()
}

// Close ends what goes on without a client, and waits for it. Requests that come
// later fail.
func (m *Mirror) Close() error {
	m.asked.close()
	m.end()
	m.work.Wait()
	return nil
}

// upstream returns the upstream that a repository is of.
func (m *Mirror) upstream(r oci.Repository) (Upstream, error) {
	up, ok := m.policy.Load().Upstreams[r.Registry]
	if !ok {
		return Upstream{}, notMirrored(r.Registry)
	}
	return up, nil
}

func notMirrored(registry string) *oci.Error {
	return oci.Errorf(http.StatusNotFound, oci.NameUnknown, "sluice-mirror does not mirror %s", registry)
}

// fresh tells whether what was found out then still holds. A time ahead of now is of
// a clock that was set back.
func (m *Mirror) fresh(then time.Time, ttl time.Duration) bool {
	age := m.now().Sub(then)
	return age >= 0 && age < ttl
}
