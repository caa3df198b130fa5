// Package front is the mirror's HTTP side: it answers the requests of the pull side of
// the OCI distribution specification. It reads paths, ranges and credentials, asks
// package access who may have what and package pull for it, and writes the answer:
// headers, bodies, errors, and one record of each request.
//
// What is cached, fetched or private is package pull's to know. Listeners, TLS, and
// the time that a client has for its request's header are the server's.
//
// # Order
//
// A client that no rule admits learns that and nothing else. Then come the method, the
// path, the login where there is one, the rules for the repository, and only then is
// anything looked up.
package front

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/upstream"
)

// Handler answers the requests of one listener. Its fields are set before the first
// request and not changed. The http.Server that it is used with must have no
// WriteTimeout: a layer takes as long as it takes, and the handler drops clients that
// have stopped reading by itself.
type Handler struct {
	// Mirror has the content.
	Mirror *pull.Mirror
	// Policy returns the rules in force.
	Policy func() *access.Policy
	// Login says that clients give a name and a password (Basic), which Users checks.
	// It must be off where dockerd uses the listener by registry-mirrors: it would
	// send its user's password for Docker Hub.
	Login bool
	// Users returns the users in force; may be nil without Login.
	Users func() *access.Users
	// Realm is what a client shows its user who is asked for a password; "": the
	// program's name. It stands in a header as it is: no quotes.
	Realm string
	// Listener is the listener's configured address, for records.
	Listener string
	// Record is told of each request at its end; nil: nobody is.
	Record func(*record.Record)
	// CA returns the certificate of the mirror's own authority, PEM, for /ca.crt; nil,
	// or nothing returned: there is none.
	CA func() []byte
	// Setup returns the script for /setup/NAME.sh, and false for a client that it does
	// not know; nil: there are none.
	Setup func(SetupRequest) (script []byte, ok bool)
	// Via is the pseudonym under which the mirror's own requests go to upstreams; one
	// that comes here has gone in a circle. "": this is not looked for.
	Via string
	// Reaches tells whether a client of the transparent way reaches the server of tokens
	// of a registry, an https URL. Only then is it told of that server ahead of pulling;
	// nil: none is reached.
	Reaches func(client netip.Addr, registry string, realm *url.URL) bool
	// Idle is how long a client may take nothing of an answer; 0: a minute.
	Idle time.Duration
}

// program is what the mirror is called towards clients.
const program = "sluice-mirror"

const defaultIdle = time.Minute

func (h *Handler) idle() time.Duration {
	if h.Idle <= 0 {
		return defaultIdle
	}
	return h.Idle
}

// exchange is one request and its answer.
type exchange struct {
	*Handler
	w      *writer
	r      *http.Request
	conn   Connection
	route  route
	values url.Values // of the query
	record record.Record
}

// ServeHTTP answers one request. It panics with http.ErrAbortHandler where a body that
// was begun cannot be completed: net/http then breaks the connection, or resets the
// stream, so that the client sees a failure.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	x := h.begin(r)
	x.w = newWriter(rw, r, h.idle())
	defer x.end()
	x.record.Error = "it came to no end" // a panic, which whoever has called this reports
	err := x.answer()
	x.record.Error = ""
	switch {
	case err == nil:
	case x.w.status != 0:
		x.record.Error = err.Error()
		panic(http.ErrAbortHandler)
	case r.Context().Err() != nil:
		x.record.Error = "the client left: " + err.Error()
		panic(http.ErrAbortHandler)
	default:
		x.fail(err)
	}
}

// begin returns an exchange that has nothing to write an answer to yet.
func (h *Handler) begin(r *http.Request) *exchange {
	x := &exchange{Handler: h, r: r, conn: connectionOf(r)}
	x.record = record.Record{
		ID: record.NewID(), Start: time.Now(), Listener: h.Listener, Client: x.conn.Client,
		Agent: r.UserAgent(), Method: r.Method, Kind: record.Other,
	}
	return x
}

// end leaves the record, whatever happened.
func (x *exchange) end() {
	x.w.end()
	x.record.Status = x.w.status
	x.record.Bytes = x.w.bytes.Load()
	x.record.Duration = time.Since(x.record.Start)
	if x.Record != nil {
		x.Record(&x.record)
	}
}

// answer writes the answer, or returns why there is none. An error that comes after
// the header went out is the end of the connection.
func (x *exchange) answer() error {
	x.harden()
	if !x.Policy().AdmitsClient(x.conn.Client.Addr()) {
		x.record.Path = x.r.URL.Path
		return oci.Errorf(http.StatusForbidden, oci.Denied, "no rule of %s lets %s pull anything", program, address(x.conn.Client.Addr()))
	}
	var err error
	x.route, err = parseRoute(x.r.URL.EscapedPath())
	x.describe()
	switch {
	case x.r.Method != http.MethodGet && x.r.Method != http.MethodHead:
		x.w.Header().Set("Allow", "GET, HEAD")
		return oci.Errorf(http.StatusMethodNotAllowed, oci.Unsupported, "%s is to pull from only: push to the registry itself", program)
	case err != nil:
		return err
	case x.route.push:
		x.w.Header().Set("Allow", "") // RFC 9110, section 10.2.1: the resource has no method
		return oci.Errorf(http.StatusMethodNotAllowed, oci.Unsupported, "%s is to pull from only: nothing is uploaded here", program)
	}
	if x.values, err = parseQuery(x.r.URL.RawQuery); err != nil {
		return err
	}
	if x.route.page != "" {
		return x.page()
	}
	if x.Via != "" && upstream.Loops(x.r.Header, x.Via) {
		return oci.Errorf(http.StatusLoopDetected, oci.Unsupported, "an upstream of %s leads to %s itself", program, program)
	}
	user, err := x.login()
	if err != nil {
		return err
	}
	x.record.User = user
	if x.route.kind == record.Ping {
		return x.ping()
	}
	return x.content(user)
}

// describe fills in what is known of the request from its path.
func (x *exchange) describe() {
	x.record.Kind = x.route.kind
	x.record.Repository = x.route.name
	x.record.Reference = x.route.ref.String()
	if x.route.name == "" {
		x.record.Path = x.r.URL.Path
	}
}

// content answers what is of a repository.
func (x *exchange) content(user string) error {
	repo, err := x.repository()
	if err != nil {
		return err
	}
	x.record.Registry, x.record.Repository = repo.Registry, repo.Name
	v := x.Policy().Decide(x.conn.Client.Addr(), user, repo)
	x.record.Rule = v.Rule
	if !v.Allowed {
		return x.refusal(v, user)
	}
	req := pull.Request{
		Repo: repo, Ref: x.route.ref, Head: x.r.Method == http.MethodHead,
		Private:       v.Private && !fromBrowser(x.r),
		Authorization: x.forUpstream(), Bearer: !x.asksLogin(), Basic: x.conn.Registry != "",
	}
	switch x.route.kind {
	case record.Manifest:
		return x.manifest(req)
	case record.Blob:
		return x.blob(req)
	case record.Tags:
		return x.tags(req)
	case record.Referrers:
		return x.referrers(req)
	}
	return errors.New("a path of no kind") // parseRoute has no other
}

// repository finds out which repository the request is for: on the transparent way
// by the registry that the client has connected to, otherwise by "ns" (the section
// "Registry Proxying"), the path's first part, or the default.
func (x *exchange) repository() (oci.Repository, error) {
	if x.conn.Registry != "" {
		return x.Mirror.Resolve(x.conn.Registry, x.route.name)
	}
	ns, err := x.namespace()
	if err != nil {
		return oci.Repository{}, err
	}
	if ns != "" {
		// What was parsed can stand in a header.
		x.w.Header().Set("OCI-Namespace", ns)
	}
	return x.Mirror.Resolve(ns, x.route.name)
}

func (x *exchange) namespace() (string, error) {
	switch given := x.values["ns"]; len(given) {
	case 0:
		return "", nil
	case 1:
		ns, err := oci.ParseRegistry(given[0])
		if err != nil {
			return "", oci.Errorf(http.StatusBadRequest, oci.NameInvalid, "ns: %s", err)
		}
		return ns, nil
	}
	return "", oci.Errorf(http.StatusBadRequest, oci.NameInvalid, "ns is given more than once")
}

// ping answers /v2/. A client of a mirror that is admitted needs no token for it: where
// one is needed, the upstream's challenge comes with the repository's own answer.
func (x *exchange) ping() error {
	if x.conn.Registry != "" {
		if err := x.challenged(); err != nil {
			return err
		}
	}
	x.w.Header().Set("Content-Type", "application/json")
	return x.write([]byte("{}"))
}

// write answers 200 with a body that is at hand.
func (x *exchange) write(body []byte) error {
	setLength(x.w.Header(), int64(len(body)))
	x.w.WriteHeader(http.StatusOK)
	if x.r.Method == http.MethodHead {
		return nil
	}
	_, err := x.w.Write(body)
	return err
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return "this client"
	}
	return a.String()
}

// because wraps an error that is no answer yet.
func because(err error) *oci.Error {
	var e *oci.Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.DeadlineExceeded):
		return oci.Errorf(http.StatusGatewayTimeout, oci.Unavailable, "the registry took too long").Because(err)
	}
	return oci.Errorf(http.StatusBadGateway, oci.Unknown, "the content cannot be had; the mirror's log says why").Because(err)
}
