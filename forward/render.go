package forward

import (
	"bytes"
	"strconv"
)

func appendField(b []byte, f field) []byte {
	b = append(b, f.name...)
	b = append(b, ": "...)
	b = append(b, f.value...)
	return append(b, crlf...)
}

func appendNumber(b, name []byte, n int64) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = strconv.AppendInt(b, n, 10)
	return append(b, crlf...)
}

// sent says how a request is sent on.
type sent struct {
	target  target
	upgrade bool   // the client may ask for another protocol
	last    bool   // the client sends no other request on its connection
	via     string // the line of this proxy
}

// appendRequest writes a request as the origin gets it: in origin-form (RFC 9112,
// section 3.2.1), with the fields of the client in their order and spelling, but
// for those that are a matter of its connection (RFC 9110, section 7.6.1). Host
// is the one of the target (RFC 9112, section 3.2.2). Via is added (RFC 9110,
// section 7.6.3), and nothing else that the client did not send.
func (h *head) appendRequest(b []byte, s sent) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	switch {
	case len(s.target.path) == 0 && string(h.method) == "OPTIONS":
		b = append(b, '*') // RFC 9112, section 3.2.4
	case s.target.noSlash:
		b = append(b, '/')
	}
	b = append(b, s.target.path...)
	b = append(b, " HTTP/1.1\r\n"...)
	if h.hosts == 0 {
		b = append(b, "Host: "...)
		b = append(b, s.target.authority...)
		b = append(b, crlf...)
	}
	for _, f := range h.fields {
		b = h.appendRequestField(b, f, s)
	}
	b = append(b, s.via...)
	return h.end(b, s.upgrade, s.last)
}

func (h *head) appendRequestField(b []byte, f field, s sent) []byte {
	switch f.class {
	case host:
		f.value = s.target.authority
	case contentLength:
		return appendNumber(b, f.name, h.length)
	case transferEncoding:
		f.value = []byte("chunked")
	case maxForwards:
		if m := string(h.method); m == "OPTIONS" || m == "TRACE" {
			return appendNumber(b, f.name, int64(h.forwards-1))
		}
	case connection, hop, proxyAuthorization, proxyStatus:
		return b
	case upgrade:
		if !s.upgrade {
			return b
		}
	case expect:
		if h.minor == 0 { // RFC 9110, section 10.1.1: it does not know interim answers
			return b
		}
	}
	if h.nominated(f.name) {
		return b
	}
	return appendField(b, f)
}

// appendAnswer writes the head of an answer as the client gets it; how is how its
// content is framed for the client.
func (h *head) appendAnswer(b []byte, how body, via string, last bool) []byte {
	b = append(b, "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(h.status), 10)
	b = append(b, ' ')
	b = append(b, h.reason...)
	b = append(b, crlf...)
	for _, f := range h.fields {
		b = h.appendAnswerField(b, f, how)
	}
	b = append(b, via...)
	return h.end(b, h.status == statusSwitching, last)
}

const statusSwitching = 101

func (h *head) appendAnswerField(b []byte, f field, how body) []byte {
	switch f.class {
	case contentLength:
		// Answers without content have it to tell of another's length (RFC 9110,
		// section 8.6), but for those that must not (RFC 9112, section 6.3).
		if h.status < 200 || h.status == 204 {
			return b
		}
		return appendNumber(b, f.name, h.length)
	case transferEncoding:
		if how.kind != chunked {
			return b
		}
		f.value = []byte("chunked")
	case connection, hop, proxyAuthorization:
		return b
	case upgrade:
		// In other answers it offers a protocol of the hop (RFC 9110, section 7.8).
		if h.status != statusSwitching {
			return b
		}
	}
	if h.nominated(f.name) {
		return b
	}
	return appendField(b, f)
}

// end writes what there is to say about the connection and the empty line.
func (h *head) end(b []byte, upgrade, last bool) []byte {
	switch {
	case upgrade:
		b = append(b, "Connection: Upgrade\r\n"...)
	case last:
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, crlf...)
}

// named returns copies of the field names that Connection names, to outlive the
// head.
func (h *head) named() []string {
	if len(h.options) == 0 {
		return nil
	}
	list := make([]string, len(h.options))
	for i, o := range h.options {
		list[i] = string(o)
	}
	return list
}

// wentThrough tells whether some Via names this proxy.
func (h *head) wentThrough(name string) bool {
	for _, f := range h.fields {
		if f.class == via && bytes.Contains(f.value, []byte(name)) {
			return true
		}
	}
	return false
}
