package gate

import (
	"time"

	"sluice/internal/egress"
)

// Decide asks the rules about a request that this proxy answers by itself. It
// dials nothing and takes no place.
func (t *Transaction) Decide() *egress.Error {
	t.policy = t.gate.Policy()
	return t.decide()
}

// Began sets the time that the record counts from: of a request that could not be
// read, when its connection was accepted or its first byte came.
func (t *Transaction) Began(at time.Time) {
	t.mu.Lock()
	t.rec.Start = at
	t.mu.Unlock()
}
