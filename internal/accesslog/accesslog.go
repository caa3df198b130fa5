// Package accesslog writes the one record that each tunnel or HTTP request
// leaves, as JSON, as text for a terminal, or in Squid's native format: to a
// stream, a file, the local syslog daemon or systemd's journal. When a record is
// written, and what stands in it, is decided elsewhere.
//
// Nothing waits for a log: records, and the lines of the process's own log, go
// into a bounded queue, and one goroutine writes them. When a disk is full or
// hangs, a daemon is away, or a pipe's reader has stopped, what finds the queue
// full is lost; the log tells how many, at the place where they are missing.
package accesslog

import (
	"cmp"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// Format is how records are written.
type Format string

const (
	JSON    Format = "json"
	Console Format = "console"
	Squid   Format = "squid"
)

// Log writes records. It is safe for concurrent use.
type Log struct {
	destination[record]
	opened func(*track.Record)
	extras atomic.Uint32 // kinds of records that are written beside the final ones, a bit for each

	refusals atomic.Pointer[refusals] // nil: each leaves a record
}

// Options say where and how records are written.
type Options struct {
	Format Format
	// Path is a file to append to, made with mode 0640 when it does not exist;
	// "stdout" or "" is Stdout, "syslog" the local daemon at Syslog, and "journald"
	// systemd's at Journal.
	Path    string
	Stdout  io.Writer
	Syslog  string // socket; "": /dev/log
	Journal string // socket; "": /run/systemd/journal/socket
	Program string // what daemons are told that records are from; "": sluice
	Debug   bool   // write a record when a tunnel opens, too
	// Refusals is how many records one client that is refused may leave, per second
	// and counted by the minute; 0: all.
	Refusals float64
	// Log is told when records cannot be written, or are lost, and when that is
	// over; nil: nobody is. It must not block.
	Log *zap.Logger
}

// Open returns a log. Close it at the end.
func Open(o Options) (*Log, error) {
	l := &Log{destination: destination[record]{newSink: newSink}}
	l.apply = l.applyOptions
	l.opened = func(r *track.Record) { l.put(r, opened) }
	if err := l.begin(o); err != nil {
		return nil, err
	}
	return l, nil
}

// newSink returns what writes records to an output.
func newSink(out *output, o Options) *sink[record] {
	lines := newLines(o.Format)
	s := &sink[record]{out, lines.appendRecord, lines.appendLost}
	switch o.Path {
	case "syslog":
		return toSyslog(s, o.program(), func(r *record) (severity, time.Time) { return severityOf(r), r.at })
	case "journald":
		e := newEncoder(JSON) // knows the fields
		return toJournal(s, o.program(), func(r *record, tell func(severity, string, []zapcore.Field)) {
			entry, fields := e.entry(r)
			tell(severityOf(r), entry.Message, fields)
			e.line.rec = nil
		})
	}
	return s
}

// program returns what daemons are told that records are from.
func (o *Options) program() string { return cmp.Or(o.Program, "sluice") }

// applyOptions puts those options in force that do not concern what records wait for.
func (l *Log) applyOptions(o Options) {
	var extras uint32
	if o.Format != Squid {
		extras |= 1 << progress
		if o.Debug {
			extras |= 1 << opened
		}
	}
	l.extras.Store(extras)
	if o.Refusals != l.options.Refusals {
		var next *refusals
		if o.Refusals > 0 {
			next = newRefusals(o.Refusals, l.leftOut)
		}
		if before := l.refusals.Swap(next); before != nil {
			before.close()
		}
	}
}

// Record has the record of what has ended written. It keeps a copy and returns at
// once.
func (l *Log) Record(r *track.Record) { l.put(r, ended) }

// Progress has a record of what goes on written, but not in Squid's format, which
// has no place for it. It keeps a copy and returns at once.
func (l *Log) Progress(r *track.Record) {
	if l.extras.Load()&(1<<progress) != 0 {
		l.put(r, progress)
	}
}

// Opened has a record of what begins written, at debug level; nil when the level
// is above it, so that nobody prepares one in vain. Ask again for each record, for
// the level can change.
func (l *Log) Opened() func(*track.Record) {
	if l.extras.Load()&(1<<opened) == 0 {
		return nil
	}
	return l.opened
}

func (l *Log) put(r *track.Record, k kind) {
	e := record{*r, time.Now(), k, 0}
	if f := l.refusals.Load(); f != nil && k == ended && isRefusal(&e) && !f.admit(r.Client.Addr(), e.at) {
		return
	}
	if !l.w.put(&e, e.text()) {
		l.lost()
	}
}

// leftOut tells how many refusals of a client have left no record. It says false
// when the queue is full.
func (l *Log) leftOut(client netip.Addr, n uint64) bool {
	e := record{at: time.Now(), kind: leftOut, left: n}
	e.Client = netip.AddrPortFrom(client, 0)
	return l.w.try(&e, 0)
}

// Close writes what waits and closes what the log has opened. After a second it
// gives up on a log that takes no more, and says so.
func (l *Log) Close() error {
	if f := l.refusals.Load(); f != nil {
		f.close()
	}
	return l.end()
}
