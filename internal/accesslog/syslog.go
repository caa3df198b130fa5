package accesslog

import (
	"strconv"
	"time"
)

// syslog writes lines as messages to the local syslog daemon, in the form that
// syslog(3) of the C library gives them: priority, time in the local zone, program
// and process. RFC 5424 is for daemons among themselves: rsyslog and journald take
// the older form at their local sockets, and some of them no other.
type syslog struct {
	lines
	pid int
}

func (s *syslog) appendRecord(b []byte, r *record) []byte {
	return s.lines.appendRecord(s.header(b, severityOf(r), r.at), r)
}

func (s *syslog) appendLost(b []byte, lost uint64) []byte {
	return s.lines.appendLost(s.header(b, warningSeverity, time.Now()), lost)
}

func (s *syslog) header(b []byte, grave severity, at time.Time) []byte {
	b = strconv.AppendInt(append(b, '<'), daemonFacility<<3|int64(grave), 10)
	b = at.Local().AppendFormat(append(b, '>'), time.Stamp)
	b = strconv.AppendInt(append(b, " sluice["...), int64(s.pid), 10)
	return append(b, "]: "...)
}
