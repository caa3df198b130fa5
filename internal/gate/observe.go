package gate

import "sluice/acl"

// wouldBe begins the reason of what passes in observe mode; the sentence that the
// client would have been told follows.
const wouldBe = "would be refused: "

// observeAddr notes that a rule in observe mode denies the address that was dialled
// for a name. It needs t.mu.
func (t *Transaction) observeAddr() {
	if t.decision.Observed || t.req.Host.IsAddr() || !t.rec.Address.IsValid() {
		return
	}
	p := t.policy.ACL
	i := p.ObserveAddr(t.req, t.decision, t.rec.Address.Addr())
	if i < 0 {
		return
	}
	t.rec.Decision, t.rec.Rule = acl.Observe.String(), p.Rule(i).Name
	t.rec.Reason = wouldBe + deniedAddress(p, i, t.req)
}

// both joins two parts of a reason, as what observe mode has to say and how it ended;
// either may be empty.
func both(first, second string) string {
	if first == "" || second == "" {
		return first + second
	}
	return first + "; " + second
}
