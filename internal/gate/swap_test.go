package gate

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/lab"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// policy returns one like the gate's, with other rules.
func (f *fixture) policy(rules []acl.Rule, change func(*Policy)) *Policy {
	f.t.Helper()
	p := *f.Gate.Policy()
	var err error
	if p.ACL, err = acl.New(rules, nil); err != nil {
		f.t.Fatal(err)
	}
	p.Limits = make([]limit.Limits, len(rules))
	if change != nil {
		change(&p)
	}
	return &p
}

// tunnel opens one and returns its client's end.
func (f *fixture) tunnel(host string) (*Transaction, net.Conn) {
	f.t.Helper()
	near, client := lab.Connected(f.t)
	tx, o, e := f.dial(host)
	if e != nil {
		f.t.Fatal(e)
	}
	tx.Relay(near, o, nil)
	f.t.Cleanup(func() {
		client.Close()
		f.Live().KillAll("end of test")
		f.Live().Drain(context.Background())
	})
	return tx, client
}

func TestATunnelOutlivesTheRuleThatAdmittedIt(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	tx, _ := f.tunnel("127.0.0.1")
	if n := f.Swap(f.policy(nil, nil)); n != 0 {
		t.Errorf("%d were ended", n)
	}
	if f.Live().Get(tx.ID()) == nil {
		t.Error("the tunnel was ended")
	}
	late, _, e := f.dial("127.0.0.1")
	if e == nil {
		t.Fatal("what came after it was admitted")
	}
	late.Fail(e, e.Kind.Status())
}

func TestRecheckEndsWhatTheNewPolicyRefuses(t *testing.T) {
	noLab := acl.Rule{Name: "no-lab", Action: acl.Deny, To: []string{"127.0.0.0/8", "::1"}, Ports: somePort}
	for name, c := range map[string]struct {
		host   string
		rules  []acl.Rule
		change func(*Policy)
		why    string
	}{
		"no rule":                   {"127.0.0.1", nil, nil, "the rules have changed: no rule lets"},
		"a deny rule":               {"127.0.0.1", []acl.Rule{noLab, allow("r")}, nil, "the rules have changed: rule no-lab denies"},
		"a deny rule for addresses": {"localhost", []acl.Rule{noLab, allow("r")}, nil, "the rules have changed: rule no-lab denies an address of localhost"},
		"addresses that are not public any more": {"localhost", []acl.Rule{allow("r")}, func(p *Policy) {
			d := *p.Dialer
			d.AllowPrivate = nil
			p.Dialer = &d
		}, "the rules have changed: "},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, []acl.Rule{allow("r")}, nil)
			done := make(chan track.Record, 1)
			f.record = func(r *track.Record) { done <- *r }
			_, client := f.tunnel(c.host)
			if n := f.Swap(f.policy(c.rules, func(p *Policy) {
				p.Recheck = true
				if c.change != nil {
					c.change(p)
				}
			})); n != 1 {
				t.Errorf("%d were ended", n)
			}
			r := <-done
			if r.ClosedBy != track.Sluice || r.How != "recheck" || !strings.HasPrefix(r.Reason, c.why) || r.Outcome != "ok" || r.Decision != "allow" {
				t.Errorf("record %+v", r)
			}
			if _, err := client.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("the client read %v, not a reset", err)
			}
		})
	}
}

func TestRecheckLeavesWhatIsStillAdmitted(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	tx, _ := f.tunnel("127.0.0.1")
	if n := f.Swap(f.policy([]acl.Rule{allow("another")}, func(p *Policy) { p.Recheck = true })); n != 0 || f.Live().Get(tx.ID()) == nil {
		t.Errorf("%d were ended", n)
	}
}

func TestLimitsOfANewPolicyHoldForLiveTunnels(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	tx, _ := f.tunnel("127.0.0.1")
	_, down := tx.origin.Budgets()
	if down.Bucket() != nil {
		t.Fatal("it has a budget already")
	}
	f.Swap(f.policy([]acl.Rule{allow("r")}, func(p *Policy) { p.Limits[0].Download = 1 << 20 }))
	if down.Bucket() == nil {
		t.Error("the new limit does not hold")
	}
	f.Swap(f.policy(nil, nil)) // refused now, and not ended: it keeps what it has
	if down.Bucket() == nil {
		t.Error("a tunnel that the rules refuse is free of its limit")
	}
	f.Swap(f.policy([]acl.Rule{allow("r")}, nil))
	if down.Bucket() != nil {
		t.Error("a limit that was lifted still holds")
	}
}

// Whoever asks after Swap has returned is judged by the new policy, also on a
// connection and for a request that began before.
func TestARequestThatBeganBeforeASwapIsJudgedByTheNewPolicy(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	_, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	fresh, further := f.begin("127.0.0.1"), f.begin("127.0.0.1")
	f.Swap(f.policy(nil, nil))
	if _, e := fresh.Dial(t.Context()); e == nil {
		t.Error("a new one was dialled")
	}
	if fits, _ := further.Reuse(o); fits {
		t.Error("a kept origin was used")
	}
}

// A dial takes its time, and its address is known at its end. What rules forbid that
// have come into force meanwhile must not get through between the two.
func TestADialThatASwapOvertakesIsJudgedByTheNewPolicy(t *testing.T) {
	noLab := acl.Rule{Name: "no-lab", Action: acl.Deny, To: []string{"127.0.0.0/8", "::1"}, Ports: somePort}
	for name, c := range map[string]struct {
		rules  []acl.Rule
		change func(*Policy)
		kind   egress.Kind
	}{
		"no rule":                   {nil, nil, egress.RuleDenied},
		"a deny rule for addresses": {[]acl.Rule{noLab, allow("r")}, nil, egress.RuleDenied},
		"addresses that are not public any more": {[]acl.Rule{allow("r")}, func(p *Policy) {
			p.Dialer = &egress.Dialer{}
		}, egress.NotPublic},
		"nothing that matters": {[]acl.Rule{allow("r")}, nil, egress.None},
	} {
		for _, recheck := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, recheck %t", name, recheck), func(t *testing.T) {
				f := newFixture(t, []acl.Rule{allow("r")}, nil)
				next := f.policy(c.rules, func(p *Policy) {
					p.Recheck = recheck
					if c.change != nil {
						c.change(p)
					}
				})
				now := *f.Gate.Policy()
				now.Dialer = &egress.Dialer{AllowPrivate: loopback, Own: func(netip.AddrPort) bool {
					f.Swap(next) // while the addresses are vetted
					return false
				}}
				f.Swap(&now)
				tx, o, e := f.dial("localhost")
				if e == nil {
					o.Close()
					tx.Finish(Finish{})
				} else {
					tx.Fail(e, e.Kind.Status())
				}
				switch {
				case c.kind == egress.None && e != nil:
					t.Errorf("refused: %v", e)
				case c.kind != egress.None && (e == nil || e.Kind != c.kind && e.Kind != egress.ServerFull):
					t.Errorf("got %v, not %v", e, c.kind)
				case f.Tunnels() != 0:
					t.Error("it keeps its place")
				}
				if r := f.records[0]; e != nil && (r.Outcome == "ok" || !recheck && r.Decision != "deny") {
					t.Errorf("record %+v", r)
				}
			})
		}
	}
}

// An admission that is under way while limits change must not bring the old budget
// back: the client would have two at once.
func TestAClientHasOneBudgetHoweverLimitsChangeUnderLoad(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, func(p *Policy) { p.Limits[0].Download = 1 << 20 })
	tx, o, e := f.dial("127.0.0.1")
	if e != nil {
		t.Fatal(e)
	}
	defer func() { o.Close(); tx.Finish(Finish{}) }()
	var wg sync.WaitGroup
	over := make(chan struct{})
	defer func() { close(over); wg.Wait() }()
	for range 8 {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				tx := f.Begin(source, track.HTTP)
				tx.To("127.0.0.1", "9")
				if o, e := tx.admit(); e == nil {
					o.Close()
				}
				f.Live().Remove(tx.ID())
			}
		})
	}
	for i := range 2000 {
		f.Swap(f.policy([]acl.Rule{allow("r")}, func(p *Policy) { p.Limits[0].Download = int64(1+i%2) << 20 }))
		late := f.begin("127.0.0.1")
		lo, e := late.admit()
		if e != nil {
			t.Fatal(e)
		}
		_, was := o.Budgets()
		_, is := lo.Budgets()
		same := was.Bucket() == is.Bucket()
		lo.Close()
		late.Finish(Finish{})
		if !same {
			t.Fatalf("after %d changes the client has two budgets", i+1)
		}
	}
}

func users(t *testing.T, password string) *Users {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return NewUsers(map[string][]byte{"ann": hash})
}

// A password may be checked long before its request comes, by SOCKS clients or while
// others' are checked. One that was taken away meanwhile opens nothing.
func TestAPasswordThatAReloadHasChangedOpensNothing(t *testing.T) {
	anns := allow("anns")
	anns.Users = []string{"ann"}
	for name, after := range map[string]func() *Users{
		"changed": func() *Users { return users(t, "another") },
		"removed": func() *Users { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, []acl.Rule{anns}, func(p *Policy) { p.Users = users(t, "secret") })
			for _, recheck := range []bool{false, true} {
				before := *f.Policy()
				early := f.begin("127.0.0.1")
				if e := early.Login("ann", "secret"); e != nil {
					t.Fatal(e)
				}
				early.To("127.0.0.1", fmt.Sprint(f.port()))
				o, e := early.Dial(t.Context())
				if e != nil {
					t.Fatal(e)
				}
				late := f.begin("127.0.0.1")
				if e := late.Login("ann", "secret"); e != nil {
					t.Fatal(e)
				}
				late.To("127.0.0.1", fmt.Sprint(f.port()))
				ended := f.Swap(f.policy([]acl.Rule{anns}, func(p *Policy) { p.Users, p.Recheck = after(), recheck }))
				if _, e := late.Dial(t.Context()); e == nil || e.Kind != egress.AuthRequired {
					t.Errorf("got %v", e)
				}
				if (ended == 1) != recheck {
					t.Errorf("recheck %t: %d were ended", recheck, ended)
				}
				o.Close()
				early.Finish(Finish{})
				late.Finish(Finish{})
				f.Swap(&before)
			}
		})
	}
}

// Each check takes some 60 ms and they take turns, so hundreds of users would not get
// their turn in time after a reload that changes something else.
func TestAReloadForgetsNoPasswordThatStays(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	before := NewUsers(map[string][]byte{"ann": hash, "bob": hash, "eve": hash})
	for _, user := range []string{"ann", "bob", "eve"} {
		if right, err := before.Check(t.Context(), honest, user, "secret"); !right || err != nil {
			t.Fatal(right, err)
		}
	}
	other, err := bcrypt.GenerateFromPassword([]byte("another"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	after := NewUsers(map[string][]byte{"ann": hash, "bob": other})
	f := newFixture(t, nil, func(p *Policy) { p.Users = before })
	f.Swap(f.policy(nil, func(p *Policy) { p.Users = after }))
	after.busy <- struct{}{} // nothing can be checked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if right, err := after.Check(ctx, honest, "ann", "secret"); !right || err != nil {
		t.Errorf("ann, whose password stays: %v, %v", right, err)
	}
	<-after.busy
	for _, user := range []string{"bob", "eve"} {
		if right, err := after.Check(t.Context(), honest, user, "secret"); right || err != nil {
			t.Errorf("%s, whose password has gone: %v, %v", user, right, err)
		}
	}
}
