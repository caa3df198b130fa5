// Package process runs a service as a process of an operating system: signals end it,
// have it read its configuration again, and open its logs anew. What it serves, and
// what it says about that, is left to the service.
package process

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Service is what a process runs. Reload and ReopenLogs say themselves what came of
// them, and may be called at any time, each beside the other.
type Service interface {
	// Serve serves until ctx ends, then lets what is under way end in its own
	// time, or until cut ends.
	Serve(ctx, cut context.Context) error
	Reload(ctx context.Context) (warnings []string, err error)
	ReopenLogs()
}

// ErrLate says that a service that was told twice to end has not done so in time.
var ErrLate = errors.New("it does not end")

// lastWord is how long an end at once may take.
const lastWord = 5 * time.Second

// Signals are those that a process is sent. They are kept apart so that none crowds
// out another. Of several that ask for a reload while one is under way, one is done.
type Signals struct{ ends, reloads, reopens chan os.Signal }

// Listen heeds signals from now on. It is to be called before all that takes time: a
// log rotation must not end a process that is still reading a long file. What comes
// early is done by Attend, but for an end, which Unless heeds at once. The caller
// calls Stop in the end.
func Listen() *Signals {
	s := &Signals{make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.ends, syscall.SIGTERM, os.Interrupt)
	signal.Notify(s.reloads, syscall.SIGHUP)
	if reopenSignal != syscall.SIGHUP {
		signal.Notify(s.reopens, reopenSignal)
	}
	// The Go runtime ends a process that writes to a stdout or stderr whose reader
	// is gone. Losing the log is no reason to cut every connection.
	signal.Ignore(syscall.SIGPIPE)
	return s
}

// Stop heeds them no more.
func (s *Signals) Stop() {
	signal.Stop(s.ends)
	signal.Stop(s.reloads)
	signal.Stop(s.reopens)
}

// Unless loads something, and returns at once with ended set when a signal comes that
// is to end the process: a file may be a pipe without a writer, or on a disk that
// hangs.
func Unless[T any](s *Signals, load func() (T, error)) (loaded T, ended bool, err error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := load()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, false, r.err
	case <-s.ends:
		return loaded, true, nil
	}
}

// Attend serves until a signal ends it, and a second one at once. The error is the
// service's, or ErrLate.
func (s *Signals) Attend(service Service) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cut, stopNow := context.WithCancel(context.Background())
	defer stopNow()
	served := make(chan error, 1)
	go func() { served <- service.Serve(ctx, cut) }()
	over := make(chan struct{})
	defer close(over)
	// Beside the ends, and each beside the other, for all may take long: rules may be
	// many, the file on a disk that hangs, and nobody may read stderr. The drain is no
	// end of them, for it may take an hour.
	whenever(s.reopens, over, service.ReopenLogs)
	whenever(s.reloads, over, func() {
		service.ReopenLogs() // first, for a reload may take its time
		_, _ = service.Reload(ctx)
	})
	var late <-chan time.Time
	for {
		select {
		case <-late: // the log itself may be what holds it up, so nothing is said
			return ErrLate
		case err := <-served:
			return err
		case <-s.ends:
			if ctx.Err() != nil && late == nil {
				stopNow() // a second time: at once
				late = time.After(lastWord)
			}
			stop()
		}
	}
}

// whenever does something for each signal, until over is closed.
func whenever(signals <-chan os.Signal, over <-chan struct{}, do func()) {
	go func() {
		for {
			select {
			case <-over:
				return
			case <-signals:
				do()
			}
		}
	}()
}
