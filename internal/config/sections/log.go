package sections

import (
	"strings"

	"sluice/internal/config/strict"
)

// CheckLogPlace holds the key access in [log] to what there is: standard output, the
// system's logs, and files.
func CheckLogPlace(r *Report, access string) {
	switch access {
	case "stdout", "syslog", "journald":
		return
	}
	at := strict.InFile("log", "access")
	if !strings.HasPrefix(access, "/") && !r.Errors.Has(at) {
		r.Errors.Addf(at, `write "stdout", "syslog", "journald", or an absolute path such as "/var/log/sluice/access.log"`, "%q is no place for the access log", access)
	}
}
