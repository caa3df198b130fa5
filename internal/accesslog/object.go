package accesslog

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// ObjectEncoder writes records as JSON objects with the fields of the JSON log, for
// interfaces that show what is live. It is for one goroutine.
type ObjectEncoder struct{ encoder }

// NewObjectEncoder returns one.
func NewObjectEncoder() *ObjectEncoder {
	e := &ObjectEncoder{}
	e.zap = zapcore.NewJSONEncoder(zapcore.EncoderConfig{
		TimeKey: "time", EncodeTime: encodeTime,
		EncodeDuration: zapcore.SecondsDurationEncoder,
		SkipLineEnding: true,
	})
	e.fields[0] = zap.Inline(&e.line)
	return e
}

// Append appends a record as one object without a line's end. It begins with "time"
// unless at is zero.
func (e *ObjectEncoder) Append(b []byte, r *track.Record, at time.Time) []byte {
	e.line.rec = r
	b = e.append(b, zapcore.Entry{Time: at}, e.fields[:])
	e.line.rec = nil
	return b
}

// AppendEscaped appends JSON text in which all that is not printable and above ASCII
// is escaped, as in the log: what a client has sent may be shown by a terminal.
func AppendEscaped(b, text []byte) []byte { return appendEscaped(b, text) }

// AppendTime appends a time as records have it: UTC, RFC 3339, with milliseconds.
func AppendTime(b []byte, t time.Time) []byte { return appendTime(b, t) }
