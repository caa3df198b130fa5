package record

import (
	"net/http"
	"time"

	"go.uber.org/zap/zapcore"

	"sluice/internal/accesslog"
	"sluice/internal/track"
)

// Log writes records. It is safe for concurrent use, and nobody waits for it: what
// finds its queue full is lost and counted. Prepare changes where and how it writes,
// Reopen opens its file anew, Lost tells how many are missing.
type Log struct{ *accesslog.Entries }

// program is what daemons are told that records are from.
const program = "sluice-mirror"

// Open returns a log to where the options say, as JSON or for a terminal. Close it at
// the end.
func Open(o accesslog.Options) (Log, error) {
	o.Program = program
	entries, err := accesslog.OpenEntries(o)
	return Log{entries}, err
}

// Record has a record written. It keeps a copy and returns at once.
func (l Log) Record(r *Record) {
	c := r.bounded()
	level := zapcore.InfoLevel
	if c.Status >= http.StatusInternalServerError {
		level = zapcore.WarnLevel
	}
	l.Put(accesslog.Entry{Time: time.Now(), Level: level, Message: "request", Fields: c, Text: c.text()})
}

// Prepare opens what the options name; Commit or Abort of the change must follow, see
// accesslog.Log.
func (l Log) Prepare(o accesslog.Options) (*accesslog.Change, error) {
	o.Program = program
	return l.Entries.Prepare(o)
}

// Tunnel has the record of a tunnel, or of plain HTTP, on the transparent way written. It
// keeps a copy and returns at once.
func (l Log) Tunnel(r *track.Record) { l.Put(accesslog.OfTunnel(r)) }
