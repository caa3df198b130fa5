package forward

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
)

// SelfRequest is what an admitted client asks of the proxy itself, by a target in
// origin-form (RFC 9112, section 3.2.1): GET, or HEAD, which is answered alike.
type SelfRequest struct {
	Client netip.Addr // source address, unmapped
	// Host and Port are where the client reaches this proxy: what its Host field
	// says, or the address that it has connected to. A name is the client's own
	// word, in letters, digits, "-", "_" and ".".
	Host   acl.Host
	Port   uint16
	Path   string // as it was sent
	Query  string // as it was sent, without the "?"
	Accept string // what the client prefers; "" if it does not say
}

// SelfAnswer is the whole answer to a SelfRequest.
type SelfAnswer struct {
	Missing     bool   // there is no such page: 404 instead of 200
	ContentType string // as the field's value
	Body        []byte
}

// asksSelf tells whether a request is for the proxy itself, and there is somebody to
// answer it. Any other method in origin-form is refused as a mistaken setting, for
// that is what it comes from, and so is what some read as a host (RFC 3986, section
// 4.2: "//host/").
func (h *Handler) asksSelf(r *head) bool {
	m := string(r.method)
	return h.Self != nil && r.target[0] == '/' && !bytes.HasPrefix(r.target, []byte("//")) && (m == "GET" || m == "HEAD")
}

// self answers a request to the proxy itself, whose head of n bytes is buffered. It
// is the connection's last: whatever follows was meant for somebody else.
func (s *session) self(tx *gate.Transaction, h *head, n int) {
	s.dropOrigin()
	toHEAD := string(h.method) == "HEAD"
	path, query, _ := bytes.Cut(h.target, []byte{'?'})
	tx.Request(recorded(h.method), recorded(path))
	ask := SelfRequest{Client: s.src.Client.Addr().Unmap(), Path: string(path), Query: string(query), Accept: h.value("accept")}
	e := s.prepareSelf(tx, h)
	ask.Host, ask.Port = s.reachedAt(h.host)
	s.in.skip(n)
	if e != nil {
		s.refuse(tx, refusal{Error: e, toHEAD: toHEAD})
		return
	}
	a := s.h.Self(ask)
	status, line := 200, "HTTP/1.1 200 OK\r\n"
	if a.Missing {
		status, line = 404, "HTTP/1.1 404 Not Found\r\n"
	}
	s.conn.SetDeadline(time.Now().Add(answerTimeout))
	_, err := s.conn.Write(appendSelf([]byte(line), a, toHEAD))
	s.conn.SetDeadline(time.Time{})
	f := gate.Finish{Status: status}
	if err != nil {
		f = gate.Finish{Outcome: egress.ClientGone, Err: err}
	}
	tx.Finish(f)
	s.linger()
}

// prepareSelf decides first, so that a stranger is told nothing else.
func (s *session) prepareSelf(tx *gate.Transaction, h *head) *egress.Error {
	if h.wentThrough(s.h.name) {
		// It would be answered as to this machine and not as to its sender.
		return &egress.Error{Kind: egress.Loop, Sentence: "this request has come through this proxy before"}
	}
	if e := tx.AdmitSelf(); e != nil {
		return e
	}
	err := h.checkExchange()
	if err == nil && h.body().kind != noBody {
		err = flawSelfBody
	}
	if err != nil {
		return gate.Malformed(err.Error())
	}
	return nil
}

// reachedAt returns what a client calls this proxy by the value of its Host, or the
// connection's own address where that cannot be dialled.
func (s *session) reachedAt(host []byte) (acl.Host, uint16) {
	if text, port, err := splitAuthority(host); err == nil {
		t, err := makeTarget(host, text, port)
		if err == nil && !(t.host.IsAddr() && t.host.Addr().IsUnspecified()) {
			return t.host, t.port
		}
	}
	local := s.conn.LocalAddr().(*net.TCPAddr).AddrPort()
	h, err := acl.HostFromAddr(local.Addr().WithZone(""))
	if err != nil {
		return acl.Host{}, 0
	}
	return h, local.Port()
}

// value returns the value of the first field of that name, in lower case; "" if there
// is none.
func (h *head) value(name string) string {
	for _, f := range h.fields {
		if len(f.name) == len(name) && equalFold(f.name, name) {
			return string(f.value)
		}
	}
	return ""
}

// selfFields are for browsers: nothing of an answer is kept, taken for a script of
// another page's, framed by it, or loads anything.
const selfFields = "Cache-Control: no-store\r\n" +
	"Vary: Accept, Host\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"Cross-Origin-Resource-Policy: same-origin\r\n" +
	"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n" +
	"Referrer-Policy: no-referrer\r\n" +
	"Connection: close\r\n\r\n"

func appendSelf(b []byte, a SelfAnswer, toHEAD bool) []byte {
	b = append(b, "Content-Type: "...)
	b = append(b, a.ContentType...)
	b = append(b, crlf...)
	b = appendNumber(b, []byte("Content-Length"), int64(len(a.Body)))
	b = append(b, selfFields...)
	if toHEAD {
		return b
	}
	return append(b, a.Body...)
}
