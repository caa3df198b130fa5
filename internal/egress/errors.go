package egress

import (
	"net/http"
	"time"
)

// Kind is what kept a request from its destination. Each kind has its HTTP
// status, its Proxy-Status error type and its SOCKS5 reply in one table, so that
// all ways in tell the same story.
type Kind uint8

const (
	None            Kind = iota // nothing went wrong
	RuleDenied                  // client or destination denied by rule
	NotPublic                   // an address that is not globally reachable
	Loop                        // an address of this proxy
	AuthRequired                // credentials wanted or wrong
	NameNotFound                // the name does not resolve
	ResolverTimeout             // the resolver did not answer in time
	Refused                     // the origin refused the connection
	Unroutable                  // no route to the origin
	Timeout                     // the origin did not answer in time
	ClientLimit                 // the client has its tunnels, or opens them too fast
	ServerFull                  // the proxy is full or draining
	Malformed                   // a request that cannot be read
	HeaderTooLarge              // a request head over the bound
	OriginProtocol              // an HTTP answer that cannot be read or is cut short
	ClientGone                  // the client left before it had an answer
	Internal                    // a fault of the proxy itself
	kinds
)

// SOCKS5 replies (RFC 1928, section 6).
const (
	replyFailure         = 0x01
	replyNotAllowed      = 0x02
	replyNetUnreachable  = 0x03
	replyHostUnreachable = 0x04
	replyRefused         = 0x05
)

type answer struct {
	name   string // in records: the outcome
	status int    // HTTP
	proxy  string // Proxy-Status error type (RFC 9209, section 2.3)
	reply  byte   // SOCKS5
}

var answers = [kinds]answer{
	None:            {"ok", http.StatusOK, "", 0},
	RuleDenied:      {"rule_denied", http.StatusForbidden, "http_request_denied", replyNotAllowed},
	NotPublic:       {"address_not_public", http.StatusForbidden, "destination_ip_prohibited", replyNotAllowed},
	Loop:            {"loop", http.StatusForbidden, "proxy_loop_detected", replyNotAllowed},
	AuthRequired:    {"auth_required", http.StatusProxyAuthRequired, "http_request_denied", replyNotAllowed},
	NameNotFound:    {"name_not_found", http.StatusBadGateway, "dns_error", replyHostUnreachable},
	ResolverTimeout: {"resolver_timeout", http.StatusGatewayTimeout, "dns_timeout", replyHostUnreachable},
	Refused:         {"refused", http.StatusBadGateway, "connection_refused", replyRefused},
	Unroutable:      {"unroutable", http.StatusBadGateway, "destination_ip_unroutable", replyNetUnreachable},
	Timeout:         {"timeout", http.StatusGatewayTimeout, "connection_timeout", replyHostUnreachable},
	ClientLimit:     {"client_limit", http.StatusTooManyRequests, "connection_limit_reached", replyNotAllowed},
	ServerFull:      {"server_full", http.StatusServiceUnavailable, "connection_limit_reached", replyFailure},
	Malformed:       {"malformed", http.StatusBadRequest, "http_request_error", replyFailure},
	HeaderTooLarge:  {"header_too_large", http.StatusRequestHeaderFieldsTooLarge, "http_request_error", replyFailure},
	OriginProtocol:  {"origin_protocol", http.StatusBadGateway, "http_protocol_error", replyFailure},
	ClientGone:      {"client_gone", 499, "", replyFailure},
	Internal:        {"internal", http.StatusInternalServerError, "proxy_internal_error", replyFailure},
}

// String returns the kind's name in records: "rule_denied", "timeout", ….
func (k Kind) String() string { return answers[k].name }

// Status returns the HTTP status code. ClientGone has 499, which is never sent.
func (k Kind) Status() int { return answers[k].status }

// ProxyError returns the error type for the Proxy-Status header, or "".
func (k Kind) ProxyError() string { return answers[k].proxy }

// Reply returns the SOCKS5 reply code.
func (k Kind) Reply() byte { return answers[k].reply }

// Kinds lists all kinds but None, for metrics and documentation.
func Kinds() []Kind {
	list := make([]Kind, 0, kinds-1)
	for k := None + 1; k < kinds; k++ {
		list = append(list, k)
	}
	return list
}

// Error is why a request did not reach its destination. Sentence may be told to
// the client: one line of printable ASCII that names no address that the client
// did not name. Err is the cause for the log alone, and may be nil.
type Error struct {
	Kind       Kind
	Sentence   string
	RetryAfter time.Duration // when it makes sense to try again; 0: not said
	Err        error
}

// Error returns the sentence and the cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Sentence
	}
	return e.Sentence + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
