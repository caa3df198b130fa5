package pull

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"sluice/internal/crash"
	"sluice/internal/mirror/oci"
)

// question is what an upstream is asked. Those who ask the same at the same time get
// one answer.
type question struct {
	repo oci.Repository
	kind string // what is done with the answer
	what string // below the repository
	as   string // in whose name: what one is told another may not be
}

// flights are the questions under way. The zero value is ready.
type flights struct {
	mu     sync.Mutex
	closed bool
	under  map[question]*flight
}

type flight struct {
	done  chan struct{} // closed at the end
	value any
	err   error
}

// join returns the flight of a question, and whether the caller is to fly it. It is
// nil after the mirror was closed.
func (f *flights) join(q question, begin func()) (fl *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.under[q]; fl != nil || f.closed {
		return fl, false
	}
	if f.under == nil {
		f.under = make(map[question]*flight)
	}
	fl = &flight{done: make(chan struct{})}
	f.under[q] = fl
	begin()
	return fl, true
}

func (f *flights) landed(q question, fl *flight) {
	f.mu.Lock()
	delete(f.under, q)
	f.mu.Unlock()
	close(fl.done)
}

func (f *flights) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
}

// dropped gives back an answer that nobody takes.
func dropped[T any](fl *flight, drop func(T)) {
	<-fl.done
	if value, ok := fl.value.(T); ok && fl.err == nil {
		drop(value)
	}
}

// ask has a question answered once for all who ask it now. The answer is found
// without the client that asked first: should that leave, others get it. shared tells
// that it was found for another. drop, if not nil, is called with the answer if the
// first has left, whose it would be.
func ask[T any](ctx context.Context, m *Mirror, q question, answer func(ctx context.Context) (T, error), drop func(T)) (value T, shared bool, err error) {
	fl, first := m.asked.join(q, func() { m.work.Add(1) })
	if fl == nil {
		return value, false, context.Canceled
	}
	if first {
		go func() {
			defer m.work.Done()
			defer m.asked.landed(q, fl)
			defer func() {
				if p := crash.Recovered(recover()); p != nil {
					m.log.Error("a question to an upstream has panicked", zap.String("repository", q.repo.String()), zap.Error(p))
					fl.err = p
				}
			}()
			fl.value, fl.err = answer(m.ctx)
		}()
	}
	select {
	case <-fl.done:
	case <-ctx.Done():
		if first && drop != nil {
			go dropped(fl, drop)
		}
		return value, !first, context.Cause(ctx)
	}
	value, _ = fl.value.(T)
	return value, !first, fl.err
}
