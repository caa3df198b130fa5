// Package crash carries a panic from the goroutine it came in to the one that
// answers for the transaction. Where goroutines work for a transaction, a panic in
// one of them would end the process; carried over, it ends that transaction.
package crash

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// Panic is a panic that was recovered. It is the value of the panic that it is
// raised as again, and an error where one is called for.
type Panic struct {
	Value any
	Stack []byte // of the goroutine that it came in
}

// Recovered makes a Panic of what recover returned; nil of nil. Call it from the
// deferred function that did that. A Panic stays what it is.
func Recovered(value any) *Panic {
	switch v := value.(type) {
	case nil:
		return nil
	case *Panic:
		return v
	}
	return &Panic{value, debug.Stack()}
}

func (p *Panic) Error() string { return fmt.Sprint("panic: ", p.Value) }

// Format writes the stack as well for %+v, which is what zap logs of an error
// that can.
func (p *Panic) Format(s fmt.State, verb rune) {
	fmt.Fprint(s, p.Error())
	if verb == 'v' && s.Flag('+') {
		fmt.Fprintf(s, "\n%s", p.Stack)
	}
}

// Box holds the first panic of goroutines that work for one. The zero Box is empty.
type Box struct{ first atomic.Pointer[Panic] }

// Catch keeps a panic of the goroutine that defers it.
func (b *Box) Catch() {
	if p := Recovered(recover()); p != nil {
		b.first.CompareAndSwap(nil, p)
	}
}

// Raise panics with what was caught, if there is something. It is for the
// goroutine that the others work for, once they have ended or failed.
func (b *Box) Raise() {
	if p := b.first.Load(); p != nil {
		panic(p)
	}
}
