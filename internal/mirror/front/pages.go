package front

import (
	"net/http"
	"net/url"
	"regexp"

	"sluice/internal/mirror/oci"
)

// SetupRequest asks for the script that sets a client of the mirror up.
type SetupRequest struct {
	Client string     // "docker", "containerd", ...: small letters and digits
	Host   string     // under which the client has reached the mirror, with its port if it gave one
	TLS    bool       // it did by https
	Query  url.Values // what else it says
}

var scriptPath = regexp.MustCompile(`^/setup/([a-z0-9-]{1,32})\.sh$`)

// page answers what is not the registry's own: without login, for it tells how to
// come to log in.
func (x *exchange) page() error {
	missing := oci.Errorf(http.StatusNotFound, oci.Unsupported, "There is nothing here. Registries' clients ask below %s, and /setup/docker.sh is how docker is told of this mirror.", api)
	if x.conn.Registry != "" {
		return missing // the client asks the registry, not the mirror
	}
	if x.route.page == "/ca.crt" {
		if x.CA == nil {
			return missing
		}
		ca := x.CA()
		if len(ca) == 0 {
			return missing
		}
		x.w.Header().Set("Content-Type", "application/x-x509-ca-cert")
		return x.write(ca)
	}
	m := scriptPath.FindStringSubmatch(x.route.page)
	if m == nil || x.Setup == nil {
		return missing
	}
	// What stands in a script that is run by root is the Host field: it is a host, and
	// nothing else.
	host, err := oci.ParseRegistry(x.r.Host)
	if err != nil {
		return oci.Errorf(http.StatusBadRequest, oci.NameInvalid, "The Host field of the request does not say where this mirror is.")
	}
	script, ok := x.Setup(SetupRequest{Client: m[1], Host: host, TLS: x.r.TLS != nil, Query: x.values})
	if !ok {
		return missing
	}
	x.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return x.write(script)
}

// maxQuery is the most bytes of a query that is read.
const maxQuery = 4096

// parseQuery returns the parameters of the request. One that cannot be read is refused:
// "ns" may be in it, and what is meant for one registry is not to be answered by
// another.
func parseQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil || len(raw) > maxQuery {
		return nil, oci.Errorf(http.StatusBadRequest, oci.Unsupported, "the query cannot be read")
	}
	return q, nil
}
