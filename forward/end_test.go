package forward

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// ending is an end that sends back what comes.
type ending struct {
	t      testing.TB
	refuse *egress.Error
}

func (e *ending) Admit(client netip.Addr) (string, *egress.Error) {
	if client != netip.MustParseAddr("127.0.0.1") {
		e.t.Errorf("the client is %s", client)
	}
	return "echo", e.refuse
}

func (e *ending) Serve(tx *gate.Transaction, place *gate.Origin, conn *net.TCPConn, early []byte) {
	go func() {
		up, down := tx.Counters()
		b, err := early, error(nil)
		for n := len(b); err == nil; n, err = conn.Read(b) {
			up.Add(int64(n))
			m, _ := conn.Write(b[:n])
			down.Add(int64(m))
			b = make([]byte, 100)
		}
		conn.Close()
		place.Close()
		tx.Finish(gate.Finish{Status: 200, ClosedBy: track.Client, How: "fin"})
	}()
}

func endingAt(e End) func(acl.Host, uint16) End {
	return func(h acl.Host, port uint16) End {
		if h.Name() == "here.example" && port == 443 {
			return e
		}
		return nil
	}
}

func TestATunnelMayEndHere(t *testing.T) {
	p := newProxy(t, setup{rules: []acl.Rule{}, end: &ending{t: t}, policy: func(p *gate.Policy) { p.NoRule = limit.Limits{Tunnels: 1} }})
	c := p.dial()
	c.send("CONNECT HERE.example.:443 HTTP/1.1\r\nHost: x\r\n\r\nearly ")
	c.expect("HTTP/1.1 200 Connection established\r\n\r\nearly ")
	c.send("late")
	c.expect("late")

	second := p.dial()
	second.send("CONNECT here.example:443 HTTP/1.1\r\n\r\n")
	if head := second.head(); !strings.HasPrefix(head, "HTTP/1.1 429 ") {
		t.Errorf("over its limit a client is told %q", head)
	}
	if r := p.record(); r.Outcome != "client_limit" || r.Rule != "echo" {
		t.Errorf("record %+v", r)
	}
	c.Close()
	if r := p.record(); r.Outcome != "ok" || r.Rule != "echo" || r.Decision != "allow" || r.Host != "here.example" || r.Up != 10 || r.Down != 10 || r.Tries != 0 {
		t.Errorf("record %+v", r)
	}
	if n := p.gate.Tunnels(); n != 0 {
		t.Errorf("%d places are taken at the end", n)
	}
}

func TestWhatEndsHereIsRefusedByItsEndAndNotByTheRules(t *testing.T) {
	p := newProxy(t, setup{program: "other", end: &ending{t: t, refuse: &egress.Error{Kind: egress.RuleDenied, Sentence: "not for you"}}})
	c := p.dial()
	c.send("CONNECT here.example:443 HTTP/1.1\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 403 other: not for you\r\n") {
		t.Errorf("it says %q", head)
	}
	if r := p.record(); r.Outcome != "rule_denied" || r.Rule != "echo" || r.Decision != "deny" {
		t.Errorf("record %+v", r)
	}
	p.gate.Drain()
	c = p.dial()
	c.send("CONNECT here.example:443 HTTP/1.1\r\n\r\n")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 503 ") {
		t.Errorf("in a drain it says %q", head)
	}
}

func TestTunnelsToOtherHostsAndPlainHTTPAreForTheRules(t *testing.T) {
	p := newProxy(t, setup{rules: []acl.Rule{}, end: &ending{t: t}})
	for _, request := range []string{
		"CONNECT here.example:444 HTTP/1.1\r\n\r\n", "CONNECT sub.here.example:443 HTTP/1.1\r\n\r\n",
		"GET http://here.example:443/ HTTP/1.1\r\nHost: here.example:443\r\n\r\n",
	} {
		c := p.dial()
		c.send("%s", request)
		if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 403 sluice: ") {
			t.Errorf("%q is answered %q", request, head)
		}
	}
}
