package pull

import (
	"context"
	"errors"
	"io"
	"net/http"
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

// maxAbandoned is how many questions go on that nobody waits for any more: each has a
// connection to an upstream, and clients that leave at once could ask without end.
const maxAbandoned = 64

var errAbandoned = errors.New("too many questions that nobody waits for")

// flights are the questions under way. The zero value is ready.
type flights struct {
	mu        sync.Mutex
	closed    bool
	under     map[question]*flight
	abandoned int // questions under way that nobody waits for
}

type flight struct {
	done  chan struct{} // closed at the end
	value any
	err   error

	ctx     context.Context // of the question, until it is answered
	cancel  context.CancelCauseFunc
	waiting int // clients; guarded by flights.mu
}

// join returns the flight of a question, and whether the caller is to fly it, until ctx
// ends. It is nil after the mirror was closed.
func (f *flights) join(ctx context.Context, q question, begin func()) (fl *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch fl := f.under[q]; {
	case f.closed:
		return nil, false
	case fl != nil:
		if fl.waiting++; fl.waiting == 1 {
			f.abandoned--
		}
		return fl, false
	}
	if f.under == nil {
		f.under = make(map[question]*flight)
	}
	fl = &flight{done: make(chan struct{}), waiting: 1}
	fl.ctx, fl.cancel = context.WithCancelCause(ctx)
	f.under[q] = fl
	begin()
	return fl, true
}

// leave counts out one who does not wait for the answer. The question goes on, unless
// too many do that nobody waits for.
func (f *flights) leave(q question, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.waiting--
	if fl.waiting > 0 || f.under[q] != fl {
		return
	}
	if f.abandoned++; f.abandoned > maxAbandoned {
		f.remove(q, fl)
		fl.cancel(errAbandoned)
	}
}

func (f *flights) landed(q question, fl *flight) {
	f.mu.Lock()
	f.remove(q, fl)
	f.mu.Unlock()
	fl.cancel(nil)
	close(fl.done)
}

// remove takes a question out that is answered, or given up. The caller holds mu.
func (f *flights) remove(q question, fl *flight) {
	if f.under[q] != fl {
		return
	}
	delete(f.under, q)
	if fl.waiting == 0 {
		f.abandoned--
	}
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
	fl, first := m.asked.join(m.ctx, q, func() { m.work.Add(1) })
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
			fl.value, fl.err = answer(fl.ctx)
		}()
	}
	select {
	case <-fl.done:
	case <-ctx.Done():
		m.asked.leave(q, fl)
		if first && drop != nil {
			go dropped(fl, drop)
		}
		return value, !first, context.Cause(ctx)
	}
	value, _ = fl.value.(T)
	return value, !first, fl.err
}

// beyond asks what has an answer to be read after its question is done: until the
// answer comes it ends with ctx, which is the question's, and then with the mirror.
func beyond(ctx context.Context, m *Mirror, do func(ctx context.Context) (*http.Response, error)) (*http.Response, error) {
	lasting, end := context.WithCancel(m.ctx)
	unhook := context.AfterFunc(ctx, end)
	resp, err := do(lasting)
	if !unhook() && err == nil {
		resp.Body.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		end()
		return nil, err
	}
	resp.Body = &ending{resp.Body, end}
	return resp, nil
}

// ending is a body with whose end a context ends.
type ending struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close closes the body and ends its context.
func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}
