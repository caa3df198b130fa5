package upstream

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Identity is in whose name a request is made. The zero value is Anonymous.
type Identity struct {
	own           bool
	authorization string
}

// Anonymous asks as anybody could.
func Anonymous() Identity { return Identity{} }

// Own asks with the mirror's own credentials; as Anonymous where it has none.
func Own() Identity { return Identity{own: true} }

// Client asks with a client's own Authorization header. It goes to the upstream
// as it is, and nowhere else: what the upstream asks for instead is the client's
// business.
func Client(authorization string) Identity { return Identity{authorization: authorization} }

// Request is what to ask of the registry.
type Request struct {
	Method     string // GET or HEAD; "": GET
	Repository string // "" with Path "": the registry itself, /v2/
	Path       string // below the repository: "manifests/latest", "blobs/sha256:…", "tags/list", "referrers/sha256:…"
	Query      string // without "?"
	Accept     []string
	Offset     int64  // bytes to leave out; an answer that begins elsewhere is a NoRange error
	Range      string // a Range header to hand on, if Offset is 0; the answer may be 200 or 206
	As         Identity
}

// what is the kind of a request in events.
func (q Request) what() string {
	first, _, _ := strings.Cut(q.Path, "/")
	switch {
	case q.Repository == "" && q.Path == "":
		return "ping"
	case first == "manifests":
		return "manifest"
	case first == "blobs":
		return "blob"
	case first == "tags", first == "referrers":
		return first
	}
	return "other"
}

// Do asks the registry and returns its answer with status 200 or 206. The caller
// closes the body, of HEAD too; reading it fails when no byte comes for the idle
// time. All errors are of type *Error. When ctx ends, so does the body.
func (r *Registry) Do(ctx context.Context, q Request) (*http.Response, error) {
	if q.As.authorization == "" {
		q.As.own = q.As.own && r.credentials != nil
		if left := r.limits.paused(q.As.own); left > 0 {
			e := r.fail(RateLimited, errors.New("the upstream asked for a pause"))
			e.RetryAfter = left
			return nil, e
		}
	}
	e, err := r.exchangeFor(q)
	if err != nil {
		return nil, r.refuse(err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	head := time.AfterFunc(r.timeout, func() { cancel(errNoHead) })
	resp, err := r.answer(ctx, e, q)
	head.Stop()
	if err != nil {
		cancel(nil)
		return nil, err
	}
	resp.Request = nil // it has what is not for others
	resp.Header.Del("Docker-Ratelimit-Source")
	resp.Body = r.newStream(ctx, cancel, resp.Body)
	return resp, nil
}

// exchangeFor writes the request down. Names come from clients, but they are
// checked before.
func (r *Registry) exchangeFor(q Request) (exchange, error) {
	path := "/" + q.Repository + "/" + q.Path
	if q.Repository == "" {
		path = "/" + q.Path
	}
	for part := range strings.SplitSeq(path[1:], "/") {
		if part == "." || part == ".." || part == "" && path != "/" {
			return exchange{}, errors.New("a path that leads elsewhere")
		}
	}
	u := *r.base
	if !strings.HasPrefix(u.Path+"/", "/v2/") {
		u.Path += "/v2"
	}
	u.Path += path
	u.RawQuery = q.Query
	e := exchange{method: q.Method, url: &u, what: q.what(), header: r.header(q.Accept...)}
	switch q.Method {
	case "":
		e.method = http.MethodGet
	case http.MethodGet, http.MethodHead:
	default:
		return exchange{}, errors.New("a method other than GET and HEAD")
	}
	switch {
	case q.Offset > 0:
		e.header.Set("Range", "bytes="+strconv.FormatInt(q.Offset, 10)+"-")
	case q.Range != "":
		e.header.Set("Range", q.Range)
	}
	return e, nil
}

// answer makes the exchange with all that it takes, and looks at the status.
func (r *Registry) answer(ctx context.Context, e exchange, q Request) (*http.Response, error) {
	resp, away, err := r.authenticated(ctx, e, q)
	if err != nil {
		return nil, err
	}
	if q.As.authorization == "" && !away {
		r.limits.heard(q.As.own, resp.Header)
	}
	var failure *Error
	switch status := resp.StatusCode; {
	case status != http.StatusOK && status != http.StatusPartialContent:
		failure = r.statusError(resp, q.As, e.what, away)
	case q.Offset > 0 && (status == http.StatusOK || !beginsAt(resp.Header, q.Offset)):
		failure = r.fail(NoRange, fmt.Errorf("the answer does not begin at byte %d", q.Offset))
		failure.Status = status
	case isPage(resp.Header):
		failure = r.fail(Broken, errors.New("a page for a browser, such as that of a login"))
		failure.Status = status
	case status == http.StatusPartialContent && q.Offset == 0 && q.Range == "":
		failure = r.fail(Broken, errors.New("a part, though the whole was asked for"))
		failure.Status = status
	default:
		return resp, nil
	}
	_ = resp.Body.Close() // it may be the whole blob
	return nil, failure
}

// beginsAt tells whether a part begins where it shall (RFC 9110, section 14.4).
func beginsAt(h http.Header, offset int64) bool {
	return strings.HasPrefix(h.Get("Content-Range"), "bytes "+strconv.FormatInt(offset, 10)+"-")
}

// isPage tells whether an answer is not the registry's but a page of what stands before
// it: a login, a notice that the host is blocked. Those come with 200, and to anybody,
// which would make all public that is behind them. Content may be HTML too, if it says
// that it is content.
func isPage(h http.Header) bool {
	mediaType, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return mediaType == "text/html" && h.Get("Docker-Content-Digest") == ""
}
