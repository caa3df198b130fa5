// Package upstream is the client of one registry: it authenticates, follows
// redirects, backs off, and tells in typed errors what went wrong.
//
// Registries name other hosts: the server that gives tokens, and those that have
// the blobs. Where a registry may send its client, and with which credentials, is
// decided here:
//
//   - Every address is vetted by package egress when it is dialled. Behind a proxy,
//     which looks names up itself, addresses that are not public, and localhost, are
//     refused before the proxy is asked. The proxy of the configuration alone is
//     dialled wherever it is; proxies of the environment are never used.
//   - An Authorization header never goes to another scheme, host or port than the
//     upstream's, and once a redirect has led away it does not come back.
//   - No redirect and no token server leads from https to http.
//   - The mirror's own credentials go to a token server on the upstream's host, on
//     its registered domain, or on the one that the configuration names.
//
// What is cached and for whom is left to package pull, checking digests to package
// store.
package upstream

import (
	"net/url"
	"time"

	"go.uber.org/zap"

	"sluice/internal/egress"
)

// Options say which registry it is and how to reach it. Name, URL and Dialer are
// wanted; the zero value of the rest is explained at each.
type Options struct {
	Name string   // as image names say it, for errors, events and logs
	URL  *url.URL // https or http; a path before /v2/ is kept, one that begins with /v2/ stands for it

	// Username and the password's source are the mirror's own credentials: at most
	// one of PasswordFile, PasswordEnv and Helper. Files and helpers are asked anew.
	Username     string // with Helper: which the helper tells
	PasswordFile string // read anew when it has changed; line breaks at its end do not count
	PasswordEnv  string // name of an environment variable
	Helper       string // NAME of docker-credential-NAME in PATH
	HelperServer string // what the helper is asked for; "": as docker login names this registry
	Realm        string // host or host:port that the credentials may go to besides; "": none

	CA    string   // PEM file of authorities that are trusted besides the system's; "": none
	Proxy *url.URL // http, https or socks5, with its credentials; nil: the upstream is dialled directly

	Dialer  *egress.Dialer
	Timeout time.Duration // from the request to the head of its answer, tokens and redirects included; 0: 60 s
	Idle    time.Duration // without a byte of a body that is being read; 0: 30 s

	UserAgent string      // "": sluice-mirror
	Via       string      // pseudonym in the Via header, see NewVia; "": none is sent
	Observe   func(Event) // called after every exchange, by any goroutine; nil: nobody looks
	Log       *zap.Logger // nil: nothing is logged
}

// Event is one HTTP exchange with the upstream or a host that it named. It is
// told when the body was closed, or when there is none.
type Event struct {
	Upstream string
	Kind     string // "manifest", "blob", "tags", "referrers", "ping", "token" or "other"
	Method   string
	Status   int   // 0: no answer came
	Failure  Kind  // why not; 0 when an answer came
	Redirect int   // how many redirects led to it
	Bytes    int64 // of the body that were read
	Duration time.Duration
}

// Class returns the class of the status, such as "2xx", or the name of the
// failure.
func (e Event) Class() string {
	if e.Status < 100 || e.Status > 599 {
		return e.Failure.String()
	}
	return string('0'+rune(e.Status/100)) + "xx"
}
