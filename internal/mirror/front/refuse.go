package front

import (
	"net/http"
	"time"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

// Refuse answers a request that the server has no place for with 429 and a sentence of
// the caller's, in which there is nothing that JSON escapes. Its record goes to tell
// alone, and not to Record: these requests come in floods, if they come. For the same
// reason they are looked at no further than their path, and nothing is waited for.
func (h *Handler) Refuse(w http.ResponseWriter, r *http.Request, sentence string, tell func(*record.Record)) {
	x := h.begin(r)
	x.route, _ = parseRoute(r.URL.EscapedPath()) // what is wrong with it does not matter here
	x.describe()
	x.record.Registry = x.conn.Registry
	x.record.Status, x.record.Code, x.record.Error = http.StatusTooManyRequests, string(oci.TooManyRequests), sentence
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Retry-After", "1")
	w.WriteHeader(x.record.Status)
	if r.Method != http.MethodHead {
		n, _ := w.Write([]byte(`{"errors":[{"code":"TOOMANYREQUESTS","message":"` + sentence + `"}]}`)) // the client may have gone
		x.record.Bytes = int64(n)
	}
	x.record.Duration = time.Since(x.record.Start)
	tell(&x.record)
}
