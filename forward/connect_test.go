package forward

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/lab"
	"sluice/internal/relay"
	"sluice/internal/track"
)

func TestConnectMakesATunnelForEveryKindOfClient(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	_, port, _ := strings.Cut(o.addr, ":")
	for name, head := range map[string]string{
		"curl":                   "CONNECT $O HTTP/1.1\r\nHost: $O\r\nUser-Agent: curl/8\r\nProxy-Connection: Keep-Alive\r\n\r\n",
		"python, HTTP/1.0":       "CONNECT $O HTTP/1.0\r\n\r\n",
		"openssl, with Host":     "CONNECT $O HTTP/1.0\r\nHost: $O\r\n\r\n",
		"HTTP/1.1 without Host":  "CONNECT $O HTTP/1.1\r\n\r\n",
		"Host unlike the target": "CONNECT $O HTTP/1.1\r\nHost: example.com\r\n\r\n",
		"Windows, length of 0":   "CONNECT $O HTTP/1.0\r\nContent-Length: 0\r\nPragma: no-cache\r\n\r\n",
		"a line in front":        "\r\nCONNECT $O HTTP/1.1\r\n\r\n",
		"decimal IPv4":           "CONNECT 2130706433:" + port + " HTTP/1.1\r\n\r\n",
		"IPv4 in IPv6":           "CONNECT [::ffff:127.0.0.1]:" + port + " HTTP/1.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p.t, o.t = t, t
			c := p.dial()
			c.send("%s", strings.ReplaceAll(head, "$O", o.addr))
			s := o.accept()
			c.expect("HTTP/1.1 200 Connection established\r\n\r\n")
			c.send("ping")
			s.expect("ping")
			s.send("pong!")
			c.expect("pong!")
			c.Close()
			if rest := s.rest(); rest != "" {
				t.Errorf("the origin got %q more", rest)
			}
			s.Close()
			r := p.record()
			if r.Protocol != track.Connect || r.Outcome != "ok" || r.Status != 200 || r.Up != 4 || r.Down != 5 ||
				r.ClosedBy != track.Client || r.How != relay.ByFIN || r.Host != "127.0.0.1" || r.Address.String() != o.addr {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestBytesBehindAGrantedConnectAllArrive(t *testing.T) {
	for _, size := range []int{1, 517, 4000, 5000, 70_000, 300_000} {
		p, o := newProxy(t, setup{}), newOrigin(t)
		early := strings.Repeat("0123456789", size/10+1)[:size]
		c := p.dial()
		go io.WriteString(c, "CONNECT "+o.addr+" HTTP/1.1\r\n\r\n"+early)
		s := o.accept()
		s.expect(early)
		c.expect(established)
		s.send("got it")
		c.expect("got it")
		c.Close()
		s.Close()
		if r := p.record(); r.Up != int64(size) || r.Down != 6 {
			t.Errorf("%d bytes early: record has %d up, %d down", size, r.Up, r.Down)
		}
	}
}

func TestAHeadInSmallPieces(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.SetNoDelay(true)
	for _, b := range []byte("CONNECT " + o.addr + " HTTP/1.1\r\nHost: x\r\n\r\n") {
		c.send("%c", b)
		time.Sleep(100 * time.Microsecond)
	}
	o.accept()
	c.expect(established)
}

func TestTunnelPassesHalfClosesOnBothWays(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)

	c := p.dial()
	c.send("CONNECT %s HTTP/1.1\r\n\r\nquestion", o.addr)
	c.CloseWrite()
	s := o.accept()
	if got := s.rest(); got != "question" {
		t.Fatalf("origin got %q", got)
	}
	s.send("answer")
	s.Close()
	c.expect(established)
	if got := c.rest(); got != "answer" {
		t.Fatalf("client got %q", got)
	}
	if r := p.record(); r.ClosedBy != track.Client || r.Up != 8 || r.Down != 6 {
		t.Errorf("record %+v", r)
	}

	c = p.dial()
	c.send("CONNECT %s HTTP/1.1\r\n\r\n", o.addr)
	s = o.accept()
	s.send("banner")
	s.CloseWrite()
	c.expect(established)
	if got := c.rest(); got != "banner" {
		t.Fatalf("client got %q", got)
	}
	c.send("and still this")
	c.Close()
	if got := s.rest(); got != "and still this" {
		t.Fatalf("origin got %q", got)
	}
	if r := p.record(); r.ClosedBy != track.Origin {
		t.Errorf("record %+v", r)
	}
}

func TestTunnelPassesAResetOn(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("CONNECT %s HTTP/1.1\r\n\r\n", o.addr)
	s := o.accept()
	c.expect(established)
	abort(s.TCPConn)
	if _, err := c.r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v", err)
	}
	if r := p.record(); r.ClosedBy != track.Origin || r.How != relay.ByReset || r.Outcome != "ok" {
		t.Errorf("record %+v", r)
	}
}

func TestWhatFollowsARefusedConnectIsNeverRead(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	follow := "GET http://" + o.addr + "/smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, head := range map[string]string{
		"address not public":    "CONNECT 192.168.1.1:443 HTTP/1.1\r\nHost: x\r\n\r\n",
		"Content-Length":        "CONNECT " + o.addr + " HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
		"two lengths":           "CONNECT " + o.addr + " HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"Transfer-Encoding":     "CONNECT " + o.addr + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"two Hosts":             "CONNECT " + o.addr + " HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"no port":               "CONNECT 127.0.0.1 HTTP/1.1\r\n\r\n",
		"absolute-form":         "CONNECT http://" + o.addr + "/ HTTP/1.1\r\n\r\n",
		"with a path":           "CONNECT " + o.addr + "/ HTTP/1.1\r\n\r\n",
		"with a user":           "CONNECT u@" + o.addr + " HTTP/1.1\r\n\r\n",
		"IPv6 without brackets": "CONNECT ::1:443 HTTP/1.1\r\n\r\n",
		"zone":                  "CONNECT [::1%25lo]:443 HTTP/1.1\r\n\r\n",
		"port 0":                "CONNECT 127.0.0.1:0 HTTP/1.1\r\n\r\n",
		"port 65536":            "CONNECT 127.0.0.1:65536 HTTP/1.1\r\n\r\n",
		"port that wraps to 80": "CONNECT 127.0.0.1:4294967376 HTTP/1.1\r\n\r\n",
		"service name":          "CONNECT 127.0.0.1:http HTTP/1.1\r\n\r\n",
		"no host":               "CONNECT :443 HTTP/1.1\r\n\r\n",
		"*":                     "CONNECT * HTTP/1.1\r\n\r\n",
		"a space":               "CONNECT 127.0.0.1 :80 HTTP/1.1\r\n\r\n",
		"0.0.0.0":               "CONNECT 0.0.0.0:80 HTTP/1.1\r\n\r\n",
		"bare LF":               "CONNECT " + o.addr + " HTTP/1.1\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			c := p.dial()
			c.send("%s", head+follow)
			got := c.rest()
			if !strings.HasPrefix(got, "HTTP/1.1 4") || strings.Count(got, "HTTP/1.1 ") != 1 || !strings.Contains(got, "\r\nConnection: close\r\n") {
				t.Errorf("answered %q", got)
			}
			if r := p.record(); r.Protocol != track.Connect || r.Outcome == "ok" || r.Status != 400 && r.Status != 403 {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
			if _, seen := o.take(); seen != nil {
				t.Errorf("the origin saw %q", seen)
			}
		})
	}
}

func TestAnAbandonedDialIsGivenUp(t *testing.T) {
	hole := blackHole(t)
	for name, leave := range map[string]func(c *client){
		"by a close": func(c *client) { c.Close() },
		"by a reset": func(c *client) { abort(c.TCPConn) },
		"by a reset behind early data": func(c *client) {
			time.Sleep(2 * dialPatience)
			c.send("early")
			time.Sleep(dialPatience)
			abort(c.TCPConn)
		},
	} {
		for _, head := range []string{"CONNECT $O HTTP/1.1\r\n\r\n", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n"} {
			p := newProxy(t, setup{policy: func(p *gate.Policy) { p.Dialer.Timeout = time.Hour }})
			c := p.dial()
			c.send("%s", strings.ReplaceAll(head, "$O", hole.String()))
			eventually(t, "the request is under way", func() bool { return p.gate.Live().Len() == 1 })
			leave(c)
			if r := p.record(); r.Outcome != egress.ClientGone.String() || r.Status != 0 {
				t.Errorf("%s: record %+v", name, r)
			}
		}
	}
}

func TestASlowDialStillDeliversWhatWasSentEarly(t *testing.T) {
	p := newProxy(t, setup{})
	addr, admit := lab.Full(t)
	for _, early := range []string{"", "early"} {
		c := p.dial()
		c.send("CONNECT %s HTTP/1.1\r\n\r\n%s", addr, early)
		eventually(t, "the request is under way", func() bool { return p.gate.Live().Len() == 1 })
		time.Sleep(2 * dialPatience) // the watch over the client runs
		admit()                      // the kernel sends its second SYN after a second
		c.expect(established)
		c.send(" late")
		s := newClient(t, admit())
		s.expect(early + " late")
		s.Close()
		c.Close()
		p.record()
		dialTo(t, addr)
	}
}

// blackHole returns an address on loopback where connecting neither works nor
// fails.
func blackHole(t *testing.T) netip.AddrPort {
	addr, _ := lab.Full(t)
	return addr
}

func TestAProbeLeavesNoRecord(t *testing.T) {
	p := newProxy(t, setup{policy: func(p *gate.Policy) { p.Handshake = 50 * time.Millisecond }})
	p.dial().Close()
	c := p.dial()
	abort(c.TCPConn)
	if got := p.dial().rest(); got != "" { // waits for the deadline
		t.Errorf("answered %q", got)
	}
	c = p.dial()
	c.send("\r\n")
	if got := c.rest(); got != "" {
		t.Errorf("answered %q", got)
	}
	p.noRecord()
}

func TestASlowOrAbandonedHeadIsClosedWithARecord(t *testing.T) {
	p := newProxy(t, setup{policy: func(p *gate.Policy) { p.Handshake = 50 * time.Millisecond }})
	c := p.dial()
	c.send("CONNECT example.com:443 HT")
	if got := c.rest(); got != "" {
		t.Errorf("answered %q", got)
	}
	if r := p.record(); r.Outcome != "malformed" || r.Status != 0 || r.Protocol != track.Connect {
		t.Errorf("record %+v", r)
	}
	c = p.dial()
	c.send("GET http://exa")
	c.CloseWrite()
	if got := c.rest(); got != "" {
		t.Errorf("answered %q", got)
	}
	if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
		t.Errorf("record %+v", r)
	}
	p.noRecord()
}

func TestEarlyBytesFromTheListenerCount(t *testing.T) {
	o := newOrigin(t)
	p := newProxy(t, setup{})
	near, far := lab.Connected(t)
	go p.handler.Serve(near, []byte("CONNECT "+o.addr+" HT"), gate.Source{Client: addrOf(near.RemoteAddr())}, time.Now())
	c := newClient(t, far)
	c.send("TP/1.1\r\n\r\n")
	origin := o.accept()
	c.expect(established)
	c.Close()
	origin.Close()
	p.record()
}
