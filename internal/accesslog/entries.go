package accesslog

import (
	"errors"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// Entry is a record of what is no tunnel, for the log of another server.
type Entry struct {
	Time    time.Time // when it was made
	Level   zapcore.Level
	Message string // what it is about: a word or two
	// Fields are what the record says. They are asked later, by another goroutine, so
	// that they must not change any more. They are texts, integers of 64 bits and
	// durations; the journal takes no others.
	Fields zapcore.ObjectMarshaler
	Text   int // bytes of text that Fields holds in memory
}

// OfTunnel returns the entry of a tunnel or plain HTTP request, for a server that leaves
// other records beside them. It keeps a copy.
func OfTunnel(r *track.Record) Entry {
	c := record{Record: *r, at: time.Now(), kind: ended}
	e := Entry{Time: c.at, Message: "tunnel", Fields: &line{rec: &c.Record}, Text: c.text()}
	if r.Protocol == track.HTTP {
		e.Message = "request"
	}
	return e
}

// Entries writes entries, with the same care as a Log: where a Log writes, as JSON or
// for a terminal. It is safe for concurrent use.
type Entries struct{ destination[Entry] }

// ErrNotSquid is the error of options that want entries in Squid's format.
var ErrNotSquid = errors.New("Squid's format is for tunnels alone; records are written as json or console")

// OpenEntries returns a log of entries. Debug and Refusals have no meaning for it.
// Close it at the end.
func OpenEntries(o Options) (*Entries, error) {
	if o.Format == Squid {
		return nil, ErrNotSquid
	}
	e := &Entries{destination[Entry]{newSink: entrySink}}
	if err := e.begin(o); err != nil {
		return nil, err
	}
	return e, nil
}

func entrySink(out *output, o Options) *sink[Entry] {
	lines := newEncoder(o.Format)
	s := &sink[Entry]{out, lines.appendEntry, lines.appendLost}
	switch o.Path {
	case "syslog":
		return toSyslog(s, o.program(), func(e *Entry) (severity, time.Time) { return e.severity(), e.Time })
	case "journald":
		return toJournal(s, o.program(), func(e *Entry, tell func(severity, string, []zapcore.Field)) {
			tell(e.severity(), e.Message, []zapcore.Field{zap.Inline(e.Fields)})
		})
	}
	return s
}

// severity returns how grave an entry is.
func (e *Entry) severity() severity {
	switch {
	case e.Level >= zapcore.ErrorLevel:
		return errorSeverity
	case e.Level == zapcore.WarnLevel:
		return warningSeverity
	case e.Level <= zapcore.DebugLevel:
		return debugSeverity
	}
	return infoSeverity
}

// Prepare is that of a Log.
func (e *Entries) Prepare(o Options) (*Change, error) {
	if o.Format == Squid {
		return nil, ErrNotSquid
	}
	return e.destination.Prepare(o)
}

// Put has an entry written. It returns at once; what finds the queue full is lost.
func (e *Entries) Put(entry Entry) {
	if !e.w.put(&entry, entry.Text+len(entry.Message)) {
		e.lost()
	}
}

// Close writes what waits and closes what the log has opened. After a second it
// gives up on a log that takes no more, and says so.
func (e *Entries) Close() error { return e.end() }

func (e *encoder) appendEntry(b []byte, entry *Entry) []byte {
	return e.append(b, zapcore.Entry{Level: entry.Level, Time: entry.Time, Message: entry.Message},
		[]zapcore.Field{zap.Inline(entry.Fields)})
}

// AppendObject appends fields as an object of JSON, as an Entry's line has them but
// without its level and message, and without a line's end.
func (e *ObjectEncoder) AppendObject(b []byte, fields zapcore.ObjectMarshaler, at time.Time) []byte {
	return e.append(b, zapcore.Entry{Time: at}, []zapcore.Field{zap.Inline(fields)})
}
