package accesslog

import (
	"time"

	"go.uber.org/zap"
)

// tellEvery is the least time between two messages about one log, so that one
// that comes and goes does not fill another.
const tellEvery = 10 * time.Second

// mayTell tells whether something may be said now.
func (l *Log) mayTell(now time.Time) bool {
	if !l.told.IsZero() && now.Sub(l.told) < tellEvery {
		return false
	}
	l.told = now
	return true
}

// cannotWrite says once that writing fails, however often it is tried again.
func (l *Log) cannotWrite(err error, waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.toldOf || !l.mayTell(time.Now()) {
		return
	}
	l.toldOf = true
	l.log.Error("the access log cannot be written; records wait", zap.Int("waiting", waiting), zap.Error(err))
}

// writesAgain says that it is over, if it was said that it had begun.
func (l *Log) writesAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.toldOf {
		return
	}
	l.toldOf, l.told = false, time.Now()
	l.log.Info("the access log is written again", zap.Uint64("lost", l.untold()))
}

// lost says that records are lost, while that goes on at a bounded rate.
func (l *Log) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mayTell(time.Now()) {
		l.log.Error("the access log does not keep up; records are lost", zap.Uint64("lost", l.untold()))
	}
}

// tooLong says that the system sends no datagram as long as a record.
func (l *Log) tooLong() {
	l.w.miss()
	l.lost()
}

// untold returns how many were lost that nobody was told of.
func (l *Log) untold() uint64 {
	total := l.Lost()
	n := total - l.toldN
	l.toldN = total
	return n
}

// panicked says that a record could not be encoded.
func (l *Log) panicked(value any, stack []byte) {
	l.log.Error("panic while writing a record", zap.Any("panic", value), zap.ByteString("stack", stack))
}
