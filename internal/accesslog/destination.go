package accesslog

import (
	"cmp"
	"sync"
	"time"

	"go.uber.org/zap"
)

// destination is where the entries of a log go: a stream, a file or a daemon. It can
// be changed, be opened anew, and fail for a while.
type destination[T any] struct {
	w       writer[T]
	log     *zap.Logger
	stdout  *output
	sockets sockets
	newSink func(*output, Options) *sink[T]
	apply   func(Options) // is told of options that come in force; nil: nobody

	changing sync.Mutex // held while the log gets another sink
	options  Options    // in force

	mu     sync.Mutex
	toldOf bool      // that a write has failed, and none has succeeded since
	told   time.Time // when something was said last
	toldN  uint64    // losses that were told
}

// sockets are those of the daemons.
type sockets struct{ Syslog, Journal string }

// begin opens what the options name, and begins to write.
func (d *destination[T]) begin(o Options) error {
	d.log, d.stdout, d.sockets = o.Log, newStream(o.Stdout), sockets{o.Syslog, o.Journal}
	if d.log == nil {
		d.log = zap.NewNop()
	}
	out, err := d.open(o.Path)
	if err != nil {
		return err
	}
	d.w.fault, d.w.failed, d.w.wrote = d.panicked, d.cannotWrite, d.writesAgain
	d.w.start(d.newSink(out, o))
	d.inForce(o)
	return nil
}

// open opens what a path names.
func (d *destination[T]) open(path string) (*output, error) {
	switch path {
	case "", "stdout":
		return d.stdout, nil
	case "syslog":
		return openDaemon("syslog daemon", cmp.Or(d.sockets.Syslog, syslogSocket), lineEnd, d.tooLong)
	case "journald":
		return openDaemon("journald", cmp.Or(d.sockets.Journal, journalSocket), journalEnd, d.tooLong)
	}
	return openFile(path)
}

// use writes to an output from now on, after what came before was written to the
// old one, which is closed.
func (d *destination[T]) use(out *output, o Options) {
	d.w.sync(flushTime)
	before := d.w.use(d.newSink(out, o))
	if before.out != out {
		if err := before.out.close(); err != nil {
			d.log.Error("close the access log of before", zap.Error(err))
		}
	}
	d.inForce(o)
}

func (d *destination[T]) inForce(o Options) {
	if d.apply != nil {
		d.apply(o)
	}
	d.options = o
}

// Lost returns how many records were lost since the start.
func (d *destination[T]) Lost() uint64 {
	n, _ := d.w.losses()
	return n
}

// end writes what waits and closes what was opened. After a second it gives up on a
// log that takes no more, and says so.
func (d *destination[T]) end() error {
	if left := d.w.stop(flushTime); left > 0 {
		d.log.Error("the access log does not take its last records", zap.Int("lost", left))
	}
	return d.w.sink.Load().out.close()
}
