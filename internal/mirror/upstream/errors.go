package upstream

import (
	"fmt"
	"time"
)

// Kind is what kept a request from its answer. Whoever asks decides by it
// whether what is known from before may be given instead.
type Kind uint8

const (
	// Unauthorized says that the upstream does not let this identity have what was
	// asked for: 401, or 403, from itself or its token server. Many registries say
	// so of what does not exist too.
	Unauthorized  Kind = iota + 1
	NotFound           // 404: the upstream knows of no such thing
	RateLimited        // 429, or the pause after one
	Unreachable        // no answer: look-up, dial, TLS, silence, or a proxy that could not get there
	Refused            // it was not asked: an address that may not be dialled, a proxy's refusal, credentials that may not go there
	Broken             // an answer that is of no use: 5xx, nonsense, a body cut short
	NoRange            // the whole came although a part was asked for; with Status 416 there is no such part
	NoCredentials      // the mirror's own credentials could not be had
	Cancelled          // the one who asked has left
	kinds
)

var kindNames = [kinds]string{
	Unauthorized: "unauthorized", NotFound: "not_found", RateLimited: "rate_limited", Unreachable: "unreachable",
	Refused: "refused", Broken: "broken", NoRange: "no_range", NoCredentials: "no_credentials", Cancelled: "cancelled",
}

// String returns the kind's name in records and metrics; "" for none.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return ""
}

// Error is why there is no answer of the upstream's. It holds no secrets: neither
// credentials nor the queries of signed URLs.
type Error struct {
	Upstream  string // its name
	Kind      Kind
	Status    int    // of the answer; 0: there was none
	Code      string // of the registry's error body, such as "MANIFEST_UNKNOWN"; "" if it had none
	Challenge string // of Unauthorized: the registry's WWW-Authenticate, for clients that authenticate themselves
	// RetryAfter is when it makes sense to ask again; 0: not known.
	RetryAfter time.Duration
	Err        error // the cause, for the log; never nil
}

// Error returns what happened, in one line.
func (e *Error) Error() string { return fmt.Sprintf("upstream %s: %v", e.Upstream, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
