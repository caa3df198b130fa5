package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager how the service fares. The nil Notifier tells
// nobody, and is what there is without NOTIFY_SOCKET. It is safe for concurrent
// use. Errors say that the manager was not told; the service itself is none the
// worse for it.
type Notifier struct {
	socket   *socket
	watchdog time.Duration // the manager wants to hear this often; 0: it does not
}

// NewNotifier returns a Notifier for the manager that NOTIFY_SOCKET, WATCHDOG_USEC
// and WATCHDOG_PID name, or nil when there is none. It holds one descriptor, so that
// pings need none when the process has run out; Close gives it back.
func NewNotifier() (*Notifier, error) {
	s, err := openSocket()
	if err != nil || s == nil {
		return nil, err
	}
	n := &Notifier{socket: s}
	if n.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		n.Close()
		return nil, fmt.Errorf("watchdog of the service manager: %w", err)
	}
	return n, nil
}

// Close gives the descriptor back. What is told afterwards nobody hears.
func (n *Notifier) Close() {
	if n != nil {
		n.socket.close()
	}
}

// Ready tells that the service has started, or that a reload is over, whatever came
// of it; status says the rest in words for "systemctl status".
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady, statusLine(status))
}

// Reloading tells that a reload begins. Ready ends it.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	// With the time, systemd 253 and later know that this is the answer to their
	// signal (Type=notify-reload).
	return n.send(daemon.SdNotifyReloading, strings.TrimSuffix(daemon.SdNotifyMonotonicUsec(), "\n"))
}

// Stopping tells that the service is about to end, within a time that may be longer
// than the unit's TimeoutStopSec=.
func (n *Notifier) Stopping(within time.Duration, status string) error {
	return n.send(daemon.SdNotifyStopping, extend(within), statusLine(status))
}

// Status says in one line what the service is doing, for "systemctl status". It is
// dropped when the manager is busy.
func (n *Notifier) Status(status string) error {
	if n == nil {
		return nil
	}
	return n.socket.send(statusLine(status))
}

// patience is how long a message may take that must not be lost: the manager's
// queue holds 512 of all services together.
const patience = time.Second

// send sends what must not be lost.
func (n *Notifier) send(lines ...string) error {
	if n == nil {
		return nil
	}
	message := strings.Join(lines, "\n")
	const pause = 5 * time.Millisecond
	for tries := 0; ; tries++ {
		err := n.socket.send(message)
		if err == nil || !busy(err) || tries >= int(patience/pause) {
			return err
		}
		time.Sleep(pause)
	}
}

// statusEvery is how often the status is looked at where no watchdog is. A status
// that is the same as before is not sent.
const statusEvery = 10 * time.Second

// Health is what Run has to go by.
type Health struct {
	// Check returns nil when the service can serve. A Check that hangs counts as
	// one that fails. It need not heed its context, which ends when an answer is
	// of no use any more.
	Check func(context.Context) error
	// Status returns what to tell; nil: nothing.
	Status func() string
	// Report is told what goes wrong: each failed Check, and each ping that could
	// not be sent.
	Report func(error)
}

// Supervise tells that the service is up, if ctx has not ended, and then runs Run, also
// after the end of ctx, while the service drains. stop ends it, and returns when nothing
// is told any more.
func (n *Notifier) Supervise(ctx context.Context, h Health) (stop func()) {
	if ctx.Err() == nil {
		status := ""
		if h.Status != nil {
			status = h.Status()
		}
		if err := n.Ready(status); err != nil {
			h.Report(err)
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.Run(run, h)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// Run keeps the manager's watchdog quiet while the service is healthy, by a ping at
// each half of WatchdogSec=, and the status up to date. It returns when ctx ends; if
// Check hangs, when that returns. Without a manager it returns at once.
func (n *Notifier) Run(ctx context.Context, h Health) {
	if n == nil {
		return
	}
	told := ""
	for {
		wait := statusEvery
		var lines []string
		if n.watchdog > 0 {
			wait = n.watchdog / 2
			if err := n.healthy(ctx, h); err != nil {
				if ctx.Err() != nil {
					return
				}
				h.Report(unhealthy(err))
				// There may be time for another look before the watchdog bites.
				wait = n.watchdog / 16
			} else {
				lines = append(lines, daemon.SdNotifyWatchdog)
			}
		}
		if h.Status != nil {
			if status := h.Status(); status != told {
				told = status
				lines = append(lines, statusLine(status))
			}
		}
		if len(lines) > 0 {
			if err := n.socket.send(strings.Join(lines, "\n")); err != nil {
				h.Report(err)
				told = ""
				wait = min(wait, max(n.watchdog/16, time.Second))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// healthy asks once. An answer that comes too late is as good as none, and one that
// does not come at all is reported from aside.
func (n *Notifier) healthy(ctx context.Context, h Health) error {
	ctx, cancel := context.WithTimeout(ctx, n.watchdog/4)
	defer cancel()
	hangs := time.AfterFunc(n.watchdog/2, func() {
		h.Report(unhealthy(fmt.Errorf("no answer for %v", n.watchdog/2)))
	})
	defer hangs.Stop()
	if err := h.Check(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

func unhealthy(err error) error {
	return fmt.Errorf("health: %w; the service manager's watchdog gets no ping", err)
}

// statusLine keeps a status to its line: another one would be another message.
func statusLine(status string) string {
	return "STATUS=" + strings.ReplaceAll(status, "\n", " ")
}

func extend(d time.Duration) string {
	return "EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10)
}
