package gate

import (
	"sluice/acl"
	"sluice/internal/egress"
)

// AdmitHere takes the client's place for a tunnel that ends in this process. It is for
// who has decided about it in the rules' stead: by rule, and with e, nil or why not. The
// tunnel has the limits of what passes under no rule, and Swap leaves it alone. The
// Origin, which has no connection, must be closed. Nothing is dialled.
func (t *Transaction) AdmitHere(rule string, e *egress.Error) (*Origin, *egress.Error) {
	if t.gate.refusesNew(t.source) {
		return nil, errDraining()
	}
	t.mu.Lock()
	t.rec.Rule, t.rec.Decision = rule, acl.Allow.String()
	if e != nil {
		t.rec.Decision = acl.Deny.String()
	}
	t.mu.Unlock()
	if e != nil {
		return nil, e
	}
	t.gate.admitting.RLock()
	defer t.gate.admitting.RUnlock()
	o := &Origin{
		gate: t.gate, source: t.source, host: t.req.Host, port: t.req.Port,
		policy: t.gate.Policy(), decision: acl.Decision{Action: acl.Allow, Rule: -1},
	}
	if e := o.admit(t.req.Client); e != nil {
		return nil, e
	}
	t.policy, o.policy = nil, nil // as of a tunnel that is relayed
	t.opened()
	return o, nil
}
