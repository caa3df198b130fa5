package forward

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/lab"
	"sluice/internal/limit"
)

func TestKeepAliveUsesOneConnectionForOneDestination(t *testing.T) {
	p, a, b := newProxy(t, setup{}), newOrigin(t), newOrigin(t)
	c := p.dial()
	get := func(s *client, o *origin, path string) {
		t.Helper()
		s.head()
		s.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
		if _, body := c.answer("GET"); body != path {
			t.Errorf("got %q, want %q", body, path)
		}
		if r := p.record(); r.Path != path || r.Address.String() != o.addr || r.Method != "GET" || r.Rule != "all" || r.Decision != "allow" {
			t.Errorf("record %+v", r)
		}
	}
	ask := func(o *origin, path string) {
		c.send("GET http://%s%s?secret HTTP/1.1\r\nHost: x\r\n\r\n", o.addr, path)
	}
	ask(a, "/1")
	first := a.accept()
	get(first, a, "/1")
	ask(a, "/2")
	get(first, a, "/2")
	ask(b, "/3")
	second := b.accept()
	get(second, b, "/3")
	if rest := first.rest(); rest != "" {
		t.Errorf("the first origin got %q more", rest)
	}
	ask(a, "/4")
	get(a.accept(), a, "/4")
	if rest := second.rest(); rest != "" {
		t.Errorf("the second origin got %q more", rest)
	}
	// Another client's requests never go over this client's connection.
	c2 := p.dial()
	c2.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", a.addr)
	a.accept().head()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	var all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, "POST http://%s/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", o.addr, i, i, strings.Repeat("b", i))
	}
	go io.WriteString(c, all.String())
	s := o.accept()
	for i := range 100 {
		if head := s.head(); !strings.HasPrefix(head, fmt.Sprintf("POST /%d HTTP/1.1\r\n", i)) {
			t.Fatalf("the origin got %q as number %d", head, i)
		}
		s.expect(strings.Repeat("b", i))
		answer := fmt.Sprintf("answer %d", i)
		s.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
	for i := range 100 {
		if _, body := c.answer("POST"); body != fmt.Sprintf("answer %d", i) {
			t.Fatalf("answer %d is %q", i, body)
		}
		if r := p.record(); r.Path != fmt.Sprintf("/%d", i) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
}

func TestAClientMayHalfCloseBehindItsPipelinedRequests(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	c := p.dial()
	c.send("%s", strings.Repeat("GET http://"+o.addr+"/ HTTP/1.1\r\nHost: x\r\n\r\n", 10))
	c.CloseWrite()
	if got := strings.Count(c.rest(), "HTTP/1.1 200 OK\r\n"); got != 10 {
		t.Errorf("%d of 10 answers", got)
	}
}

func TestBytesBeyondAnAnswerNeverBecomeTheNext(t *testing.T) {
	for name, more := range map[string]string{
		"with the answer": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"one byte":        "x",
	} {
		for _, later := range []bool{false, true} {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c, s := p.exchange(o)
			if later {
				s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			} else {
				s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood%s", more)
			}
			if _, body := c.answer("GET"); body != "good" {
				t.Errorf("got %q", body)
			}
			p.record()
			if later {
				s.send("%s", more)
				time.Sleep(20 * time.Millisecond) // let it reach the proxy's socket
			}
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			s = o.accept() // a new connection
			s.head()
			s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
			if _, body := c.answer("GET"); body != "true" {
				t.Errorf("%s, later %v: got %q", name, later, body)
			}
			p.record()
			p.noRecord()
		}
	}
}

func TestARequestIsRepeatedOnlyWhereThatDoesNoHarm(t *testing.T) {
	for _, x := range []struct {
		name, request string
		how           func(s *client)
		again         bool
	}{
		{"GET meets a close", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.Close() }, true},
		{"GET meets a reset", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { abort(s.TCPConn) }, true},
		{"DELETE meets a close", "DELETE http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.Close() }, true},
		{"POST meets a close", "POST http://$O/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", func(s *client) { s.Close() }, false},
		{"PUT with a body meets a close", "PUT http://$O/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", func(s *client) { s.Close() }, false},
		{"GET meets half an answer", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.send("HTTP/1.1 2"); s.Close() }, false},
		{"GET meets an interim answer", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.send("HTTP/1.1 102 x\r\n\r\n"); s.Close() }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c, s := p.exchange(o)
			s.send("HTTP/1.1 204 x\r\n\r\n")
			c.head()
			p.record()

			c.send("%s", strings.ReplaceAll(x.request, "$O", o.addr))
			s.head()
			x.how(s)
			if x.again {
				s = o.accept()
				s.head()
				s.send("HTTP/1.1 204 x\r\n\r\n")
				if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
					t.Errorf("got %q", got)
				}
				if r := p.record(); r.Outcome != "ok" || r.Status != 204 {
					t.Errorf("record %+v", r)
				}
			} else {
				if got := c.rest(); !strings.Contains(got, "HTTP/1.1 502 ") || !strings.Contains(got, "error=http_protocol_error") {
					t.Errorf("got %q", got)
				}
				if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 502 {
					t.Errorf("record %+v", r)
				}
				o.untouched()
			}
			p.noRecord()
		})
	}
}

func TestAFreshConnectionThatClosesIsNotTriedAgain(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	o.accept().Close()
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 502 sluice: "+o.addr+" closed the connection before it answered\r\n") {
		t.Errorf("got %q", got)
	}
	o.untouched()
	p.record()
	p.noRecord()
}

func TestADrainingProxyEndsItsConnections(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c, s := p.exchange(o)
	p.gate.Drain()
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("got %q", got)
	}
	p.record()
	c = p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 503 sluice: this proxy is shutting down\r\n") || !strings.Contains(got, "\r\nRetry-After: 5\r\n") {
		t.Errorf("got %q", got)
	}
	if r := p.record(); r.Outcome != egress.ServerFull.String() {
		t.Errorf("record %+v", r)
	}
}

func TestAKeptConnectionGivesItsPlaceBack(t *testing.T) {
	p, o := newProxy(t, setup{limits: limit.Limits{Tunnels: 1}}), newRecorder(t)
	for range 20 {
		c := p.dial()
		for range 3 {
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			if r, _ := c.answer("GET"); r.StatusCode != 200 {
				t.Fatalf("answered %s", r.Status)
			}
			p.record()
		}
		other := p.dial()
		other.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		if r, _ := other.answer("GET"); r.StatusCode != 429 {
			t.Fatalf("beyond the limit: answered %s", r.Status)
		}
		p.record()
		c.Close()
		eventually(t, "the place is free", func() bool {
			d := p.dial()
			defer d.Close()
			d.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.addr)
			r, _ := d.answer("GET")
			p.record()
			return r.StatusCode == 200
		})
		eventually(t, "the place is free again", func() bool {
			d := p.dial()
			defer d.Close()
			d.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.addr)
			r, _ := d.answer("GET")
			p.record()
			return r.StatusCode == 200
		})
	}
}

func TestAnotherRuleNeedsAnotherConnection(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c, s := p.exchange(o)
	s.send("HTTP/1.1 204 x\r\n\r\n")
	c.head()
	rules, err := acl.New([]acl.Rule{{Name: "none", Action: acl.Deny, Ports: everyPort}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := *p.gate.Policy()
	policy.ACL = rules
	p.gate.Swap(&policy)
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 sluice: rule none denies ") {
		t.Errorf("got %q", got)
	}
	if rest := s.rest(); rest != "" {
		t.Errorf("the origin got %q", rest)
	}
}

func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	near, far := lab.Connected(t)
	var r reader
	r.reset(near)
	done := make(chan error)
	go func() { done <- r.fill(smallBuffer) }()
	time.Sleep(20 * time.Millisecond)
	near.SetReadDeadline(past)
	if err := <-done; !isTimeout(err) || r.buf != nil {
		t.Errorf("after a wait for nothing: %v, and a buffer of %d bytes", err, len(r.buf))
	}
	near.SetReadDeadline(time.Time{})
	io.WriteString(far, "x")
	if err := r.fill(smallBuffer); err != nil || string(r.buffered()) != "x" {
		t.Errorf("read %q, %v", r.buffered(), err)
	}
	r.skip(1)
	if r.buf != nil {
		t.Error("an empty reader keeps its buffer")
	}
}
