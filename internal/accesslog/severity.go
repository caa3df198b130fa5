package accesslog

import "sluice/internal/egress"

// severity is how grave a message is (RFC 5424, section 6.2.1).
type severity int

const (
	errorSeverity   severity = 3
	warningSeverity severity = 4
	noticeSeverity  severity = 5
	infoSeverity    severity = 6
	debugSeverity   severity = 7
)

// daemonFacility is that of system daemons (RFC 5424, section 6.2.1).
const daemonFacility = 3

// severityOf returns how grave a record is: notice for what was refused or failed,
// warning where this proxy was full, and error where it has a fault.
func severityOf(r *record) severity {
	switch r.kind {
	case opened:
		return debugSeverity
	case progress:
		return infoSeverity
	case leftOut:
		return warningSeverity
	}
	switch r.Outcome {
	case egress.None.String(), egress.ClientGone.String():
		return infoSeverity
	case egress.ServerFull.String():
		return warningSeverity
	case egress.Internal.String():
		return errorSeverity
	}
	return noticeSeverity
}
