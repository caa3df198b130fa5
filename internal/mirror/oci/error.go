package oci

import (
	"fmt"
	"net/http"
	"time"
)

// Code is an identifier of the section "Error codes", or one of the two that
// registries answer with when the fault is theirs: the section speaks of answers 4xx
// alone.
type Code string

// Codes that a registry to pull from answers with.
const (
	BlobUnknown     Code = "BLOB_UNKNOWN"
	Denied          Code = "DENIED"
	DigestInvalid   Code = "DIGEST_INVALID"
	ManifestInvalid Code = "MANIFEST_INVALID"
	ManifestUnknown Code = "MANIFEST_UNKNOWN"
	NameInvalid     Code = "NAME_INVALID"
	NameUnknown     Code = "NAME_UNKNOWN"
	SizeInvalid     Code = "SIZE_INVALID"
	TagInvalid      Code = "TAG_INVALID" // of Docker's API, which the section allows for
	TooManyRequests Code = "TOOMANYREQUESTS"
	Unauthorized    Code = "UNAUTHORIZED"
	Unsupported     Code = "UNSUPPORTED"

	Unknown     Code = "UNKNOWN"     // 500 and 502: something is broken here or upstream
	Unavailable Code = "UNAVAILABLE" // 503 and 504: it may be better later
)

// Error is an answer that is no success.
type Error struct {
	Status  int    // of HTTP, 4xx or 5xx
	Code    Code   // "": Unknown
	Message string // for the client's user: a plain sentence without secrets
	// Challenge is the WWW-Authenticate of a 401, or "".
	Challenge string
	// RetryAfter is how long the client should wait, or 0 when nobody knows.
	RetryAfter time.Duration
	// Err is for the log alone, or nil.
	Err error
}

// Errorf returns an error whose message is for the client.
func Errorf(status int, code Code, format string, a ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, a...)}
}

// Because sets the cause, which is for the log, and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Error returns the answer and its cause, for a log.
func (e *Error) Error() string {
	text := fmt.Sprintf("%d %s: %s", e.Status, e.Identifier(), e.Message)
	if e.Message == "" {
		text = fmt.Sprintf("%d %s", e.Status, e.Identifier())
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Identifier returns the code, which is never empty.
func (e *Error) Identifier() Code {
	switch {
	case e.Code != "":
		return e.Code
	case e.Status == http.StatusServiceUnavailable, e.Status == http.StatusGatewayTimeout:
		return Unavailable
	}
	return Unknown
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
