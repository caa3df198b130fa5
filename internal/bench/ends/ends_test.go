//go:build linux

package ends

import (
	"testing"
	"time"
)

// pair plays both ends with nothing between them.
func pair(t *testing.T) (*Clients, Via) {
	t.Helper()
	o, err := NewOrigin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	c, err := NewClients(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, Via{Port: o.Port()}
}

// reaches waits until a count is more than n.
func reaches(t *testing.T, what string, count func() int64, n int64) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); count() <= n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: %d after 10 s", what, count())
		}
	}
}

func TestBulkFlowsBothWaysAndIsCounted(t *testing.T) {
	c, via := pair(t)
	for what, open := range map[string]func(Via, int) (*Load, error){"down": c.Download, "up": c.Upload} {
		l, err := open(via, 3)
		if err != nil {
			t.Fatal(err)
		}
		reaches(t, what, l.Total, 3<<20)
		each := l.Each()
		l.Close()
		if what == "down" && len(each) != 3 {
			t.Errorf("%d tunnels are counted, not 3", len(each))
		}
	}
}

func TestRoundTripsAreTimedEach(t *testing.T) {
	c, via := pair(t)
	l, err := c.Trips(via, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reaches(t, "round trips", l.Total, 100)
	if n := len(l.Times()); n < 100 {
		t.Errorf("%d times for more than 100 round trips", n)
	}
	took, err := c.Quiet(via, time.Millisecond, 20*time.Millisecond)
	if err != nil || len(took) == 0 {
		t.Errorf("a quiet client made %d round trips: %v", len(took), err)
	}
}

func TestTunnelsThatAreLostShow(t *testing.T) {
	c, via := pair(t)
	l, err := c.Idle(via, 10)
	if err != nil {
		t.Fatal(err)
	}
	if lost := l.Total(); lost != 0 {
		t.Errorf("%d of 10 idle tunnels are lost at once", lost)
	}
	c.origin.Close()
	reaches(t, "lost tunnels", l.Total, 9)
	l.Close()
}

func TestShortTunnelsFollowEachOther(t *testing.T) {
	c, via := pair(t)
	churn, err := c.Short(via, 4)
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, "short tunnels", churn.Done, 50)
	if n, err := churn.Failed(); n != 0 {
		t.Errorf("%d failed, the last: %v", n, err)
	}
	churn.Close()

	refused, err := c.Short(Via{Port: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	reaches(t, "failures", func() int64 { n, _ := refused.Failed(); return n }, 0)
	refused.Close()
}

func TestAnswersToOpeningsAreReadToTheirEnd(t *testing.T) {
	for _, c := range []struct {
		name     string
		complete func([]byte) (int, error)
		answer   string
		n        int
		fails    bool
	}{
		{"half a CONNECT answer", connectAnswer, "HTTP/1.1 200 OK\r\n", 0, false},
		{"a CONNECT answer", connectAnswer, "HTTP/1.0 200 Connection established\r\nProxy-agent: x\r\n\r\n", 55, false},
		{"a refusal", connectAnswer, "HTTP/1.1 403 Forbidden\r\n\r\n", 0, true},
		{"no method yet", socksMethod, "\x05", 0, false},
		{"a method", socksMethod, "\x05\x00", 2, false},
		{"no acceptable method", socksMethod, "\x05\xff", 0, true},
		{"a reply with IPv4", socksReply, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10, false},
		{"a reply with a name", socksReply, "\x05\x00\x00\x03\x01a\x00\x50", 8, false},
		{"half a reply with IPv6", socksReply, "\x05\x00\x00\x04\x00\x00\x00", 0, false},
		{"a denial", socksReply, "\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00", 0, true},
	} {
		n, err := c.complete([]byte(c.answer))
		if n != c.n || (err != nil) != c.fails {
			t.Errorf("%s: %d, %v", c.name, n, err)
		}
	}
}
