package front

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"sluice/internal/mirror/oci"
)

// harden sets what every answer has. The mirror serves what others have uploaded, from
// an address that a browser may trust: nothing of it is ever run, framed or sniffed.
func (x *exchange) harden() {
	h := x.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	if x.r.ContentLength != 0 {
		// Where such a request ends, a proxy in front may see otherwise (RFC 9112, section
		// 11.2), and the next would be another client's.
		h.Set("Connection", "close")
	}
}

// fromBrowser tells whether a page in a browser sent the request. Registries' clients
// have none of these fields. A page elsewhere can make the browser of a machine that
// a rule names send requests here, under a name of the page's own that leads to this
// address; it must not get at what that machine may have although it is private. To
// such a name by http browsers send neither Origin nor Sec-Fetch, and in some the page
// chooses the User-Agent. What languages the user reads it cannot leave out (Fetch,
// section 4).
func fromBrowser(r *http.Request) bool {
	for name := range r.Header {
		if name == "Origin" || name == "Accept-Language" || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return strings.Contains(r.UserAgent(), "Mozilla/")
}

// maxMessage is the most bytes that an error says to a client.
const maxMessage = 512

// errorBody is the body of the section "Error codes".
type errorBody struct {
	Errors []errorItem `json:"errors"`
}

type errorItem struct {
	Code    oci.Code `json:"code"`
	Message string   `json:"message"`
}

// fail writes an error instead of an answer.
func (x *exchange) fail(err error) {
	e := x.suited(because(err))
	x.record.Code, x.record.Error = string(e.Identifier()), e.Error()
	h := x.w.Header()
	for _, name := range []string{"ETag", "Docker-Content-Digest", "Accept-Ranges", "Content-Length"} {
		h.Del(name)
	}
	if e.Challenge != "" {
		h.Set("WWW-Authenticate", e.Challenge)
	}
	if wait := retryAfter(e); wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(wait, 10))
	}
	message := strings.ToValidUTF8(e.Message, "")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	body := []byte(message + "\n")
	contentType := "text/plain; charset=utf-8"
	if x.route.page == "" {
		contentType = "application/json"
		// Text and a code cannot fail to become JSON.
		body, _ = json.Marshal(errorBody{[]errorItem{{e.Identifier(), message}}})
	}
	h.Set("Content-Type", contentType)
	setLength(h, int64(len(body)))
	if wantsPhrase(x.r, e.Status) && x.failByPhrase(e.Status, message, body) {
		return
	}
	x.w.WriteHeader(e.Status)
	if x.r.Method != http.MethodHead {
		_, _ = x.w.Write(body) // a client that is gone is told nothing
	}
}

// suited makes of a 401 that this listener must not give a 403. A challenge for a
// password makes a client send the one that it has for this address, which at a
// registry mirror is its user's for Docker Hub; and where clients log in here, the
// answer to the registry's challenge would be the password for the mirror.
func (x *exchange) suited(e *oci.Error) *oci.Error {
	own := x.asksLogin() && x.record.User == ""
	scheme, _, _ := strings.Cut(e.Challenge, " ")
	switch {
	case e.Status < 400 || e.Status > 599:
		return oci.Errorf(http.StatusBadGateway, oci.Unknown, "the content cannot be had; the mirror's log says why").Because(e)
	case e.Status != http.StatusUnauthorized || own, x.conn.Registry != "" && e.Challenge != "":
		return e
	case !x.asksLogin() && strings.EqualFold(scheme, "Bearer"):
		return e
	}
	message := e.Message
	if message == "" {
		message = "the registry wants credentials for this, which the mirror does not have for this client"
	}
	return oci.Errorf(http.StatusForbidden, oci.Denied, "%s", message).Because(e)
}

// retryAfter returns the seconds of a Retry-After, 0 for none. A 429 has one always,
// as the section "Error codes" would have it.
func retryAfter(e *oci.Error) int64 {
	wait := e.RetryAfter
	if wait <= 0 && e.Status == http.StatusTooManyRequests {
		wait = time.Minute
	}
	return int64(math.Ceil(wait.Seconds()))
}

func setLength(h http.Header, n int64) { h.Set("Content-Length", strconv.FormatInt(n, 10)) }

// maxWarning bounds the text of a Warning; all of them together may have 4096 bytes.
const maxWarning = 256

// warnStale says that an answer may be out of date. The section "Warnings" wants the
// code 299 and no agent; the codes 110 and 111 of RFC 7234 are for other caches.
func (x *exchange) warnStale(since time.Time, reason string) {
	x.record.StaleReason = reason
	text := program + ": the registry cannot be asked"
	if !since.IsZero() {
		text += "; this is what it answered at " + since.UTC().Format(time.RFC3339)
	}
	if reason != "" {
		text += ": " + reason
	}
	x.w.Header().Set("Warning", fmt.Sprintf("299 - %s", quoted(text, maxWarning)))
}

// quoted returns a quoted-string (RFC 9110, section 5.6.4) of what of the text is
// printable ASCII.
func quoted(text string, most int) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(text) && b.Len() < most; i++ {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c < 0x7f:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// identify sets what names content.
func (x *exchange) identify(d oci.Digest) {
	h := x.w.Header()
	h.Set("Docker-Content-Digest", string(d))
	h.Set("ETag", etag(d))
	x.record.Digest = string(d)
}

func etag(d oci.Digest) string { return `"` + string(d) + `"` }

// notModified answers 304.
func (x *exchange) notModified() error {
	x.w.WriteHeader(http.StatusNotModified)
	return nil
}
