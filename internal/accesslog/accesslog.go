// Package accesslog writes the one record that each tunnel or HTTP request
// leaves, as JSON, as text for a terminal, or in Squid's native format. When a
// record is written, and what stands in it, is decided elsewhere.
//
// Nothing waits for a log: records, and the lines of the process's own log, go
// into a bounded queue, and one goroutine writes them. When a disk is full or
// hangs, or a pipe's reader has stopped, what finds the queue full is lost; the
// log tells how many, at the place where they are missing.
package accesslog

import (
	"io"
	"sync"
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
	w     writer[record]
	log   *zap.Logger
	opens bool // records of what begins are written, too

	mu     sync.Mutex
	toldOf bool      // that a write has failed, and none has succeeded since
	told   time.Time // when something was said last
	toldN  uint64    // losses that were told
}

// Options say where and how records are written.
type Options struct {
	Format Format
	// Path is a file to append to, made with mode 0640 when it does not exist;
	// "stdout" or "" is Stdout.
	Path   string
	Stdout io.Writer
	Debug  bool // write a record when a tunnel opens, too
	// Log is told when records cannot be written, or are lost, and when that is
	// over; nil: nobody is. It must not block.
	Log *zap.Logger
}

// Open returns a log. Close it at the end.
func Open(o Options) (*Log, error) {
	if o.Path == "stdout" {
		o.Path = ""
	}
	out, err := newOutput(o.Path, o.Stdout)
	if err != nil {
		return nil, err
	}
	l := &Log{log: o.Log, opens: o.Debug && o.Format != Squid}
	if l.log == nil {
		l.log = zap.NewNop()
	}
	l.w.out, l.w.fault, l.w.failed, l.w.wrote = out, l.panicked, l.cannotWrite, l.writesAgain
	if o.Format == Squid {
		l.w.encode = func(b []byte, r *record) []byte { return appendSquid(b, &r.Record, r.at) }
		l.w.mark = func(b []byte, lost uint64) []byte { return appendSquidLost(b, lost, time.Now()) }
	} else {
		e := newEncoder(o.Format)
		l.w.encode, l.w.mark = e.appendRecord, e.appendLost
	}
	l.w.start()
	return l, nil
}

// Encoder returns zap's encoder for a format; Squid's native format has no place
// for messages, so beside it they are written as for the console.
func Encoder(f Format) zapcore.Encoder {
	c := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "msg", StacktraceKey: "stack",
		LineEnding:     zapcore.DefaultLineEnding,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.SecondsDurationEncoder,
		EncodeTime:     encodeTime,
	}
	if f == JSON {
		return zapcore.NewJSONEncoder(c)
	}
	return zapcore.NewConsoleEncoder(c)
}

func encodeTime(t time.Time, e zapcore.PrimitiveArrayEncoder) {
	var room [32]byte
	e.AppendByteString(appendTime(room[:0], t))
}

// Record has the record of what has ended written. It keeps a copy and returns at
// once.
func (l *Log) Record(r *track.Record) { l.put(r, false) }

// Opened has a record of what begins written, at debug level; nil when the level
// is above it, so that nobody prepares one in vain.
func (l *Log) Opened() func(*track.Record) {
	if !l.opens {
		return nil
	}
	return func(r *track.Record) { l.put(r, true) }
}

func (l *Log) put(r *track.Record, open bool) {
	e := record{*r, time.Now(), open}
	if !l.w.put(&e, e.text()) {
		l.lost()
	}
}

// Lost returns how many records were lost since the start.
func (l *Log) Lost() uint64 {
	n, _ := l.w.losses()
	return n
}

// Reopen opens the file anew, for a log that was rotated away, after what came
// before was written to the old one. When that takes no more, the new one gets it,
// after a second at the latest.
func (l *Log) Reopen() error {
	if l.w.out.path == "" {
		l.w.sync(flushTime)
		return nil
	}
	f, err := l.w.out.open()
	if err != nil {
		return err
	}
	l.w.sync(flushTime)
	l.w.out.use(f)
	l.w.nudge()
	return nil
}

// Close writes what waits and closes the file. After a second it gives up on a log
// that takes no more, and says so.
func (l *Log) Close() error {
	if left := l.w.stop(flushTime); left > 0 {
		l.log.Error("the access log does not take its last records", zap.Int("lost", left))
	}
	return l.w.out.close()
}
