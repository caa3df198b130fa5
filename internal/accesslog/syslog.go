package accesslog

import (
	"os"
	"strconv"
	"time"
)

// toSyslog returns a sink that writes lines as messages to the local syslog daemon, in
// the form that syslog(3) of the C library gives them: priority, time in the local zone,
// program and process. RFC 5424 is for daemons among themselves: rsyslog and journald
// take the older form at their local sockets, and some of them no other.
func toSyslog[T any](s *sink[T], program string, of func(*T) (severity, time.Time)) *sink[T] {
	h := syslogHeader{program, os.Getpid()}
	return &sink[T]{
		out: s.out,
		encode: func(b []byte, entry *T) []byte {
			grave, at := of(entry)
			return s.encode(h.append(b, grave, at), entry)
		},
		mark: func(b []byte, lost uint64) []byte {
			return s.mark(h.append(b, warningSeverity, time.Now()), lost)
		},
	}
}

// syslogHeader is what stands before each message.
type syslogHeader struct {
	program string
	pid     int
}

func (h syslogHeader) append(b []byte, grave severity, at time.Time) []byte {
	b = strconv.AppendInt(append(b, '<'), daemonFacility<<3|int64(grave), 10)
	b = at.Local().AppendFormat(append(b, '>'), time.Stamp)
	b = append(append(append(b, ' '), h.program...), '[')
	return append(strconv.AppendInt(b, int64(h.pid), 10), "]: "...)
}
