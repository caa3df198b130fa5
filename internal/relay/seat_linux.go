package relay

import (
	"golang.org/x/sys/unix"
)

// seat is where a tunnel is in a loop. The zero value is none.
type seat struct {
	loop *loop // nil: none
	place
	fds   [2]int32  // client, origin
	watch [2]uint32 // what the kernel tells of each
}

func (s *seat) taken() bool { return s.loop != nil }

func (s *seat) fd(side Side) int { return int(s.fds[side-Client]) }

// place names a tunnel's use of a slot: slots are used again, and an event may
// come late.
type place struct{ slot, stamp uint32 }

// event is what the kernel keeps for a socket: place and side.
func (p place) event(s Side, events uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: events, Fd: int32(p.slot), Pad: int32(p.stamp<<1 | uint32(s-Client))}
}

func placeOf(ev *unix.EpollEvent) (place, Side) {
	return place{uint32(ev.Fd), uint32(ev.Pad) >> 1}, Client + Side(ev.Pad&1)
}

// What is watched: errors and hang-ups are told always.
const (
	news = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLPRI
	room = unix.EPOLLOUT
)

// seat gives a tunnel a place and watches its sockets, which are the loop's from
// then on. It says false, and has forgotten the tunnel, when the kernel has no
// memory for that or fs.epoll.max_user_watches is reached. The caller holds t.mu,
// so that an event that comes at once finds the tunnel seated.
func (l *loop) seat(t *Tunnel, fds [2]int32) bool {
	t.seat = seat{loop: l, fds: fds, watch: [2]uint32{news, news}}
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		t.seat.slot = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		t.seat.slot = uint32(len(l.seats))
		l.seats = append(l.seats, nil)
		l.stamps = append(l.stamps, 0)
	}
	t.seat.stamp = l.stamps[t.seat.slot]
	l.seats[t.seat.slot] = t
	wake := false
	if t.up.held != nil {
		l.kicked = append(l.kicked, turn{t, t.seat.place, Client})
		wake = true
	}
	if t.idle > 0 && (l.tick == 0 || t.idle/idleShare < l.tick) {
		l.tick = max(t.idle/idleShare, minTick)
		wake = true
	}
	l.mu.Unlock()
	for i, s := range [2]Side{Client, Origin} {
		if unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, t.seat.fd(s), t.seat.event(s, news|unix.EPOLLET)) != nil {
			if i == 1 {
				unix.EpollCtl(l.epfd, unix.EPOLL_CTL_DEL, t.seat.fd(Client), nil)
			}
			l.vacate(t)
			return false
		}
	}
	if wake {
		l.wake()
	}
	return true
}

// vacate takes a tunnel's seat. Its sockets stay open and watched.
func (l *loop) vacate(t *Tunnel) {
	slot := t.seat.slot
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seats[slot] = nil
	l.stamps[slot] = (l.stamps[slot] + 1) << 1 >> 1
	l.free = append(l.free, slot)
	t.seat = seat{} // last: a panic above finds the sockets to close
}

// len returns the number of tunnels.
func (l *loop) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seats) - len(l.free)
}

// at returns who is in a place, or nil when whoever it was has left.
func (l *loop) at(p place) *Tunnel {
	l.mu.Lock()
	defer l.mu.Unlock()
	if int(p.slot) >= len(l.seats) || l.stamps[p.slot] != p.stamp {
		return nil
	}
	return l.seats[p.slot]
}

// stays tells whether a tunnel is still where it has a turn.
func (l *loop) stays(w turn) bool { return l.at(w.place) == w.t }

// see changes what the kernel tells of a side. News that is there already is told
// anew by that (epoll_ctl(2), EPOLL_CTL_MOD).
func (t *Tunnel) see(s Side, events uint32) {
	if t.seat.watch[s-Client] == events {
		return
	}
	t.seat.watch[s-Client] = events
	unix.EpollCtl(t.seat.loop.epfd, unix.EPOLL_CTL_MOD, t.seat.fd(s), t.seat.event(s, events|unix.EPOLLET))
}

// leave closes a tunnel's sockets and what it holds, by a reset if asked to. These
// descriptors are the only ones of their sockets, so the kernel forgets its watch
// as well. The caller holds mu.
func (t *Tunnel) leave(reset bool) {
	s := t.seat
	s.loop.vacate(t)
	t.closeAll(s, reset)
}

// crashSeat resets the sockets of a tunnel. It leaves its slot alone, whose state
// may be what the panic came from. The caller holds mu.
func (t *Tunnel) crashSeat() {
	s := t.seat
	t.seat = seat{}
	t.closeAll(s, true)
}

func (t *Tunnel) closeAll(s seat, reset bool) {
	for _, f := range [2]*flow{&t.up, &t.down} {
		if f.waits {
			s.loop.timers.left.Add(1)
		}
		f.refund()
		f.held.drop(s.loop)
		f.held = nil
	}
	for _, fd := range s.fds {
		if reset {
			unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		}
		unix.Close(int(fd))
	}
}

// checkIdle ends a tunnel in which nothing moved for too long, unless it waits
// for its budget.
func (t *Tunnel) checkIdle() {
	defer t.recovered()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quiet() >= t.idle && !t.up.waits && !t.down.waits {
		t.abortLocked(Caller, ByIdle, nil)
	}
}
