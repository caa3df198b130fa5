package site

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// guard keeps pages of other origins, which the operator's browser may show, from
// using the interface: by requests across origins, by a name of their own that they
// let resolve to this address (DNS rebinding), or in a frame.
type guard struct {
	cross *http.CrossOriginProtection
	names []string // of this host
}

func newGuard() guard {
	g := guard{cross: http.NewCrossOriginProtection(), names: []string{"localhost"}}
	if name, err := os.Hostname(); err == nil && name != "" {
		short, _, _ := strings.Cut(name, ".")
		g.names = append(g.names, strings.ToLower(name), strings.ToLower(short))
	}
	return g
}

// check sets what each answer has in its header, and refuses what must not pass.
func (g *guard) check(w http.ResponseWriter, r *http.Request) *Fault {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case r.Method == http.MethodConnect, r.URL.Host != "":
		return BadRequest("this is an admin address, and no proxy")
	case !strings.HasPrefix(r.URL.Path, "/"):
		return BadRequest("%q is not a path", r.URL.Path)
	case r.ContentLength != 0:
		h.Set("Connection", "close") // what would come is not read
		return BadRequest("the request has a body, and none is wanted")
	}
	if err := g.cross.Check(r); err != nil {
		return &Fault{http.StatusForbidden, "a page of another origin must not do this", nil}
	}
	if g.fetchedElsewhere(r) {
		return &Fault{http.StatusForbidden, "a page of another origin must not ask for this", nil}
	}
	if g.mustBeOurs(r) && !g.isOurs(r.Host) {
		return &Fault{http.StatusMisdirectedRequest, "ask by address, by localhost or by the name of this host; this may be a page that lets its own name lead here", nil}
	}
	return nil
}

// fetchedElsewhere tells whether a page of another origin has this fetched, or in a
// frame: it could not read the answer, but take a place that events have. Browsers say
// so (Fetch Metadata, W3C) to addresses of loopback and over TLS; following a link is
// no fetch. To other addresses, and by 0.0.0.0, they tell of an EventSource its Origin.
func (g *guard) fetchedElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		origin := r.Header.Get("Origin")
		u, err := url.Parse(origin)
		return origin != "" && (err != nil || u.Host != r.Host)
	}
	dest := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || dest != "" && dest != "document"
}

// mustBeOurs tells whether the Host must name this machine. Anyone may let a name of
// theirs lead to a loopback address. From other machines the interface may be asked by
// a name that this one does not know, so there it is only held against changes that a
// browser asks for.
func (g *guard) mustBeOurs(r *http.Request) bool {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	tcp, overTCP := local.(*net.TCPAddr)
	switch {
	case !overTCP: // no browser reaches a unix socket
		return false
	case tcp.IP.IsLoopback():
		return true
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get("Origin") != ""
}

func (g *guard) isOurs(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if _, err := netip.ParseAddr(host); err == nil || hostport == "" { // browsers always send one
		return true
	}
	for _, name := range g.names {
		if host == name {
			return true
		}
	}
	return false
}
