package front

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sluice/internal/mirror/access"
	"sluice/internal/mirror/oci"
)

// asksLogin tells whether clients have to log in. On the transparent way they log in
// to the registry.
func (x *exchange) asksLogin() bool { return x.Login && x.conn.Registry == "" }

// login returns who has logged in, or "" on a listener without login. Whoever gives no
// password, or a wrong one, is asked for one.
func (x *exchange) login() (string, error) {
	if !x.asksLogin() {
		return "", nil
	}
	name, password, given := x.r.BasicAuth()
	if !given || len(x.r.Header.Values("Authorization")) != 1 {
		return "", x.challenge("this mirror wants a name and a password")
	}
	ok, err := x.Users().Check(x.r.Context(), x.conn.Client.Addr(), name, password)
	switch {
	case err != nil:
		e := oci.Errorf(http.StatusTooManyRequests, oci.TooManyRequests, "too many passwords of this client wait to be checked").Because(err)
		e.RetryAfter = time.Second
		return "", e
	case !ok:
		return "", x.challenge("the name or the password is wrong")
	}
	return name, nil
}

// challenge asks for a password; docker login shows the message. RFC 7617.
func (x *exchange) challenge(message string) error {
	e := oci.Errorf(http.StatusUnauthorized, oci.Unauthorized, "%s", message)
	realm := x.Realm
	if realm == "" {
		realm = program
	}
	e.Challenge = fmt.Sprintf(`Basic realm="%s", charset="UTF-8"`, realm) //nolint:gocritic // no %q: a realm is not escaped as Go's strings are
	return e
}

// refusal is the answer to who may not pull from a repository. Where there is a login,
// it is asked for only by who has none, which login has seen to.
func (x *exchange) refusal(v access.Verdict, user string) error {
	if v.NeedsUser && x.asksLogin() && user == "" {
		return x.challenge(v.Sentence)
	}
	return oci.Errorf(http.StatusForbidden, oci.Denied, "%s", v.Sentence)
}

// forUpstream returns the credentials of the client that are meant for the upstream:
// a token that it has fetched upon the upstream's challenge, or on the transparent
// way whatever it sends to what it takes for the registry. A password that is sent to
// a mirror is not the registry's.
func (x *exchange) forUpstream() string {
	fields := x.r.Header.Values("Authorization")
	if x.asksLogin() || len(fields) != 1 {
		return ""
	}
	scheme, _, _ := strings.Cut(fields[0], " ")
	if x.conn.Registry != "" || strings.EqualFold(scheme, "Bearer") {
		return fields[0]
	}
	return ""
}

// challenged returns what the registry wants of a client that takes the mirror for it,
// or nil. Docker and others ask for a token when /v2/ says so and then only, and pull
// nothing when they cannot get one, be it public: they are told so where they can.
func (x *exchange) challenged() error {
	own := x.forUpstream()
	err := x.Mirror.Ping(x.r.Context(), x.conn.Registry, own)
	var e *oci.Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized || own != "" {
		return err
	}
	scheme, _, _ := strings.Cut(e.Challenge, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return e
	}
	m := realmForm.FindStringSubmatch(e.Challenge)
	if m == nil || x.Reaches == nil {
		return nil
	}
	realm, parseErr := url.Parse(m[1])
	if parseErr == nil && realm.Scheme == "https" && x.Reaches(x.conn.Client.Addr(), x.conn.Registry, realm) {
		return e
	}
	return nil
}

var realmForm = regexp.MustCompile(`(?i)[ ,]realm="([^"\\]*)"`)
