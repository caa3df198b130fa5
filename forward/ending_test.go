package forward

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestAnAnswerThatEndsEarlyIsAReset(t *testing.T) {
	for _, x := range []struct {
		name, answer string
		how          func(s *client)
		plain        bool // asked by HTTP/1.0
	}{
		{"sized, closed", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", func(s *client) { s.Close() }, false},
		{"sized, reset", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", func(s *client) { abort(s.TCPConn) }, false},
		{"large, closed", "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed in a large chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", func(s *client) { s.Close() }, false},
		{"chunked, closed before the last line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n", func(s *client) { s.Close() }, false},
		{"chunked, framed badly", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartial\r\n0\r\n\r\n", func(s *client) {}, false},
		{"chunked, to HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", func(s *client) { s.Close() }, true},
		{"until close, reset", "HTTP/1.0 200 OK\r\n\r\npart", func(s *client) { abort(s.TCPConn) }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			version := "1.1"
			if x.plain {
				version = "1.0"
			}
			c.send("GET http://%s/ HTTP/%s\r\nHost: x\r\n\r\n", o.addr, version)
			s := o.accept()
			s.head()
			s.send("%s", x.answer)
			if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Fatalf("got %q", got)
			}
			x.how(s)
			if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after %q the client sees %v, not a reset", got, err)
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 200 || r.ClosedBy != track.Origin || r.How == "" || r.Reason == "" {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestAnswersThatCannotBeReadAre502(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for name, answer := range map[string]string{
		"length and coding":     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"the same length twice": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
		"a list of lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nabcd",
		"a negative length":     "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabcd",
		"another coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"a coding in HTTP/1.0":  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"folded":                "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"bare LF":               "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare CR":               "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 0\r\n\r\n",
		"NUL":                   "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"NUL in the reason":     "HTTP/1.1 200 O\x00K\r\n\r\n",
		"space before colon":    "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nabcd",
		"no HTTP":               "220 mail.example ESMTP\r\n\r\n",
		"HTTP/0.9":              "<html>\r\n\r\n",
		"HTTP/2":                "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.2":              "HTTP/1.2 200 OK\r\n\r\n",
		"ICY":                   "ICY 200 OK\r\n\r\n",
		"two digits":            "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":           "HTTP/1.1 2000 OK\r\n\r\n",
		"status 099":            "HTTP/1.1 099 OK\r\n\r\n",
		"status of letters":     "HTTP/1.1 2OO OK\r\n\r\n",
		"an empty line first":   "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"101, not asked for":    "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"too many lines":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxLines+1) + "\r\n",
		"too large a head":      "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", maxHead) + "\r\n\r\n",
		"endless interim":       strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim+2),
		"cut in its head":       "HTTP/1.1 200 OK\r\nConte",
		"nothing":               "",
	} {
		t.Run(name, func(t *testing.T) {
			p.t, o.t = t, t
			c, s := p.exchange(o)
			io.WriteString(s, answer)
			s.CloseWrite()
			got := c.rest()
			if i := strings.Index(got, "HTTP/1.1 502 sluice: "); i < 0 || !strings.Contains(got[i:], "\r\nProxy-Status: sluice; error=http_protocol_error; details=\"") {
				t.Errorf("got %q", got)
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 502 {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestNothingMovesForTheIdleTime(t *testing.T) {
	for _, begun := range []bool{false, true} {
		p, o := newProxy(t, setup{policy: func(p *gate.Policy) { p.Idle = 100 * time.Millisecond }}), newOrigin(t)
		c, s := p.exchange(o)
		if !begun {
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 504 sluice: "+o.addr+" sent nothing for 100ms\r\n") {
				t.Errorf("got %q", got)
			}
			if r := p.record(); r.Outcome != "timeout" || r.Status != 504 {
				t.Errorf("record %+v", r)
			}
			continue
		}
		s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
		c.head()
		if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %q the client sees %v", got, err)
		}
		if r := p.record(); r.Outcome != "timeout" || r.Status != 200 || r.ClosedBy != track.Sluice || r.How != "idle" {
			t.Errorf("record %+v", r)
		}
	}
}

func TestBytesThatMoveKeepASlowExchangeAlive(t *testing.T) {
	p, o := newProxy(t, setup{policy: func(p *gate.Policy) { p.Idle = 300 * time.Millisecond }}), newOrigin(t)
	c, s := p.exchange(o)
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
	c.head()
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		s.send("x")
		c.expect("x")
	}
	if r := p.record(); r.Outcome != "ok" {
		t.Errorf("record %+v", r)
	}
}

func TestAKilledExchangeEndsWithAReset(t *testing.T) {
	for _, begun := range []bool{false, true} {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c, s := p.exchange(o)
		if begun {
			s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
			c.head()
			c.expect("part")
		}
		p.gate.Live().KillAll("killed")
		if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %q the client sees %v", got, err)
		}
		if _, err := io.ReadAll(s.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the origin sees %v", err)
		}
		if r := p.record(); r.ClosedBy != track.Sluice || r.How != "killed" || r.Outcome != "ok" {
			t.Errorf("record %+v", r)
		}
		p.noRecord()
	}
}

func TestAClientThatLeavesEndsItsExchange(t *testing.T) {
	t.Run("before an answer", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c, s := p.exchange(o)
		c.Close()
		if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
			t.Errorf("record %+v", r)
		}
		io.ReadAll(s.r)
	})
	t.Run("behind its body", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		const size = 200 << 10
		c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", o.addr, size, strings.Repeat("x", size))
		s := o.accept()
		s.head()
		s.read(size)
		abort(c.TCPConn)
		if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 || r.Up < size {
			t.Errorf("record %+v", r)
		}
		if _, err := io.ReadAll(s.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the origin sees %v", err)
		}
	})
	t.Run("in the answer", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c, s := p.exchange(o)
		s.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		c.head()
		c.Close()
		for {
			if _, err := s.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		if r := p.record(); r.Outcome != "client_gone" || r.Status != 200 || r.ClosedBy != track.Client || r.How != "reset" {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("in its body", func(t *testing.T) {
		for name, request := range map[string]string{
			"sized":   "Content-Length: 10\r\n\r\npart",
			"large":   "Content-Length: 1000000\r\n\r\npart",
			"chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		} {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\n%s", o.addr, request)
			s := o.accept()
			s.head()
			s.read(4)
			c.CloseWrite()
			if _, err := io.ReadAll(s.r); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the origin sees %v: it may take the part for the whole", name, err)
			}
			if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
				t.Errorf("%s: record %+v", name, r)
			}
			p.noRecord()
		}
	})
}

// A wait for the budget may be longer than anybody waits for a process to end.
func TestAnExchangeThatWaitsForItsBudgetCanBeKilled(t *testing.T) {
	const size = 8 << 10 // half is the burst, the rest takes an hour
	slow := limit.Limits{Download: 1, Upload: 1, Burst: 4 << 10}
	for name, x := range map[string]struct{ request, answer string }{
		"download": {"GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", size)},
		"upload": {"PUT http://%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat("x", size), ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, o := newProxy(t, setup{limits: slow}), newOrigin(t)
			c := p.dial()
			c.send(x.request, o.addr)
			s := o.accept()
			s.head()
			s.send("%s", x.answer)
			time.Sleep(50 * time.Millisecond)
			p.gate.Live().KillAll("killed")
			if r := p.record(); r.ClosedBy != track.Sluice || r.How != "killed" || r.Up+r.Down >= size {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestAnEarlyAnswerEndsAnUploadThatWaitsForItsBudget(t *testing.T) {
	p, o := newProxy(t, setup{limits: limit.Limits{Upload: 1, Burst: 4 << 10}}), newOrigin(t)
	c := p.dial()
	c.send("PUT http://%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 8<<10), o.addr)
	s := o.accept()
	s.head()
	time.Sleep(50 * time.Millisecond)
	s.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
	if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Fatalf("got %q", got)
	}
	if r := p.record(); r.Outcome != "ok" || r.Status != 413 {
		t.Errorf("record %+v", r)
	}
}

// What was sent behind a request says that its client waits for answers; then only
// a reset tells that it has left.
func TestAResetBehindAHalfCloseEndsAnExchange(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("%s", strings.Repeat("GET http://"+o.addr+"/ HTTP/1.1\r\nHost: x\r\n\r\n", 2))
	c.CloseWrite()
	o.accept().head()
	time.Sleep(answerPatience + answerPatience/2)
	p.noRecord()
	abort(c.TCPConn)
	if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
		t.Errorf("record %+v", r)
	}
}
