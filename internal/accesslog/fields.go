package accesslog

import (
	"time"

	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// Field is a field of a record.
type Field struct {
	Name, Meaning string
}

// line is a record as zap takes it.
type line struct {
	rec     *track.Record
	enc     zapcore.ObjectEncoder
	scratch []byte
}

// MarshalLogObject adds the fields of the record.
func (l *line) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	l.enc = enc
	for i := range recordFields {
		recordFields[i].add(l, l.rec)
	}
	l.enc = nil
	return nil
}

// recordFields are the fields in the order in which they are written, each with
// its meaning for the reference and how it is taken from a record.
var recordFields = []struct {
	Field
	add func(*line, *track.Record)
}{
	{Field{"id", "the transaction's identifier, 16 hex digits; also told to the client in an error's body"},
		func(l *line, r *track.Record) { l.bytes("id", r.ID.Append(l.scratch[:0])) }},
	{Field{"start", "when the request was read; if it could not be, when its first byte or its connection came"},
		func(l *line, r *track.Record) { l.bytes("start", appendTime(l.scratch[:0], r.Start)) }},
	{Field{"listener", "the listener's configured address"},
		func(l *line, r *track.Record) { l.text("listener", r.Listener) }},
	{Field{"protocol", "connect, http or socks5"},
		func(l *line, r *track.Record) { l.text("protocol", r.Protocol.String()) }},
	{Field{"client", "source address"},
		func(l *line, r *track.Record) { l.bytes("client", r.Client.Addr().AppendTo(l.scratch[:0])) }},
	{Field{"client_port", "source port"},
		func(l *line, r *track.Record) { l.number("client_port", int64(r.Client.Port())) }},
	{Field{"user", "authenticated user"},
		func(l *line, r *track.Record) { l.text("user", r.User) }},
	{Field{"method", "method of an HTTP request, cut as the path is"},
		func(l *line, r *track.Record) { l.text("method", r.Method) }},
	{Field{"host", "destination as asked for: a name in ASCII or an address"},
		func(l *line, r *track.Record) { l.text("host", r.Host) }},
	{Field{"port", "destination port"},
		func(l *line, r *track.Record) { l.number("port", int64(r.Port)) }},
	{Field{"path", "path of an HTTP request, without its query; cut after 1024 bytes, with ... behind them"},
		func(l *line, r *track.Record) { l.text("path", r.Path) }},
	{Field{"address", "address and port that was dialled"},
		func(l *line, r *track.Record) {
			if r.Address.IsValid() {
				l.bytes("address", r.Address.AppendTo(l.scratch[:0]))
			}
		}},
	{Field{"rule", "the rule that decided, or, where none matched, the one in observe mode that let it pass; left out when there was none"},
		func(l *line, r *track.Record) { l.text("rule", r.Rule) }},
	{Field{"decision", "allow, deny, or observe for what passed because of observe mode; left out when the rules were not asked"},
		func(l *line, r *track.Record) { l.text("decision", r.Decision) }},
	{Field{"outcome", "ok, or what went wrong (see the table below)"},
		func(l *line, r *track.Record) { l.text("outcome", r.Outcome) }},
	{Field{"status", "HTTP status sent to the client; left out for SOCKS5 and where none was sent"},
		func(l *line, r *track.Record) { l.number("status", int64(r.Status)) }},
	{Field{"reason", "the sentence that the client was told, and the cause; of what was observed first, behind \"would be refused: \", what it would have been told"},
		func(l *line, r *track.Record) { l.text("reason", r.Reason) }},
	{Field{"tries", "addresses dialled"},
		func(l *line, r *track.Record) { l.number("tries", int64(r.Tries)) }},
	{Field{"dns_seconds", "time of the resolution"},
		func(l *line, r *track.Record) { l.seconds("dns_seconds", r.DNS) }},
	{Field{"dial_seconds", "time from the first connect to an established connection"},
		func(l *line, r *track.Record) { l.seconds("dial_seconds", r.Dial) }},
	{Field{"total_seconds", "time from the request to the end"},
		func(l *line, r *track.Record) { l.enc.AddDuration("total_seconds", r.Total.Round(time.Microsecond)) }},
	{Field{"bytes_up", "bytes relayed from client to origin"},
		func(l *line, r *track.Record) { l.enc.AddInt64("bytes_up", r.Up) }},
	{Field{"bytes_down", "bytes relayed from origin to client"},
		func(l *line, r *track.Record) { l.enc.AddInt64("bytes_down", r.Down) }},
	{Field{"closed_by", "who ended it first: client, origin or sluice"},
		func(l *line, r *track.Record) { l.text("closed_by", r.ClosedBy.String()) }},
	{Field{"closed_how", "fin, reset, idle, drain, killed, recheck or error"},
		func(l *line, r *track.Record) { l.text("closed_how", r.How) }},
}

// Fields lists the fields of a record in the order in which they are written.
// Empty ones are left out of a record, but for total_seconds and the counters.
func Fields() []Field {
	list := make([]Field, len(recordFields))
	for i, f := range recordFields {
		list[i] = f.Field
	}
	return list
}

func (l *line) text(name, s string) {
	if s != "" {
		l.enc.AddString(name, s)
	}
}

// bytes adds text that was appended to the scratch buffer.
func (l *line) bytes(name string, b []byte) {
	l.scratch = b
	l.enc.AddByteString(name, b)
}

func (l *line) number(name string, n int64) {
	if n != 0 {
		l.enc.AddInt64(name, n)
	}
}

func (l *line) seconds(name string, d time.Duration) {
	if d != 0 {
		l.enc.AddDuration(name, d.Round(time.Microsecond))
	}
}

// appendTime appends a time in UTC as RFC 3339 has it, with milliseconds.
// time.Time's own formatting takes three times as long.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(padded(b, int64(year), 4, '0'), '-')
	b = append(twoDigits(b, int(month)), '-')
	b = append(twoDigits(b, day), 'T')
	b = append(twoDigits(b, hour), ':')
	b = append(twoDigits(b, minute), ':')
	b = append(twoDigits(b, second), '.')
	return append(padded(b, int64(t.Nanosecond()/1e6), 3, '0'), 'Z')
}

func twoDigits(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }
