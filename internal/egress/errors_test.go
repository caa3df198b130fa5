package egress

import (
	"errors"
	"testing"
)

// The table of the documentation, row by row.
func TestEachKindHasItsAnswers(t *testing.T) {
	for k, want := range map[Kind]answer{
		RuleDenied:      {"rule_denied", 403, "http_request_denied", 0x02},
		NotPublic:       {"address_not_public", 403, "destination_ip_prohibited", 0x02},
		Loop:            {"loop", 403, "proxy_loop_detected", 0x02},
		AuthRequired:    {"auth_required", 407, "http_request_denied", 0x02},
		NameNotFound:    {"name_not_found", 502, "dns_error", 0x04},
		ResolverTimeout: {"resolver_timeout", 504, "dns_timeout", 0x04},
		Refused:         {"refused", 502, "connection_refused", 0x05},
		Unroutable:      {"unroutable", 502, "destination_ip_unroutable", 0x03},
		Timeout:         {"timeout", 504, "connection_timeout", 0x04},
		ClientLimit:     {"client_limit", 429, "connection_limit_reached", 0x02},
		ServerFull:      {"server_full", 503, "connection_limit_reached", 0x01},
		Malformed:       {"malformed", 400, "http_request_error", 0x01},
		HeaderTooLarge:  {"header_too_large", 431, "http_request_error", 0x01},
	} {
		if got := (answer{k.String(), k.Status(), k.ProxyError(), k.Reply()}); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	names := map[string]bool{None.String(): true}
	for _, k := range Kinds() {
		if k.String() == "" || names[k.String()] || k.Status() < 400 || k.Reply() == 0 {
			t.Errorf("kind %d: %q, status %d, reply %d", k, k, k.Status(), k.Reply())
		}
		names[k.String()] = true
	}
}

func TestErrorsWrapTheirCause(t *testing.T) {
	cause := errors.New("no such host")
	e := &Error{Kind: NameNotFound, Sentence: "a.example does not resolve", Err: cause}
	if !errors.Is(e, cause) || e.Error() != "a.example does not resolve: no such host" {
		t.Errorf("%v", e)
	}
	if e = (&Error{Sentence: "full"}); e.Error() != "full" || errors.Unwrap(e) != nil {
		t.Errorf("%v", e)
	}
}
