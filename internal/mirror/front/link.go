package front

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// maxLink is the most bytes of a Link field that are read.
const maxLink = 8192

// nextPage returns the query of the page that a Link field (RFC 8288) with
// rel="next" leads to, and false when there is none. Only the query is used: where the
// page is, the client knows by the mirror's own path, and the upstream's host, or
// whatever else it writes there, is none of the client's.
func nextPage(h http.Header) (url.Values, bool) {
	field := strings.Join(h.Values("Link"), ", ")
	if len(field) > maxLink {
		return nil, false
	}
	for field != "" {
		_, rest, ok := strings.Cut(field, "<")
		if !ok {
			return nil, false
		}
		target, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return nil, false
		}
		var next bool
		next, field = isNext(rest)
		if !next {
			continue
		}
		u, err := url.Parse(target)
		if err != nil {
			return nil, false
		}
		q, err := url.ParseQuery(u.RawQuery)
		return q, err == nil && len(u.RawQuery) <= maxQuery
	}
	return nil, false
}

// isNext reads the parameters of a link up to the comma behind it.
func isNext(params string) (next bool, rest string) {
	quoted, start := false, 0
	for i := 0; i <= len(params); i++ {
		end := i == len(params) || !quoted && (params[i] == ';' || params[i] == ',')
		switch {
		case end:
			name, value, _ := strings.Cut(strings.TrimSpace(params[start:i]), "=")
			if strings.EqualFold(strings.TrimSpace(name), "rel") {
				for _, rel := range strings.Fields(strings.Trim(strings.TrimSpace(value), `"`)) {
					next = next || strings.EqualFold(rel, "next")
				}
			}
			if i == len(params) {
				return next, ""
			}
			if params[i] == ',' {
				return next, params[i+1:]
			}
			start = i + 1
		case params[i] == '"':
			quoted = !quoted
		case params[i] == '\\' && quoted:
			i++
		}
	}
	return next, ""
}

// linkOn sets the Link to the page of a list that the upstream names as the next.
func (x *exchange) linkOn(upstream http.Header, path string) {
	if q, ok := nextPage(upstream); ok {
		x.setLink(path, q)
	}
}

// setLink sets the Link to another page of a list, by the path that this one was asked
// for under.
func (x *exchange) setLink(path string, q url.Values) {
	q.Del("ns")
	if ns := x.w.Header().Get("OCI-Namespace"); ns != "" {
		q.Set("ns", ns)
	}
	target := api + x.route.name + "/" + path
	if encoded := q.Encode(); encoded != "" {
		target += "?" + encoded
	}
	x.w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, target))
}

// passedQuery is the query of a list as it is passed on: all but what is for the mirror.
// A next page may be named by any parameter that the registry thinks of.
func (x *exchange) passedQuery() url.Values {
	q := url.Values{}
	for name, values := range x.values {
		if name != "ns" {
			q[name] = values
		}
	}
	return q
}
