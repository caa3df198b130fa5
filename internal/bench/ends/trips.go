//go:build linux

package ends

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// trips makes round trips through one tunnel, the next when one is back.
type trips struct {
	fd   int
	due  int // bytes of the answer
	sent time.Time
	took []time.Duration
}

// Trips opens n tunnels and makes round trips of 256 bytes through each of them,
// one at a time.
func (c *Clients) Trips(v Via, n int) (*Load, error) {
	l, err := c.open(v, n, trip(modeEcho))
	if err != nil {
		return nil, err
	}
	message := trip(modeEcho).send
	l.trips = make([]*trips, n)
	l.work(unix.EPOLLIN, func(i, fd int) handler {
		t := &trips{fd: fd, due: messageSize, sent: time.Now(), took: make([]time.Duration, 0, 1<<16)}
		l.trips[i] = t
		write(fd, message)
		return func(uint32) bool { return t.ready(l, i, message) }
	})
	return l, nil
}

func (t *trips) ready(l *Load, i int, message []byte) bool {
	var buf [messageSize]byte
	n, err := unix.Read(t.fd, buf[:])
	if n <= 0 {
		return err == unix.EAGAIN
	}
	if t.due -= n; t.due > 0 {
		return true
	}
	now := time.Now()
	t.took = append(t.took, now.Sub(t.sent))
	l.counts[i].Add(1)
	l.total.Add(1)
	t.due, t.sent = messageSize, now
	return write(t.fd, message)
}

// Reset forgets the times measured so far, which [Load.Times] are then without.
func (l *Load) Reset() {
	l.clients.loop.do(func() {
		for _, t := range l.trips {
			t.took = t.took[:0]
		}
	})
}

// Times returns how long each round trip took, in ascending order.
func (l *Load) Times() []time.Duration {
	var all []time.Duration
	l.clients.loop.do(func() {
		for _, t := range l.trips {
			all = append(all, t.took...)
		}
	})
	slices.Sort(all)
	return all
}

// Quiet makes round trips through one tunnel for some time, one in each
// interval, and returns how long each took, in ascending order. Its thread and
// the origin's are preferred over all others: a client and an origin on machines
// of their own would not have to wait for a core of this one.
func (c *Clients) Quiet(v Via, interval, total time.Duration) ([]time.Duration, error) {
	fd, err := c.dial(v, trip(modeQuiet))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	s := trip(modeQuiet)
	type outcome struct {
		took []time.Duration
		err  error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, urgent, ends here
		makeUrgent()
		took := make([]time.Duration, 0, total/interval+1)
		for start := time.Now(); time.Since(start) < total; {
			begin := time.Now()
			if err := exchange(fd, s); err != nil {
				done <- outcome{nil, fmt.Errorf("a quiet client's round trip: %w", err)}
				return
			}
			took = append(took, time.Since(begin))
			sleep(interval)
		}
		done <- outcome{took, nil}
	}()
	o := <-done
	slices.Sort(o.took)
	return o.took, o.err
}

// sleep blocks the thread; time.Sleep would leave it to the scheduler's others.
func sleep(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&ts, nil)
}

// Short opens a tunnel, makes one round trip through it and closes it, again and
// again, parallel of them at once, until Close.
func (c *Clients) Short(v Via, parallel int) (*Churn, error) {
	ch := &Churn{clients: c, via: v, steps: append(v.Protocol.opening(c.origin.port), trip(modeEcho))}
	var err error
	c.loop.do(func() {
		for range parallel {
			if err = ch.start(); err != nil {
				return
			}
		}
	})
	if err != nil {
		ch.Close()
		return nil, os.NewSyscallError("start short tunnels", err)
	}
	return ch, nil
}
