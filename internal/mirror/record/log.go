package record

import (
	"time"

	"sluice/internal/accesslog"
	"sluice/internal/track"
)

// Log writes records. It is safe for concurrent use, and nobody waits for it: what
// finds its queue full is lost and counted. Prepare changes where and how it writes,
// Reopen opens its file anew, Lost tells how many are missing.
type Log struct{ *accesslog.Entries }

// Open returns a log to standard output or a file, as JSON or for a terminal. Close it
// at the end.
func Open(o accesslog.Options) (Log, error) {
	entries, err := accesslog.OpenEntries(o)
	return Log{entries}, err
}

// Record has a record written. It keeps a copy and returns at once.
func (l Log) Record(r *Record) {
	c := r.bounded()
	l.Put(accesslog.Entry{Time: time.Now(), Message: "request", Fields: c, Text: c.text()})
}

// Tunnel has the record of a tunnel, or of plain HTTP, on the transparent way written. It
// keeps a copy and returns at once.
func (l Log) Tunnel(r *track.Record) { l.Put(accesslog.OfTunnel(r)) }
