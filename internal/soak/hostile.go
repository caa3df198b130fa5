//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// attack runs everything that is no tunnel, each in a goroutine of its own, until
// the load ends.
func (s *runner) attack() {
	for i, f := range []func(*rand.Rand){s.flood, s.flood, s.slowHandshakes, s.garbage, s.abandon} {
		r := s.rand(1_000_000 + i)
		s.wg.Go(func() {
			for !s.ending() {
				f(r)
			}
		})
	}
}

// flood connects and closes, in one of several ways, a hundred times in a row.
func (s *runner) flood(r *rand.Rand) {
	for range 100 {
		c, err := dial(hostile.any(r), s.proxy.listener)
		if err != nil {
			break
		}
		s.floods.Add(1)
		switch r.IntN(4) {
		case 0:
			_ = c.SetLinger(0)
		case 1:
			_, _ = c.Write([]byte("CONNECT 0.abandoned.test:1 HTTP/1.1\r\nHo")) // it may have closed: so be it
		case 2:
			_, _ = c.Write([]byte{5, 1})
		}
		c.Close()
	}
	s.rest(time.Second)
}

// slowHandshakes send a byte now and then until they are cut off.
func (s *runner) slowHandshakes(r *rand.Rand) {
	const at = 20
	ended := make(chan time.Duration, at)
	for i := range at {
		from := hostile.any(r)
		go func() {
			began := time.Now()
			defer func() { ended <- time.Since(began) }()
			c, err := dial(from, s.proxy.listener)
			if err != nil {
				return
			}
			defer c.Close()
			text := []string{"GET http://0.abandoned.test/ HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", "\x05\xff" + fmt.Sprintf("%255d", 0)}[i%2]
			for _, b := range []byte(text) {
				if _, err := c.Write([]byte{b}); err != nil || time.Since(began) > patience {
					return
				}
				time.Sleep(200 * time.Millisecond)
			}
		}()
	}
	for range at {
		if d := <-ended; d > 3*handshakeTime && !s.lateBy(d) {
			s.slow.Add(1)
		}
	}
	s.slowed.Add(at)
}

// garbage sends what is neither HTTP nor SOCKS5, or nearly.
func (s *runner) garbage(r *rand.Rand) {
	texts := []string{
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "\x05\x00", "\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50",
		"\r\n\r\n\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET http:// HTTP/1.1\r\n\r\n", "CONNECT a HTTP/1.1\r\n\r\n", "CONNECT [::1%25lo]:80 HTTP/1.1\r\n\r\n",
		"POST http://0.abandoned.test/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "\x00\x00\x00", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	}
	for range 20 {
		c, err := dial(hostile.any(r), s.proxy.listener)
		if err != nil {
			break
		}
		text := []byte(texts[r.IntN(len(texts))])
		if r.IntN(3) == 0 {
			text[r.IntN(len(text))] ^= byte(1 + r.IntN(255))
		}
		_, _ = c.Write(text)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = c.Read(make([]byte, 512)) // what it says is for other tests
		c.Close()
		s.garbled.Add(1)
	}
	s.rest(time.Second)
}

// abandon asks for names that nobody answers for, and leaves.
func (s *runner) abandon(r *rand.Rand) {
	for range 10 {
		c, err := dial(hostile.any(r), s.proxy.listener)
		if err != nil {
			break
		}
		n := s.abandoned.Add(1)
		request := fmt.Sprintf("CONNECT %d.abandoned.test:%d HTTP/1.1\r\n\r\n", n, s.origins.tunnels)
		if r.IntN(2) == 0 {
			request = string(socksRequest(fmt.Sprintf("%d.abandoned.test", n), s.origins.tunnels))
		}
		_, _ = c.Write([]byte(request))
		time.Sleep(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
		if r.IntN(2) == 0 {
			_ = c.SetLinger(0)
		}
		c.Close()
	}
	s.rest(time.Second)
}
