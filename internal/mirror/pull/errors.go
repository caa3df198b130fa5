package pull

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// errPrivate stands for the answer of an upstream that was asked a moment ago.
var errPrivate = errors.New("it was refused to an anonymous request lately")

// errSchema1 says what a manifest is that is not taken.
var errSchema1 = errors.New("a manifest of Docker's first schema")

// kindOf returns what kept a request from its answer; 0 for nil, and for errors that
// are none of the upstream's.
func kindOf(err error) upstream.Kind {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e.Kind
	}
	return 0
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e.Status
	}
	return 0
}

func challengeOf(err error) string {
	if e, ok := errors.AsType[*upstream.Error](err); ok {
		return e.Challenge
	}
	return ""
}

// away tells whether an error says nothing of what was asked for, but that the
// upstream cannot be asked now.
func away(err error) bool { return awayReason(err) != "" }

// awayReason returns why an upstream cannot be asked, in a word or two, or "".
func awayReason(err error) string {
	switch kindOf(err) {
	case upstream.RateLimited:
		return "rate limited"
	case upstream.Unreachable:
		return "unreachable"
	case upstream.Broken:
		return "broken answer"
	case upstream.Refused:
		return "not to be asked"
	case upstream.NoCredentials:
		return "no credentials"
	}
	return ""
}

// failure makes the client's answer of an error. what is what it asked for, in words.
func (a asking) failure(what string, err error) error {
	if e, ok := errors.AsType[*oci.Error](err); ok {
		return e
	}
	if errors.Is(err, errSchema1) {
		return oci.Errorf(http.StatusNotFound, oci.ManifestUnknown, "%s is %s, which sluice-mirror does not serve: it has to be pushed anew", what, errSchema1).Because(err)
	}
	registry := a.Repo.Registry
	e, ok := errors.AsType[*upstream.Error](err)
	switch {
	case ok:
	case errors.Is(err, context.Canceled):
		return oci.Errorf(http.StatusServiceUnavailable, oci.Unavailable, "the request has ended").Because(err)
	case errors.Is(err, store.ErrClosed):
		return oci.Errorf(http.StatusServiceUnavailable, oci.Unavailable, "sluice-mirror is stopping").Because(err)
	case errors.Is(err, store.ErrMismatch), errors.Is(err, errLie):
		return oci.Errorf(http.StatusBadGateway, oci.Unknown, "%s sent something else for %s than its digest or its length says", registry, what).Because(err)
	case errors.Is(err, store.ErrInterrupted):
		return oci.Errorf(http.StatusBadGateway, oci.Unknown, "%s broke off while it sent %s", registry, what).Because(err)
	default:
		return oci.Errorf(http.StatusInternalServerError, oci.Unknown, "sluice-mirror could not get %s", what).Because(err)
	}
	answer := func(status int, code oci.Code, format string, args ...any) error {
		o := oci.Errorf(status, code, format, args...).Because(err)
		o.RetryAfter = e.RetryAfter
		return o
	}
	switch e.Kind {
	case upstream.Unauthorized:
		return a.denial(e)
	case upstream.NotFound:
		return answer(http.StatusNotFound, unknown(what), "%s has no %s", registry, what)
	case upstream.RateLimited:
		return answer(http.StatusTooManyRequests, oci.TooManyRequests, "%s takes no more requests for now, and sluice-mirror has no earlier answer to give for %s", registry, what)
	case upstream.Unreachable:
		return answer(http.StatusGatewayTimeout, oci.Unavailable, "sluice-mirror does not reach %s, and has no earlier answer to give for %s", registry, what)
	case upstream.Refused:
		return answer(http.StatusBadGateway, oci.Unknown, "sluice-mirror may not go where %s or its proxy leads for %s", registry, what)
	case upstream.NoCredentials:
		return answer(http.StatusBadGateway, oci.Unknown, "sluice-mirror cannot read its credentials for %s", registry)
	case upstream.NoRange:
		return answer(http.StatusRequestedRangeNotSatisfiable, oci.SizeInvalid, "%s has no such part of %s", registry, what)
	case upstream.Cancelled:
		return answer(http.StatusServiceUnavailable, oci.Unavailable, "the request has ended")
	}
	return answer(http.StatusBadGateway, oci.Unknown, "%s answers in a way that is of no use, and sluice-mirror has no earlier answer to give for %s", registry, what)
}

// denial is the answer to who may not have what the upstream holds back. It says the
// same whether the mirror has it or not.
func (a asking) denial(e *upstream.Error) error {
	text := fmt.Sprintf("%s gives %s to nobody without credentials; no rule of sluice-mirror names this client for it", a.Repo.Registry, a.Repo.Name)
	switch {
	case a.Private && a.up.Registry.HasCredentials():
		text = fmt.Sprintf("%s does not give %s for the credentials that sluice-mirror has", a.Repo.Registry, a.Repo.Name)
	case a.Private:
		text = fmt.Sprintf("%s gives %s to nobody without credentials, and sluice-mirror has none for it", a.Repo.Registry, a.Repo.Name)
	case a.Authorization != "":
		text += ", and its own credentials are not accepted"
	}
	if c := a.challenge(e.Challenge); c != "" {
		o := oci.Errorf(http.StatusUnauthorized, oci.Unauthorized, "%s", text).Because(e)
		o.Challenge = c
		return o
	}
	return oci.Errorf(http.StatusForbidden, oci.Denied, "%s", text).Because(e)
}

// challenge returns the upstream's challenge if this client may see all of it.
func (a asking) challenge(c string) string {
	basic := strings.Contains(strings.ToLower(c), "basic")
	scheme, _, _ := strings.Cut(c, " ")
	if basic && !a.Basic || strings.EqualFold(scheme, "Bearer") && !a.Bearer {
		return ""
	}
	return c
}

func unknown(what string) oci.Code {
	switch {
	case strings.HasPrefix(what, "manifest"):
		return oci.ManifestUnknown
	case strings.HasPrefix(what, "blob"):
		return oci.BlobUnknown
	}
	return oci.NameUnknown
}
