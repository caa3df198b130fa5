package admin

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/admin/site"
)

const (
	mostSubscribers = 16
	// waiting is how many texts wait for a subscriber that is busy taking others;
	// over it, it is dropped. They are shared, so they cost memory once.
	waiting  = 8
	interval = time.Second
)

// feed tells subscribers what happens. One goroutine looks, while there is one, and
// makes each text once for all.
type feed struct {
	o        *Options
	refusals *refusals

	mu          sync.Mutex
	subscribers map[*subscriber]struct{}
	view        *view         // nil: nobody watches
	stop        chan struct{} // of the goroutine that view has
	closed      bool
	wg          sync.WaitGroup
}

// subscriber is one that is told.
type subscriber struct {
	texts chan []byte // whole events; closed when the subscriber is dropped
}

func newFeed(o *Options, r *refusals) *feed {
	return &feed{o: o, refusals: r, subscribers: make(map[*subscriber]struct{})}
}

// subscribe enters a subscriber, whose first text is the start. leave must follow.
func (f *feed) subscribe() (*subscriber, *site.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return nil, site.NewFault(http.StatusServiceUnavailable, "this proxy has stopped")
	case len(f.subscribers) >= mostSubscribers:
		return nil, site.NewFault(http.StatusServiceUnavailable, "there are "+strconv.Itoa(mostSubscribers)+" subscribers already")
	}
	if f.view == nil {
		f.view, f.stop = newView(f.o, f.refusals), make(chan struct{})
		stop := f.stop
		f.wg.Go(func() { f.run(stop) })
	}
	s := &subscriber{texts: make(chan []byte, waiting)}
	s.texts <- f.view.start()
	f.subscribers[s] = struct{}{}
	return s, nil
}

// leave takes a subscriber out; the last one ends the looking.
func (f *feed) leave(s *subscriber) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subscribers, s)
	f.rest()
}

func (f *feed) rest() {
	if len(f.subscribers) == 0 && f.view != nil {
		close(f.stop)
		f.view, f.stop = nil, nil
	}
}

func (f *feed) run(stop chan struct{}) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
		}
		f.look(stop)
	}
}

// look publishes a tick. A panic, should there be one, ends all subscriptions, and
// nothing beside them.
func (f *feed) look(stop chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() {
		if v := recover(); v != nil {
			f.o.panicked(v)
			f.dropAll()
		}
	}()
	if f.stop == stop {
		f.publish(f.view.tick())
	}
}

// publish hands a text to all, and drops who has not taken those before. The caller
// holds mu.
func (f *feed) publish(text []byte) {
	for s := range f.subscribers {
		select {
		case s.texts <- text:
		default:
			delete(f.subscribers, s)
			close(s.texts)
		}
	}
	f.rest()
}

func (f *feed) reloaded(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.view == nil {
		return
	}
	b := append([]byte("event: reload\ndata: "), `{"time":"`...)
	b = accesslog.AppendTime(b, time.Now())
	b = strconv.AppendBool(append(b, `","ok":`...), err == nil)
	if err != nil {
		b = site.AppendString(append(b, `,"error":`...), err.Error())
	}
	f.publish(append(b, "}\n\n"...))
}

// close drops all subscribers, and refuses those to come.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.dropAll()
	f.mu.Unlock()
	f.wg.Wait()
}

// dropAll ends all subscriptions; the caller holds mu.
func (f *feed) dropAll() {
	for s := range f.subscribers {
		delete(f.subscribers, s)
		close(s.texts)
	}
	f.rest()
}
