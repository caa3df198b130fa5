package pull

import (
	"context"
	"errors"
	"sync"
	"time"

	"sluice/internal/mirror/upstream"
)

const (
	// defaultPatience is that of Options.
	defaultPatience = 3 * time.Second
	// impatience is that after an upstream was too slow lately, so that an image's parts
	// are not each waited for.
	impatience = 100 * time.Millisecond
	// slowFor is how long "lately" is.
	slowFor = 10 * time.Second
)

var errSlow = errors.New("it has not answered in time, and what is kept is served meanwhile")

// slow knows which upstreams were too slow lately. The zero value is ready.
type slow struct {
	mu    sync.Mutex
	since map[string]time.Time // by registry
}

// patient bounds how long the upstream is waited for by a client that can be given what
// is kept: past it, the question goes on without the client, and the cause of ctx is an
// error of the upstream's. Call done with the error of the question.
func (m *Mirror) patient(ctx context.Context, a asking) (bounded context.Context, done func(error)) {
	registry := a.Repo.Registry
	wait := m.patience
	m.slow.mu.Lock()
	if since, ok := m.slow.since[registry]; ok && m.fresh(since, slowFor) {
		wait = min(wait, impatience)
	}
	m.slow.mu.Unlock()
	cause := &upstream.Error{Upstream: registry, Kind: upstream.Unreachable, Err: errSlow}
	bounded, cancel := context.WithTimeoutCause(ctx, wait, cause)
	return bounded, func(err error) {
		cancel()
		m.slow.mu.Lock()
		defer m.slow.mu.Unlock()
		switch {
		case !errors.Is(err, errSlow):
			delete(m.slow.since, registry)
		case wait == m.patience:
			if m.slow.since == nil {
				m.slow.since = make(map[string]time.Time)
			}
			m.slow.since[registry] = m.now()
		}
	}
}
