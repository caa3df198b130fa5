package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"sluice/internal/egress"
)

// maxRedirects is more than registries use: registry.k8s.io sends to Artifact
// Registry, and that one to storage.
const maxRedirects = 5

// errNoHead is the cause of a request that ends for want of an answer.
var errNoHead = errors.New("no answer in time")

// exchange is one HTTP request and its answer.
type exchange struct {
	method        string
	url           *url.URL
	what          string // Event.Kind
	header        http.Header
	authorization string // "": none
	body          string // of a POST
	redirects     int
}

// header returns what every request says.
func (r *Registry) header(accept ...string) http.Header {
	// Digests are of bytes as they are. Where Accept-Encoding is not set Go's client
	// asks for gzip, and unpacks it.
	h := http.Header{"User-Agent": {r.agent}, "Accept-Encoding": {"identity"}}
	if len(accept) > 0 {
		h["Accept"] = accept
	}
	if r.via != "" {
		h.Set("Via", "1.1 "+r.via)
	}
	return h
}

// follow makes an exchange and those that its redirects lead to. away tells that
// one of them left the first's origin. The Authorization header stays
// with its origin, and is gone for good once a redirect has left it.
func (r *Registry) follow(ctx context.Context, e exchange) (resp *http.Response, away bool, err error) {
	at, err := originOf(e.url)
	if err != nil {
		return nil, false, r.refuse(err)
	}
	for {
		resp, err := r.send(ctx, e)
		if err != nil || !isRedirect(resp.StatusCode) {
			return resp, away, err
		}
		location := resp.Header.Get("Location")
		discard(resp)
		next, err := e.url.Parse(location)
		if e.redirects++; err != nil || location == "" || e.redirects > maxRedirects {
			return nil, false, r.fail(Broken, fmt.Errorf("%s: redirect %d leads nowhere", at, e.redirects))
		}
		to, err := at.onward(next)
		if err != nil {
			return nil, false, r.refuse(fmt.Errorf("redirect from %s to %s: %w", at, printable(next.Host), err))
		}
		if to != at {
			e.authorization, away = "", true
		}
		next.Fragment, next.RawFragment = "", ""
		e.url, at = next, to
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// send makes one exchange, if the host may be asked and its breaker is closed. The
// event is told when the answer's body is closed.
func (r *Registry) send(ctx context.Context, e exchange) (*http.Response, error) {
	at, err := originOf(e.url)
	if err == nil {
		err = r.refuses(at)
	}
	if err != nil {
		return nil, r.refuse(err)
	}
	tell, wait := r.breakers.admit(at.host.Join(at.port))
	if tell == nil {
		failure := r.fail(Unreachable, fmt.Errorf("%s has not answered lately", at))
		failure.RetryAfter = wait
		return nil, failure
	}
	what, told := learnedNothing, "" // of a panic
	defer func() {
		if tell(what) {
			r.log.Warn("a host of the upstream does not answer", zap.Stringer("host", at), zap.String("because", told))
		}
	}()
	event := Event{Upstream: r.name, Kind: e.what, Method: e.method, Redirect: e.redirects}
	start := r.now()
	resp, err := r.transport.RoundTrip(e.request(ctx))
	if err != nil {
		var failure *Error
		failure, what = r.unanswered(ctx, at, err)
		told = failure.Err.Error()
		event.Failure, event.Duration = failure.Kind, r.now().Sub(start)
		r.observe(event)
		return nil, failure
	}
	what, told = outcomeOf(resp.StatusCode), resp.Status
	event.Status = resp.StatusCode
	resp.Body = &counted{ReadCloser: resp.Body, registry: r, event: event, start: start}
	return resp, nil
}

func (e exchange) request(ctx context.Context) *http.Request {
	req := &http.Request{
		Method: e.method, URL: e.url, Host: e.url.Host, Header: e.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if e.authorization != "" {
		req.Header = e.header.Clone()
		req.Header.Set("Authorization", e.authorization)
	}
	if e.body != "" {
		// With GetBody, what meets a connection that the server has just closed goes
		// over another.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(e.body)), nil }
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(e.body)), int64(len(e.body))
	}
	return req.WithContext(ctx)
}

// outcomeOf tells the health of a host by a status. 500 is told of what was asked
// for rather than of the host.
func outcomeOf(status int) outcome {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return faulty
	}
	return answered
}

// unanswered sorts why there is no answer.
func (r *Registry) unanswered(ctx context.Context, at origin, err error) (*Error, outcome) {
	if ctx.Err() != nil {
		failure := r.ended(ctx)
		if failure.Kind == Cancelled {
			return failure, learnedNothing
		}
		return failure, noReply
	}
	var dialled *egress.Error
	var proxy *proxyError
	var network net.Error
	switch {
	case errors.As(err, &dialled):
		return r.undialled(at, dialled)
	case errors.As(err, &proxy):
		if proxy.refused() {
			return r.fail(Refused, fmt.Errorf("%s: %w", at, proxy)), learnedNothing
		}
		failure := r.fail(Unreachable, fmt.Errorf("%s: %w", at, proxy))
		failure.RetryAfter = proxy.retryAfter
		return failure, noReply
	case errors.As(err, &network) && network.Timeout():
		return r.fail(Unreachable, fmt.Errorf("%s: %w", at, err)), noReply
	}
	return r.fail(Unreachable, fmt.Errorf("%s: %w", at, err)), faulty
}

// undialled sorts why there is no connection.
func (r *Registry) undialled(at origin, err *egress.Error) (*Error, outcome) {
	switch err.Kind {
	case egress.RuleDenied, egress.NotPublic, egress.Loop, egress.Malformed:
		return r.refuse(fmt.Errorf("%s: %w", at, err)), learnedNothing
	case egress.ServerFull, egress.Internal, egress.ClientGone: // no fault of the host's
		return r.fail(Unreachable, fmt.Errorf("%s: %w", at, err)), learnedNothing
	}
	return r.fail(Unreachable, fmt.Errorf("%s: %w", at, err)), noReply
}

func (r *Registry) fail(kind Kind, err error) *Error {
	return &Error{Upstream: r.name, Kind: kind, Err: err}
}

func (r *Registry) refuse(err error) *Error { return r.fail(Refused, err) }

// ended makes an error of a context that has ended: by the time that an answer may
// take, or with the one who asked.
func (r *Registry) ended(ctx context.Context) *Error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errNoHead):
		return r.fail(Unreachable, fmt.Errorf("%w: %s", cause, r.timeout))
	case errors.Is(cause, errIdle):
		return r.fail(Unreachable, fmt.Errorf("body: %w: %s", cause, r.idle))
	default:
		return r.fail(Cancelled, cause)
	}
}
