package gate

import (
	"fmt"

	"sluice/acl"
	"sluice/internal/egress"
)

// AdmitSelf decides about a request to the proxy itself, which has no destination:
// whoever a rule names by address is answered. It counts as a new tunnel of the
// client's and is bounded as these are, so that nobody can ask for more than he could
// by asking for tunnels. Nothing is dialled, and the place is free again at once.
func (t *Transaction) AdmitSelf() *egress.Error {
	if t.gate.refusesNew(t.source) {
		return errDraining()
	}
	t.gate.admitting.RLock()
	defer t.gate.admitting.RUnlock()
	t.policy = t.gate.Policy()
	client := t.rec.Client.Addr()
	rule, ok := t.policy.ACL.Admits(client)
	t.mu.Lock()
	t.rec.Decision = acl.Deny.String()
	if ok {
		t.rec.Decision = acl.Allow.String()
	}
	if rule >= 0 {
		t.rec.Rule = t.policy.ACL.Rule(rule).Name
	}
	t.mu.Unlock()
	if !ok {
		return &egress.Error{Kind: egress.RuleDenied, Sentence: fmt.Sprintf("no rule admits %s", client)}
	}
	o := &Origin{gate: t.gate, source: t.source, policy: t.policy, decision: acl.Decision{Action: acl.Allow, Rule: rule}}
	if e := o.admit(client); e != nil {
		return e
	}
	o.release()
	return nil
}
