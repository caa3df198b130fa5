package accesslog

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// record is a Record as it waits to be written.
type record struct {
	track.Record
	at   time.Time // when it was made
	kind kind
	left uint64 // leftOut: how many
}

// kind says what a record is about.
type kind uint8

const (
	ended    kind = iota // a tunnel or request, at its end
	opened               // one that begins
	progress             // one that goes on
	leftOut              // the refusals of a client that left no record
)

// lines are a way to write records. They are used by one goroutine.
type lines interface {
	// appendRecord appends a record as one line.
	appendRecord(b []byte, r *record) []byte
	// appendLost appends a line that says how many are missing here.
	appendLost(b []byte, lost uint64) []byte
}

func newLines(f Format) lines {
	if f == Squid {
		return squid{}
	}
	return newEncoder(f)
}

// Encoder returns zap's encoder for a format; Squid's native format has no place
// for messages, so beside it they are written as for the console.
func Encoder(f Format) zapcore.Encoder {
	c := zapcore.EncoderConfig{
		TimeKey: "time", LevelKey: "level", MessageKey: "msg", StacktraceKey: "stack",
		LineEnding:     lineEnd,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.SecondsDurationEncoder,
		EncodeTime:     encodeTime,
	}
	if f == JSON {
		return zapcore.NewJSONEncoder(c)
	}
	return zapcore.NewConsoleEncoder(c)
}

// text returns how many bytes of text the record keeps in memory for itself.
func (r *record) text() int {
	return len(r.User) + len(r.Host) + len(r.Method) + len(r.Path) + len(r.Reason)
}

func encodeTime(t time.Time, e zapcore.PrimitiveArrayEncoder) {
	var room [32]byte
	e.AppendByteString(appendTime(room[:0], t))
}

// encoder writes records by way of zap.
type encoder struct {
	zap    zapcore.Encoder
	line   line
	fields [1]zapcore.Field
}

func newEncoder(f Format) *encoder {
	e := &encoder{zap: Encoder(f)}
	e.fields[0] = zap.Inline(&e.line)
	return e
}

func (e *encoder) appendRecord(b []byte, r *record) []byte {
	entry, fields := e.entry(r)
	b = e.append(b, entry, fields)
	e.line.rec = nil
	return b
}

// What is told about records that are not there.
const (
	recordsLost     = "records lost"
	refusalsLeftOut = "refusals left out"
)

// entry returns a record as zap takes it. Set e.line.rec to nil behind it.
func (e *encoder) entry(r *record) (zapcore.Entry, []zapcore.Field) {
	e.line.rec = &r.Record
	entry := zapcore.Entry{Level: zapcore.InfoLevel, Time: r.at, Message: "tunnel"}
	switch {
	case r.kind == opened:
		entry.Level, entry.Message = zapcore.DebugLevel, "open"
	case r.kind == progress:
		entry.Message = "progress"
	case r.kind == leftOut:
		entry.Level, entry.Message = zapcore.WarnLevel, refusalsLeftOut
		return entry, r.leftOutFields()
	case r.Protocol == track.HTTP:
		entry.Message = "request"
	}
	return entry, e.fields[:]
}

// leftOutFields are the fields of a record about refusals that left none: the
// client, unless it is not told apart from others, and how many.
func (r *record) leftOutFields() []zapcore.Field {
	n := zap.Uint64("left_out", r.left)
	client := r.Client.Addr()
	switch {
	case !client.IsValid():
		return []zapcore.Field{n}
	case client.Is6():
		return []zapcore.Field{zap.String("client", netip.PrefixFrom(client, 64).String()), n}
	}
	return []zapcore.Field{zap.String("client", client.String()), n}
}

func (e *encoder) appendLost(b []byte, lost uint64) []byte {
	return e.append(b, zapcore.Entry{Level: zapcore.WarnLevel, Time: time.Now(), Message: recordsLost},
		[]zapcore.Field{zap.Uint64("lost", lost)})
}

func (e *encoder) append(b []byte, entry zapcore.Entry, fields []zapcore.Field) []byte {
	buf, err := e.zap.EncodeEntry(entry, fields)
	if err != nil { // zap's encoders return none
		return b
	}
	b = appendEscaped(b, buf.Bytes())
	buf.Free()
	return b
}

// appendEscaped appends a line in which all that is not printable and above ASCII,
// or DEL, becomes \u and four hex digits. zap does that for the control characters
// of ASCII alone, and a terminal takes U+009B for an escape sequence, some readers
// U+2028 for the end of a line, and U+202E turns what is shown around. Such
// characters stand nowhere but in JSON strings.
func appendEscaped(b, line []byte) []byte {
	from := 0
	for i := 0; i < len(line); {
		if len(line)-i >= 8 && isPlain(binary.LittleEndian.Uint64(line[i:])) {
			i += 8
			continue
		}
		if c := line[i]; c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(line[i:])
		if unicode.IsPrint(r) && r != utf8.RuneError {
			i += size
			continue
		}
		b = append(b, line[from:i]...)
		if r >= 0x10000 {
			hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			b = appendHex(b, hi)
			r = lo
		}
		b = appendHex(b, r)
		i += size
		from = i
	}
	return append(b, line[from:]...)
}

// isPlain tells whether all of eight bytes are below 0x7f.
func isPlain(x uint64) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	return (x|(x+ones))&high == 0
}

func appendHex(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
