package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"go.uber.org/zap"
)

const (
	maxErrorBody = 16 << 10 // bytes of an answer other than 2xx that are looked at
	maxChallenge = 8 << 10  // bytes of WWW-Authenticate that are handed on
	maxPrintable = 300      // bytes of foreign text in an error
)

// statusError makes an error of an answer whose status is not what was hoped for.
// away tells that it came from where a redirect led to. The body is read, not
// closed.
func (r *Registry) statusError(resp *http.Response, as Identity, what string, away bool) *Error {
	e := r.fail(Broken, nil)
	e.Status, e.RetryAfter = resp.StatusCode, retryAfter(resp.Header, r.now())
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		// Where a redirect leads for a blob its signature is the permission: what
		// is refused there is not for want of credentials.
		if !away || what != "blob" {
			e.Kind = Unauthorized
		}
		if !away {
			e.Challenge = challengeText(resp.Header)
		}
	case http.StatusNotFound, http.StatusGone:
		e.Kind = NotFound
	case http.StatusRequestedRangeNotSatisfiable:
		e.Kind = NoRange
	case http.StatusTooManyRequests:
		e.Kind = RateLimited
		r.pause(e, as)
	case http.StatusProxyAuthRequired:
		e.Kind = Refused
	}
	if r.proxied && resp.Request.URL.Scheme == "http" && strings.Contains(resp.Header.Get("Proxy-Status"), "error=") {
		e.Kind = ofProxy(resp.StatusCode)
	}
	var message string
	e.Code, message = readErrors(resp.Body)
	e.Err = fmt.Errorf("%s: HTTP %d%s", resp.Request.URL.Host, resp.StatusCode, message)
	return e
}

// ofProxy sorts the answer of a proxy in place of the host behind it, which it can
// give where nothing is encrypted (RFC 9209).
func ofProxy(status int) Kind {
	if status < 500 {
		return Refused
	}
	return Unreachable
}

// pause keeps the mirror's own requests back. Clients that ask in their own names
// have rate limits of their own.
func (r *Registry) pause(e *Error, as Identity) {
	if as.authorization != "" {
		return
	}
	e.RetryAfter = r.limits.pause(as.own, e.RetryAfter)
	r.log.Warn("the upstream limits the rate of requests", zap.Duration("pause", e.RetryAfter), zap.Bool("own_credentials", as.own))
}

// challengeText returns the challenges as one field, for a client to answer.
func challengeText(h http.Header) string {
	text := strings.Join(h.Values("WWW-Authenticate"), ", ")
	if len(text) > maxChallenge {
		return ""
	}
	return text
}

// readErrors reads the error body of the distribution specification ("Error
// Codes"), or whatever stands there instead.
func readErrors(body io.Reader) (code, message string) {
	text, err := io.ReadAll(io.LimitReader(body, maxErrorBody))
	if err != nil || len(text) == 0 {
		return "", ""
	}
	var answer struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(text, &answer) != nil || len(answer.Errors) == 0 {
		return "", ""
	}
	first := answer.Errors[0]
	if len(first.Code) > 40 || strings.Trim(first.Code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		first.Code = ""
	}
	return first.Code, ": " + printable(first.Code+" "+first.Message)
}

// printable makes one line of foreign text that is fit for a log.
func printable(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxPrintable {
		s = s[:maxPrintable]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}
