package upstream

import (
	"crypto/rand"
	"net/http"
	"strings"
)

// NewVia returns a pseudonym for one process, to stand in the Via header of its
// requests (RFC 9110, section 7.6.3). It is random: mirrors may stand behind one
// another, but none behind itself.
func NewVia() string { return "sluice-mirror-" + strings.ToLower(rand.Text()[:10]) }

// Loops tells whether a request has come from the mirror with that pseudonym: its
// upstream is itself, by whatever detour. To answer it would wait for itself.
func Loops(h http.Header, via string) bool {
	for _, field := range h.Values("Via") {
		for entry := range strings.SplitSeq(field, ",") {
			// protocol, by, perhaps a comment
			if f := strings.Fields(entry); len(f) > 1 && f[1] == via {
				return true
			}
		}
	}
	return false
}
