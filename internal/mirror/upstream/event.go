package upstream

import "time"

// Event is one HTTP exchange with the upstream or a host that it named. It is
// told when the body was closed, or when there is none.
type Event struct {
	Upstream string
	Kind     string // "manifest", "blob", "tags", "referrers", "ping", "token" or "other"
	Method   string
	Status   int   // 0: no answer came
	Failure  Kind  // why not; 0 when an answer came
	Redirect int   // how many redirects led to it
	Bytes    int64 // of the body that were read
	Duration time.Duration
}

// Class returns the class of the status, such as "2xx", or the name of the
// failure.
func (e Event) Class() string {
	if e.Status < 100 || e.Status > 599 {
		return e.Failure.String()
	}
	return string('0'+rune(e.Status/100)) + "xx"
}
