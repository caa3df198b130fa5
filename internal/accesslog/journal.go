package accesslog

import (
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// journalEnd ends an entry for the journal: its fields are lines, and an empty line
// follows them, as in the Journal Export Format.
const journalEnd = "\n\n"

// toJournal returns a sink that writes records as entries for systemd's journal: the
// line that other outputs get is the message, and each field of the record is one of
// the entry's own. It is the native protocol, https://systemd.io/JOURNAL_NATIVE_PROTOCOL,
// of which only values without a line's end are needed, for these have none. Describe
// calls its function with what a record has, once.
//
// github.com/coreos/go-systemd/v22/journal does not serve here: it has one socket
// for the process, which is not connected, and waits without end for a daemon that
// takes nothing.
func toJournal[T any](s *sink[T], program string, describe func(*T, func(severity, string, []zapcore.Field))) *sink[T] {
	j := &journal{program: program}
	return &sink[T]{
		out: s.out,
		encode: func(b []byte, entry *T) []byte {
			b = s.encode(append(b, "MESSAGE="...), entry)
			describe(entry, func(grave severity, message string, fields []zapcore.Field) {
				b = j.append(b, grave, message, fields)
			})
			return b
		},
		mark: func(b []byte, lost uint64) []byte {
			b = s.mark(append(b, "MESSAGE="...), lost)
			return j.append(b, warningSeverity, recordsLost, []zapcore.Field{zap.Uint64("lost", lost)})
		},
	}
}

// journal appends what an entry has beside its message.
type journal struct {
	program string
	fields  journalFields
}

func (j *journal) append(b []byte, grave severity, message string, fields []zapcore.Field) []byte {
	b = strconv.AppendInt(append(b, "PRIORITY="...), int64(grave), 10)
	b = strconv.AppendInt(append(b, "\nSYSLOG_FACILITY="...), daemonFacility, 10)
	b = append(append(append(b, "\nSYSLOG_IDENTIFIER="...), j.program...), '\n')
	j.fields.b = b
	j.fields.AddString("msg", message)
	for _, f := range fields {
		f.AddTo(&j.fields)
	}
	b = append(j.fields.b, '\n')
	j.fields.b = nil
	return b
}

// journalFields appends fields as lines. It has the methods that the fields of
// records use, and no others.
type journalFields struct {
	zapcore.ObjectEncoder // nil
	b                     []byte
	value                 []byte
}

// name appends a field's name, as the journal has them: a prefix, and capitals.
func (j *journalFields) name(name string) {
	j.b = append(j.b, "SLUICE_"...)
	for i := range len(name) {
		c := name[i]
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		j.b = append(j.b, c)
	}
	j.b = append(j.b, '=')
}

// AddByteString adds text. What does not print is written as in JSON, and so is a
// backslash, that the two can be told apart.
func (j *journalFields) AddByteString(name string, text []byte) {
	j.name(name)
	j.value = j.value[:0]
	for _, c := range text {
		switch {
		case c == '\\':
			j.value = append(j.value, '\\', '\\')
		case c < ' ':
			j.value = appendHex(j.value, rune(c))
		default:
			j.value = append(j.value, c)
		}
	}
	j.b = append(appendEscaped(j.b, j.value), '\n')
}

func (j *journalFields) AddString(name, text string) { j.AddByteString(name, []byte(text)) }

func (j *journalFields) AddInt64(name string, n int64) {
	j.name(name)
	j.b = append(strconv.AppendInt(j.b, n, 10), '\n')
}

func (j *journalFields) AddUint64(name string, n uint64) {
	j.name(name)
	j.b = append(strconv.AppendUint(j.b, n, 10), '\n')
}

// AddDuration adds seconds, as records have them.
func (j *journalFields) AddDuration(name string, d time.Duration) {
	j.name(name)
	j.b = append(strconv.AppendFloat(j.b, d.Seconds(), 'f', -1, 64), '\n')
}
