package front

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// wantsPhrase tells whether the client's user sees nothing of an answer but its status
// line: containerd asks by HEAD what a tag means, and docker, podman and skopeo do not
// read what comes with a 5xx. A 401 and a 404 are for the program itself, which does
// something about them, by the same connection.
func wantsPhrase(r *http.Request, status int) bool {
	if r.ProtoMajor != 1 || r.ContentLength != 0 {
		return false // HTTP/2 has no phrase; and what was sent is net/http's to read
	}
	switch status {
	case http.StatusForbidden, http.StatusTooManyRequests:
		return r.Method == http.MethodHead
	}
	return status >= 500
}

// failByPhrase writes an error with the sentence for a reason phrase (RFC 9112, section
// 4), and ends the connection: net/http writes no phrase but its own, so the connection
// is taken from it. It returns false, and has done nothing, where that cannot be.
func (x *exchange) failByPhrase(status int, sentence string, body []byte) bool {
	conn, _, err := x.w.control.Hijack()
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(x.idle())) // an error: the connection is gone, as the write will tell
	h := x.w.Header()
	h.Set("Connection", "close")
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var answer strings.Builder
	answer.WriteString("HTTP/1.1 " + strconv.Itoa(status) + " " + phrase(sentence) + "\r\n")
	_ = h.Write(&answer) // a Builder takes everything
	answer.WriteString("\r\n")
	if x.r.Method != http.MethodHead {
		answer.Write(body)
		x.w.bytes.Add(int64(len(body)))
	}
	x.w.status = status
	_, _ = conn.Write([]byte(answer.String())) // a client that is gone is told nothing
	return true
}

// phrase makes a sentence one line of printable ASCII that says who says it.
func phrase(sentence string) string {
	return program + ": " + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimPrefix(sentence, program+" "))
}
