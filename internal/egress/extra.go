package egress

import "sync/atomic"

// Extra bounds the sockets that dials have beyond one each: for the look-up of the
// other family, for further name servers, for attempts beside another. A name of
// which nothing answers, whoever made it so, would else take a score of descriptors
// for as long as a dial may take. Where there is no place left a dial does one thing
// after the other. It is safe for concurrent use; the nil Extra has no bound.
type Extra struct{ left atomic.Int64 }

// NewExtra returns an Extra with places for n sockets.
func NewExtra(n int) *Extra {
	e := &Extra{}
	e.left.Store(int64(n))
	return e
}

// take takes a place, if there is one.
func (e *Extra) take() bool {
	if e == nil {
		return true
	}
	if e.left.Add(-1) >= 0 {
		return true
	}
	e.left.Add(1)
	return false
}

func (e *Extra) giveBack() {
	if e != nil {
		e.left.Add(1)
	}
}
