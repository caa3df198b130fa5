package accesslog

import (
	"time"

	"go.uber.org/zap"
)

// tellEvery is the least time between two messages about one log, so that one
// that comes and goes does not fill another.
const tellEvery = 10 * time.Second

// mayTell tells whether something may be said now.
func (d *destination[T]) mayTell(now time.Time) bool {
	if !d.told.IsZero() && now.Sub(d.told) < tellEvery {
		return false
	}
	d.told = now
	return true
}

// cannotWrite says once that writing fails, however often it is tried again.
func (d *destination[T]) cannotWrite(err error, waiting int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.toldOf || !d.mayTell(time.Now()) {
		return
	}
	d.toldOf = true
	d.log.Error("the access log cannot be written; records wait", zap.Int("waiting", waiting), zap.Error(err))
}

// writesAgain says that it is over, if it was said that it had begun.
func (d *destination[T]) writesAgain() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.toldOf {
		return
	}
	d.toldOf, d.told = false, time.Now()
	d.log.Info("the access log is written again", zap.Uint64("lost", d.untold()))
}

// lost says that records are lost, while that goes on at a bounded rate.
func (d *destination[T]) lost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mayTell(time.Now()) {
		d.log.Error("the access log does not keep up; records are lost", zap.Uint64("lost", d.untold()))
	}
}

// tooLong says that the system sends no datagram as long as a record.
func (d *destination[T]) tooLong() {
	d.w.miss()
	d.lost()
}

// untold returns how many were lost that nobody was told of.
func (d *destination[T]) untold() uint64 {
	total := d.Lost()
	n := total - d.toldN
	d.toldN = total
	return n
}

// panicked says that a record could not be encoded.
func (d *destination[T]) panicked(value any, stack []byte) {
	d.log.Error("panic while writing a record", zap.Any("panic", value), zap.ByteString("stack", stack))
}
