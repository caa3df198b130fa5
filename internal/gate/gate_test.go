package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	somePort = []acl.PortRange{{First: 1, Last: 65535}}
	source   = Source{Listener: ":3128", Client: netip.MustParseAddrPort("192.0.2.7:4444")}
)

// fixture is a gate, its records, and an origin that accepts.
type fixture struct {
	*Gate
	t       *testing.T
	origin  *net.TCPListener
	records []track.Record
}

func newFixture(t *testing.T, rules []acl.Rule, change func(*Policy)) *fixture {
	t.Helper()
	policy, err := acl.New(rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{ACL: policy, Limits: make([]limit.Limits, len(rules)), Dialer: &egress.Dialer{AllowPrivate: loopback, Timeout: 5 * time.Second}}
	if change != nil {
		change(p)
	}
	f := &fixture{t: t}
	f.Gate = New(p, func(r *track.Record) { f.records = append(f.records, *r) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	f.origin = ln.(*net.TCPListener)
	return f
}

func (f *fixture) port() uint16 { return f.origin.Addr().(*net.TCPAddr).AddrPort().Port() }

func (f *fixture) begin(host string) *Transaction {
	f.t.Helper()
	tx := f.Begin(source, track.HTTP)
	h, err := acl.ParseHost(host)
	if err != nil {
		f.t.Fatal(err)
	}
	tx.ToHost(h, f.port())
	return tx
}

func (f *fixture) dial(host string) (*Transaction, *Origin, *egress.Error) {
	f.t.Helper()
	tx := f.begin(host)
	o, e := tx.Dial(context.Background())
	if e == nil {
		f.t.Cleanup(func() { o.Conn.Close() })
	}
	return tx, o, e
}

func allow(name string, to ...string) acl.Rule {
	return acl.Rule{Name: name, Action: acl.Allow, To: to, Ports: somePort}
}

func TestADeniedRequestDialsNothing(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r", "example.com")}, nil)
	tx, _, e := f.dial("127.0.0.1")
	if e == nil || e.Kind != egress.RuleDenied {
		t.Fatalf("got %v", e)
	}
	tx.Fail(e, e.Kind.Status())
	f.origin.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if c, err := f.origin.Accept(); err == nil {
		c.Close()
		t.Error("the origin was dialled")
	}
	r := f.records[0]
	if len(f.records) != 1 || r.Decision != "deny" || r.Outcome != "rule_denied" || r.Status != 403 || r.Tries != 0 || f.Live().Len() != 0 {
		t.Errorf("record %+v", r)
	}
}

func TestANameThatResolvesIntoADeniedRangeIsDenied(t *testing.T) {
	deny := acl.Rule{Name: "no-lab", Action: acl.Deny, To: []string{"127.0.0.0/8", "::1"}, Ports: somePort}
	f := newFixture(t, []acl.Rule{deny, allow("rest")}, nil)
	tx, _, e := f.dial("localhost")
	if e == nil || e.Kind != egress.RuleDenied || !strings.Contains(e.Sentence, "no-lab") || strings.Contains(e.Sentence, "127.") {
		t.Errorf("got %v", e)
	}
	tx.Fail(e, 403)
}

func TestAPlaceIsGivenBackHoweverItEnds(t *testing.T) {
	one := func(p *Policy) { p.MaxTunnels, p.Limits[0].Tunnels = 1, 1 }
	f := newFixture(t, []acl.Rule{allow("r")}, one)
	for range 3 {
		tx, o, e := f.dial("127.0.0.1")
		if e != nil {
			t.Fatal(e)
		}
		if _, _, e := f.dial("127.0.0.1"); e == nil || e.Kind.Status() != 503 {
			t.Fatalf("the second at once: %v", e)
		}
		o.Close()
		tx.Finish(Finish{Status: 200})
	}
	f.origin.Close() // refused now
	for range 3 {
		if _, _, e := f.dial("127.0.0.1"); e == nil || e.Kind != egress.Refused {
			t.Fatalf("got %v", e)
		}
	}
}

func TestAPlaceIsGivenBackOnce(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	o.Close()
	o.Close()
	tx.Finish(Finish{Status: 200})
	if n := f.tunnels.Load(); n != 0 {
		t.Errorf("%d tunnels are counted", n)
	}
}

func TestAnOriginIsReusedOnlyForTheSameDecision(t *testing.T) {
	f := newFixture(t, []acl.Rule{
		{Name: "a", Action: acl.Allow, Users: []string{"ann"}, Ports: somePort}, allow("b"),
	}, nil)
	_, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	defer o.Close()
	again := f.begin("127.0.0.1")
	if ok, e := again.Reuse(o); !ok || e != nil {
		t.Errorf("the same request: %v, %v", ok, e)
	}
	if ok, _ := f.begin("localhost").Reuse(o); ok {
		t.Error("another host got the connection")
	}
	other := f.Begin(source, track.HTTP)
	other.SetUser("ann")
	other.ToHost(again.req.Host, f.port())
	if ok, _ := other.Reuse(o); ok {
		t.Error("another user, under another rule, got the connection")
	}
	f.Swap(&Policy{Dialer: &egress.Dialer{}})
	if ok, _ := f.begin("127.0.0.1").Reuse(o); ok {
		t.Error("it was reused under a new policy")
	}
}

func TestADrainingGateAdmitsNobody(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	f.Drain()
	if _, _, e := f.dial("127.0.0.1"); e == nil || e.Kind != egress.ServerFull || e.RetryAfter <= 0 {
		t.Errorf("got %v", e)
	}
}

// A check of a password cannot be ended, and may take longer than an end should.
func TestADrainingGateChecksNoPassword(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) {
		p.Users, p.Handshake = NewUsers(map[string][]byte{"ann": nil}), time.Second
	})
	f.Policy().Users.busy <- struct{}{} // with another's, for ever
	f.Drain()
	tx := f.begin("127.0.0.1")
	e := tx.Login("ann", "secret")
	if e == nil || e.Kind != egress.ServerFull || e.RetryAfter <= 0 {
		t.Errorf("got %v", e)
	}
	tx.Fail(e, e.Kind.Status())
}

func TestATunnelIsTrackedUntilItsRecord(t *testing.T) {
	done := make(chan track.Record, 1)
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) { p.Idle = time.Minute })
	f.record = func(r *track.Record) { done <- *r }
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	far, err := f.origin.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	ln, _ := net.Listen("tcp", "127.0.0.1:0")
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	near, _ := ln.Accept()
	tx.Relay(near.(*net.TCPConn), o, []byte("early"))
	if _, err := io.ReadFull(far, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if s := f.Live().List(); len(s) == 1 && s[0].Snapshot().Up == 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the live tunnel does not show its bytes")
		}
		time.Sleep(time.Millisecond)
	}
	f.Live().KillAll("killed")
	r := <-done
	if r.ClosedBy != track.Sluice || r.How != "killed" || r.Up != 5 || r.Outcome != "ok" {
		t.Errorf("record %+v", r)
	}
	if err := f.Live().Drain(context.Background()); err != nil || f.tunnels.Load() != 0 {
		t.Errorf("after the end %d tunnels are counted, %v", f.tunnels.Load(), err)
	}
}

func TestPasswordsAreChecked(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	u := NewUsers(map[string][]byte{"ann": hash})
	for _, c := range []struct {
		user, password string
		right          bool
	}{
		{"ann", "secret", true}, {"ann", "secret", true}, {"ann", "Secret", false}, {"ann", "", false},
		{"bob", "secret", false}, {"", "secret", false}, {"ann\x00", "secret", false}, {"annsecret", "", false},
	} {
		if got, err := u.Check(t.Context(), guesser, c.user, c.password); got != c.right || err != nil {
			t.Errorf("%q, %q: %v, %v", c.user, c.password, got, err)
		}
	}
	var none *Users
	if right, err := none.Check(t.Context(), guesser, "ann", "secret"); right || err != nil {
		t.Error("without users somebody was let in")
	}
	if len(u.lines) != 0 {
		t.Errorf("%d clients are remembered", len(u.lines))
	}
}

var guesser, honest = netip.MustParseAddr("192.0.2.66"), netip.MustParseAddr("192.0.2.7")

func TestWhoeverGuessesMuchHoldsUpHimself(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), 8)
	if err != nil {
		t.Fatal(err)
	}
	u := NewUsers(map[string][]byte{"ann": hash})
	u.busy <- struct{}{} // nothing is checked until all stand in line
	ctx, giveUp := context.WithCancel(context.Background())
	var guesses sync.WaitGroup
	var wrong, given, turnedAway atomic.Int64
	for i := range maxLine + 10 {
		guesses.Go(func() {
			right, err := u.Check(ctx, guesser, "ann", fmt.Sprint("guess ", i))
			switch {
			case right:
				t.Error("a guess was right")
			case errors.Is(err, errMuchGuessing):
				turnedAway.Add(1)
			case errors.Is(err, context.Canceled):
				given.Add(1)
			case err == nil:
				wrong.Add(1)
			}
		})
	}
	waiting := func(a netip.Addr, n int) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			u.mu.Lock()
			l := u.lines[a]
			there := l != nil && l.long == n && len(l.first) == 1
			u.mu.Unlock()
			if there {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: not %d waiting", a, n)
			}
		}
	}
	waiting(guesser, maxLine)
	answered := make(chan bool)
	go func() {
		right, err := u.Check(context.Background(), honest, "ann", "secret")
		answered <- right && err == nil
	}()
	waiting(honest, 1)
	<-u.busy
	if !<-answered {
		t.Error("the right password is refused")
	}
	if n := wrong.Load(); n > 2 { // the one before, and the one after that may have begun
		t.Errorf("%d guesses were checked before it", n)
	}
	giveUp()
	guesses.Wait()
	if turnedAway.Load() != 10 || wrong.Load()+given.Load() != maxLine {
		t.Errorf("%d turned away, %d wrong, %d given up", turnedAway.Load(), wrong.Load(), given.Load())
	}
	if len(u.lines) != 0 || len(u.busy) != 0 {
		t.Errorf("%d clients and %d checks are left", len(u.lines), len(u.busy))
	}
}

func TestAKilledLoginWaitsNoLonger(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) { p.Users = NewUsers(map[string][]byte{"ann": hash}) })
	f.Policy().Users.busy <- struct{}{}
	tx := f.begin("127.0.0.1")
	f.Live().KillAll("drain")
	e := tx.Login("ann", "secret")
	if e == nil || e.Kind != egress.ServerFull {
		t.Errorf("got %v", e)
	}
	tx.Fail(e, 503)
}

func TestAPasswordIsNotWaitedForLongerThanAHandshake(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) {
		p.Users, p.Handshake = NewUsers(map[string][]byte{"ann": hash}), 10*time.Millisecond
	})
	f.Policy().Users.busy <- struct{}{}
	tx := f.begin("127.0.0.1")
	e := tx.Login("ann", "secret")
	if e == nil || e.Kind != egress.ClientLimit || e.RetryAfter == 0 {
		t.Errorf("got %v", e)
	}
	tx.Fail(e, 429)
}
