package gate

import (
	"fmt"
	"runtime/debug"

	"sluice/internal/egress"
	"sluice/internal/relay"
)

// Panicked makes a panic the end of the one transaction that it came in. Call it
// with what was recovered, from the deferred function that did that: the stack is
// told to the Gate's Panicked, what moves bytes is cut, the client's place is given
// back, and the record's outcome is "internal", unless it was written before. The
// client's connection is left to the caller.
func (t *Transaction) Panicked(value any) { t.crash(value, debug.Stack(), 0) }

func (t *Transaction) crash(value any, stack []byte, status int) {
	if t.gate.Panicked != nil {
		t.gate.Panicked(t.rec.ID, value, stack)
	}
	t.Kill(relay.ByError, "")
	if t.origin != nil {
		t.origin.Close()
	}
	t.finish(Finish{Status: status, Outcome: egress.Internal}, fmt.Sprint("panic: ", value))
}
