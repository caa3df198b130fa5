package forward

import (
	"encoding/base64"
	"strings"
	"time"

	"sluice/internal/egress"
	"sluice/internal/gate"
)

// established is the whole answer to a granted CONNECT. It has no fields: none
// that frame a body may be there (RFC 9110, section 9.3.6), and old clients look
// for no others.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

// connect serves CONNECT. A refused one ends the connection: what follows it was
// meant for the tunnel and must never be read as a request (RFC 9931).
func (s *session) connect(tx *gate.Transaction, h *head, n int) {
	s.dropOrigin()
	t, e := s.prepareConnect(tx, h)
	s.in.skip(n)
	var end End
	var o *gate.Origin
	if e == nil {
		if s.h.End != nil {
			end = s.h.End(t.host, t.port)
		}
		o, e = s.reach(tx, end)
	}
	if e != nil {
		s.refuse(tx, refusal{Error: e})
		return
	}
	s.conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	if _, err := s.conn.Write([]byte(established)); err != nil {
		o.Close()
		tx.Fail(&egress.Error{Kind: egress.ClientGone, Sentence: "the client left before it had an answer", Err: err}, 0)
		return
	}
	s.conn.SetWriteDeadline(time.Time{})
	s.taken = true
	if end != nil {
		end.Serve(tx, o, s.conn, s.in.take())
		return
	}
	tx.Relay(s.conn, o, s.in.take())
}

// reach dials what a tunnel leads to, unless that is here.
func (s *session) reach(tx *gate.Transaction, end End) (*gate.Origin, *egress.Error) {
	if end == nil {
		return s.dial(tx)
	}
	return tx.AdmitHere(end.Admit(s.src.Client.Addr().Unmap()))
}

// prepareConnect makes the destination known to the transaction.
func (s *session) prepareConnect(tx *gate.Transaction, h *head) (target, *egress.Error) {
	t, err := parseConnect(h.target)
	if err == nil {
		tx.ToHost(t.host, t.port)
		err = h.checkConnect()
	}
	if err != nil {
		return t, gate.Malformed(err.Error())
	}
	return t, s.admit(tx, h, t)
}

// checkConnect refuses a CONNECT that frames a body, for then what is behind its
// head is content to one reader and tunnel to another. A length of 0, which old
// Windows clients send, frames none.
func (h *head) checkConnect() error {
	if h.chunked || h.length > 0 {
		return flawConnectBody
	}
	if h.hosts > 1 {
		return flawHosts
	}
	return nil
}

// admit does what goes before a destination is dialled: a loop is broken, and
// credentials are checked.
func (s *session) admit(tx *gate.Transaction, h *head, t target) *egress.Error {
	if h.wentThrough(s.h.name) {
		return &egress.Error{Kind: egress.Loop, Sentence: "this request has come through this proxy before"}
	}
	if h.proxyAuth == nil || !s.h.Gate.WantsUser(s.src.Client.Addr()) {
		return nil
	}
	user, password, ok := parseBasic(h.proxyAuth)
	if !ok {
		return &egress.Error{Kind: egress.AuthRequired, Sentence: "the credentials are not a user and a password in the Basic scheme"}
	}
	if e := tx.Login(user, password); e != nil {
		return e
	}
	tx.ToHost(t.host, t.port) // anew, now with the user
	return nil
}

// parseBasic reads credentials in the Basic scheme (RFC 7617, section 2).
func parseBasic(b []byte) (user, password string, ok bool) {
	const scheme = "basic "
	if !hasPrefixFold(b, scheme) {
		return "", "", false
	}
	text, err := base64.StdEncoding.Strict().DecodeString(string(trim(b[len(scheme):])))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(text), ":")
}
