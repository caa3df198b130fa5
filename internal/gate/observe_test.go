package gate

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/limit"
)

// elsewhere admits the tests' client, but not to where they go.
var elsewhere = acl.Rule{Name: "elsewhere", Action: acl.Allow, Clients: []string{"192.0.2.0/24"}, To: []string{"elsewhere.test"}}

// observing puts the whole policy in observe mode.
func observing(p *Policy) { p.ACL = p.ACL.Observing(false) }

func TestWhatIsObservedPassesAndIsRecorded(t *testing.T) {
	noLabHere := acl.Rule{Name: "no-lab", Action: acl.Deny, Mode: acl.Observe, Clients: []string{"192.0.2.7"}, Ports: somePort}
	trial := elsewhere
	trial.Mode = acl.Observe
	noLab := acl.Rule{Name: "no-lab", Action: acl.Deny, Mode: acl.Observe, To: []string{"127.0.0.0/8", "::1"}, Ports: somePort}
	for name, c := range map[string]struct {
		rules  []acl.Rule
		change func(*Policy)
		host   string
		rule   string
		reason string
	}{
		"the whole policy":             {[]acl.Rule{elsewhere}, observing, "127.0.0.1", "", "would be refused: no rule lets 192.0.2.7 reach 127.0.0.1:"},
		"a rule that denies":           {[]acl.Rule{noLabHere}, nil, "127.0.0.1", "no-lab", "would be refused: rule no-lab denies 127.0.0.1:"},
		"a rule that allows":           {[]acl.Rule{trial}, nil, "127.0.0.1", "elsewhere", "would be refused: no rule lets 192.0.2.7 reach 127.0.0.1:"},
		"for want of a user":           {[]acl.Rule{{Name: "staff", Action: acl.Allow, Mode: acl.Observe, Clients: []string{"192.0.2.7"}, Users: []string{"ann"}, Ports: somePort}}, nil, "127.0.0.1", "staff", "would be refused: 192.0.2.7 needs a user and a password to reach 127.0.0.1:"},
		"an address of a name":         {[]acl.Rule{noLab, allow("rest")}, nil, "localhost", "no-lab", "would be refused: rule no-lab denies an address of localhost to 192.0.2.7"},
		"an address, in a whole trial": {[]acl.Rule{noLab, allow("rest")}, observing, "localhost", "no-lab", "would be refused: rule no-lab denies an address of localhost to 192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, c.rules, c.change)
			tx, o, e := f.dial(c.host)
			if e != nil {
				t.Fatal(e)
			}
			if live := tx.Snapshot(); live.Decision != "observe" || !strings.HasPrefix(live.Reason, c.reason) {
				t.Errorf("live %+v", live)
			}
			again := f.begin(c.host)
			if fits, e := again.Reuse(o); !fits || e != nil {
				t.Errorf("a further request: %t, %v", fits, e)
			}
			o.Close()
			tx.Finish(Finish{Status: 200})
			again.Finish(Finish{Status: 200})
			for _, r := range f.records {
				if r.Decision != "observe" || r.Rule != c.rule || r.Outcome != "ok" || !strings.HasPrefix(r.Reason, c.reason) || strings.Contains(r.Reason, ";") && r.Rule == "no-lab" {
					t.Errorf("record %+v", r)
				}
			}
		})
	}
}

func TestHowItEndedStandsBehindWhatWasObserved(t *testing.T) {
	f := newFixture(t, []acl.Rule{elsewhere}, observing)
	f.origin.Close()
	tx, _, e := f.dial("127.0.0.1")
	if e == nil {
		t.Fatal("a closed port was reached")
	}
	tx.Fail(e, e.Kind.Status())
	r := f.records[0]
	if r.Decision != "observe" || r.Outcome != "refused" || !strings.HasPrefix(r.Reason, "would be refused: no rule lets") || !strings.HasSuffix(r.Reason, "; "+e.Error()) {
		t.Errorf("record %+v", r)
	}
}

// Observe mode relaxes rules, and nothing else.
func TestObserveModeRelaxesNothingButRules(t *testing.T) {
	metadata := acl.Rule{Name: "metadata", Action: acl.Deny, Mode: acl.Observe, Clients: []string{"192.0.2.7"}, To: []string{"169.254.169.254", "fd00:ec2::254"}, Ports: somePort}
	for _, host := range []string{"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "168.63.129.16", "10.0.0.1", "0.0.0.0", "192.168.1.1"} {
		f := newFixture(t, []acl.Rule{metadata, elsewhere}, observing)
		tx, o, e := f.dial(host)
		if e == nil {
			o.Close()
			t.Errorf("%s was dialled", host)
			continue
		}
		tx.Fail(e, e.Kind.Status())
		if r := f.records[0]; e.Kind != egress.NotPublic || r.Decision != "deny" || r.Tries != 0 || strings.Contains(r.Reason, "would be") {
			t.Errorf("%s: record %+v", host, r)
		}
	}
	own := newFixture(t, []acl.Rule{elsewhere}, observing)
	own.Policy().Dialer.Own = func(netip.AddrPort) bool { return true }
	if _, _, e := own.dial("127.0.0.1"); e == nil || e.Kind != egress.Loop {
		t.Errorf("its own listener: %v", e)
	}
	stranger := newFixture(t, []acl.Rule{{Name: "others", Action: acl.Allow, Clients: []string{"198.51.100.0/24"}}}, observing)
	tx, _, e := stranger.dial("127.0.0.1")
	if e == nil || e.Kind != egress.RuleDenied || !strings.HasPrefix(e.Sentence, "no rule lets 192.0.2.7 reach 127.0.0.1:") {
		t.Fatalf("a stranger: %v", e)
	}
	tx.Fail(e, 403)
	if r := stranger.records[0]; r.Decision != "deny" || strings.Contains(r.Reason, "would be") {
		t.Errorf("a stranger: record %+v", r)
	}
	enforced := newFixture(t, []acl.Rule{{Name: "tried", Action: acl.Allow, Mode: acl.Observe, Clients: []string{"192.0.2.7"}, To: []string{"elsewhere.test"}},
		{Name: "no-lab", Action: acl.Deny, To: []string{"127.0.0.0/8", "::1"}, Ports: somePort}}, nil)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		if _, _, e := enforced.dial(host); e == nil || e.Kind != egress.RuleDenied || !strings.Contains(e.Sentence, "no-lab") {
			t.Errorf("%s, which an enforced rule denies: %v", host, e)
		}
	}
}

func TestAWrongPasswordIsRefusedInObserveModeToo(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, []acl.Rule{elsewhere}, func(p *Policy) {
		observing(p)
		p.Users, p.Handshake = NewUsers(map[string][]byte{"ann": hash}), 10*time.Second
	})
	if e := f.begin("127.0.0.1").Login("ann", "guess"); e == nil || e.Kind != egress.AuthRequired {
		t.Errorf("got %v", e)
	}
}

func TestWhatIsObservedHasLimits(t *testing.T) {
	own := elsewhere
	own.Mode = acl.Observe
	for name, c := range map[string]struct {
		rules  []acl.Rule
		change func(*Policy)
	}{
		"of no rule":            {[]acl.Rule{elsewhere}, func(p *Policy) { observing(p); p.NoRule = limit.Limits{Tunnels: 1} }},
		"of the rule on trial":  {[]acl.Rule{own}, func(p *Policy) { p.Limits[0].Tunnels = 1 }},
		"of what stands behind": {[]acl.Rule{{Name: "no-lab", Action: acl.Deny, Mode: acl.Observe, Ports: somePort}, allow("all")}, func(p *Policy) { p.Limits[1].Tunnels = 1 }},
		"of no rule that denies": {[]acl.Rule{{Name: "no-lab", Action: acl.Deny, Mode: acl.Observe, Clients: []string{"192.0.2.7"}, Ports: somePort}},
			func(p *Policy) { p.NoRule = limit.Limits{Tunnels: 1} }},
	} {
		f := newFixture(t, c.rules, c.change)
		if _, _, e := f.dial("127.0.0.1"); e != nil {
			t.Fatalf("%s: %v", name, e)
		}
		if _, _, e := f.dial("127.0.0.1"); e == nil || e.Kind != egress.ClientLimit {
			t.Errorf("%s: the second at once: %v", name, e)
		}
	}
}

func TestRecheckLeavesWhatIsObserved(t *testing.T) {
	f := newFixture(t, []acl.Rule{allow("r")}, nil)
	tx, _ := f.tunnel("127.0.0.1")
	_, down := tx.origin.Budgets()
	if n := f.Swap(f.policy([]acl.Rule{elsewhere}, func(p *Policy) {
		observing(p)
		p.Recheck, p.NoRule = true, limit.Limits{Download: 1 << 20}
	})); n != 0 || f.Live().Get(tx.ID()) == nil {
		t.Errorf("%d were ended", n)
	}
	if down.Bucket() == nil {
		t.Error("the limit of what passes without a rule does not hold")
	}
}
