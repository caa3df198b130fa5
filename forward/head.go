package forward

import (
	"bytes"
	"math"
	"sync"
)

// class sorts header fields by what this proxy does with them. Most are ordinary.
type class uint8

const (
	ordinary class = iota
	host
	contentLength
	transferEncoding
	connection
	upgrade
	expect
	via
	maxForwards
	proxyAuthorization
	proxyStatus
	hop       // other fields of the one connection
	noTrailer // ordinary in a head, and without business in a trailer section
)

// classes has the field names that are not ordinary. Fields of a connection are
// those of RFC 9110, section 7.6.1; what must not come as a trailer, because it
// frames, routes, authenticates or changes how the content is read, is in section
// 6.5.1.
var classes = map[string]class{
	"host":              host,
	"content-length":    contentLength,
	"transfer-encoding": transferEncoding,
	"connection":        connection,
	"upgrade":           upgrade,
	"expect":            expect,
	"via":               via,
	"max-forwards":      maxForwards,

	"keep-alive":          hop,
	"te":                  hop,
	"trailer":             hop,
	"proxy-authorization": proxyAuthorization,
	"proxy-status":        proxyStatus, // for the end, not the hop: RFC 9209, section 2

	"age":                 noTrailer,
	"authorization":       noTrailer,
	"cache-control":       noTrailer,
	"content-encoding":    noTrailer,
	"content-range":       noTrailer,
	"content-type":        noTrailer,
	"cookie":              noTrailer,
	"date":                noTrailer,
	"expires":             noTrailer,
	"if-match":            noTrailer,
	"if-modified-since":   noTrailer,
	"if-none-match":       noTrailer,
	"if-range":            noTrailer,
	"if-unmodified-since": noTrailer,
	"location":            noTrailer,
	"pragma":              noTrailer,
	"range":               noTrailer,
	"retry-after":         noTrailer,
	"set-cookie":          noTrailer,
	"vary":                noTrailer,
	"www-authenticate":    noTrailer,
}

// classify returns the class of a field name, and whether the name only looks
// like one that frames or routes: servers that hand fields on as environment
// variables take "_" for "-" (RFC 3875, section 4.1.18).
func classify(name []byte) (c class, lookalike bool) {
	var lower [len("if-unmodified-since")]byte
	if hasPrefixFold(name, "proxy-") {
		c = hop
	}
	if len(name) > len(lower) {
		return c, false
	}
	underscore := false
	for i, b := range name {
		b = toLower(b)
		if b == '_' {
			b, underscore = '-', true
		}
		lower[i] = b
	}
	k, ok := classes[string(lower[:len(name)])]
	if !ok {
		return c, false
	}
	if underscore {
		return c, k == host || k == contentLength || k == transferEncoding
	}
	return k, false
}

// field is one header line. Its bytes are those of the buffer that it was read
// into.
type field struct {
	name, value []byte
	class       class
}

// head is the head of a request or of an answer, read strictly: what two
// recipients could read in two ways is an error (RFC 9112, section 11). Its
// slices are those of the buffer that it was read into, and die with it.
type head struct {
	method, target []byte // of a request
	status         int    // of an answer
	reason         []byte
	minor          int // of the HTTP/1 version
	fields         []field

	options   [][]byte // what Connection names, but for the next three
	close     bool     // Connection, or a client's Proxy-Connection, has close
	upgrade   bool     // Connection has upgrade
	protocols bool     // there is an Upgrade that may be passed on
	httpOrTLS bool     // Upgrade has a protocol that may not
	length    int64    // Content-Length; -1: none
	chunked   bool     // Transfer-Encoding: chunked
	hosts     int
	host      []byte // the value of Host
	forwards  int    // Max-Forwards; -1: none
	proxyAuth []byte // the value of Proxy-Authorization; nil: none
}

var heads = sync.Pool{New: func() any { return &head{fields: make([]field, 0, 24)} }}

func newHead() *head { return heads.Get().(*head) }

// free takes the head back. It keeps no slice of a buffer.
func (h *head) free() {
	clear(h.fields[:cap(h.fields)])
	clear(h.options[:cap(h.options)])
	*h = head{fields: h.fields[:0], options: h.options[:0]}
	heads.Put(h)
}

func (h *head) start() {
	*h = head{fields: h.fields[:0], options: h.options[:0], length: -1, forwards: -1}
}

// readRequest reads the head of a request from b, which ends in an empty line.
func (h *head) readRequest(b []byte) error {
	h.start()
	line, rest := cutLine(b)
	if err := h.requestLine(line); err != nil {
		return err
	}
	return h.readFields(rest)
}

// requestLine reads method SP target SP version and nothing looser (RFC 9112,
// section 3).
func (h *head) requestLine(line []byte) error {
	i, j := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if i < 0 {
		return flawHTTP09
	}
	method, version := line[:i], line[j+1:]
	if !isToken(method) {
		return flawMethod
	}
	if i == j {
		return flawHTTP09
	}
	target := line[i+1 : j]
	if !isTarget(target) {
		return flawTargetChars
	}
	switch string(version) {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
		h.minor = 0
	case "HTTP/2.0":
		return flawHTTP2 // RFC 9113, section 3.4: the connection preface
	default:
		return flawVersion
	}
	h.method, h.target = method, target
	return nil
}

// readAnswer reads the head of an answer from b, which ends in an empty line.
func (h *head) readAnswer(b []byte) error {
	h.start()
	line, rest := cutLine(b)
	if err := h.statusLine(line); err != nil {
		return err
	}
	return h.readFields(rest)
}

// statusLine reads version SP three digits SP reason. The last space may be
// missing with the reason (RFC 9112, section 4: many servers leave it out).
func (h *head) statusLine(line []byte) error {
	const version = len("HTTP/1.1")
	if len(line) < len("HTTP/1.1 200") || line[version] != ' ' {
		return flawStatusLine
	}
	switch string(line[:version]) {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
		h.minor = 0
	default:
		return flawVersion
	}
	for _, c := range line[version+1 : version+4] {
		if !isDigit(c) {
			return flawStatusLine
		}
		h.status = 10*h.status + int(c-'0')
	}
	rest := line[version+4:]
	if h.status < 100 || len(rest) > 0 && rest[0] != ' ' {
		return flawStatusLine
	}
	if len(rest) > 0 {
		h.reason = rest[1:]
	}
	if !isValue(h.reason) {
		return flawStatusLine
	}
	return nil
}

// readFields reads header lines up to the empty one.
func (h *head) readFields(b []byte) error {
	for {
		var line []byte
		line, b = cutLine(b)
		if len(line) == 0 {
			return h.framing()
		}
		f, err := readField(line)
		if err != nil {
			return err
		}
		if err := h.note(f); err != nil {
			return err
		}
		h.fields = append(h.fields, f)
	}
}

// readField reads one header line (RFC 9112, section 5). Folded lines and space
// before the colon are errors, as section 5.1 and 5.2 ask for.
func readField(line []byte) (field, error) {
	if line[0] == ' ' || line[0] == '\t' {
		return field{}, flawFold
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return field{}, flawNoColon
	}
	f := field{name: line[:colon], value: trim(line[colon+1:])}
	if !isToken(f.name) {
		return field{}, flawName
	}
	if !isValue(f.value) {
		return field{}, flawControl
	}
	lookalike := false
	if f.class, lookalike = classify(f.name); lookalike {
		return field{}, flawLookalike
	}
	return f, nil
}

// note takes in what a field says about the connection and the framing.
func (h *head) note(f field) error {
	switch f.class {
	case host:
		h.hosts++
		h.host = f.value
	case contentLength:
		if h.length >= 0 {
			return flawLengths
		}
		n, ok := parseLength(f.value)
		if !ok {
			return flawLength
		}
		h.length = n
	case transferEncoding:
		if h.chunked || !equalFold(f.value, "chunked") {
			return flawCoding
		}
		h.chunked = true
	case connection:
		return h.noteConnection(f.value)
	case upgrade:
		h.noteUpgrade(f.value)
	case maxForwards:
		n, ok := parseLength(f.value)
		if !ok || h.forwards >= 0 {
			return flawForwards
		}
		h.forwards = int(min(n, math.MaxInt32))
	case proxyAuthorization:
		if h.proxyAuth != nil {
			return flawCredentials
		}
		h.proxyAuth = f.value
	case hop:
		// RFC 9112, appendix C.2.2: nobody should send it, and many do.
		if equalFold(f.name, "proxy-connection") && equalFold(f.value, "close") {
			h.close = true
		}
	}
	return nil
}

// maxOptions bounds what Connection names, for every other field is compared with
// each of them.
const maxOptions = 32

// noteConnection reads a list of connection options (RFC 9110, section 7.6.1).
func (h *head) noteConnection(list []byte) error {
	for len(list) > 0 {
		var option []byte
		option, list, _ = bytes.Cut(list, []byte{','})
		option = trim(option)
		switch {
		case len(option) == 0 || equalFold(option, "keep-alive"):
			continue
		case !isToken(option):
			return flawConnection
		case equalFold(option, "close"):
			h.close = true
			continue
		}
		switch c, _ := classify(option); c {
		case host, contentLength, transferEncoding, via, proxyStatus, maxForwards:
			if h.status == 0 {
				return flawNominated
			}
			continue // servers are found that name Transfer-Encoding
		case upgrade:
			h.upgrade = true
			continue
		}
		if len(h.options) == maxOptions {
			return flawOptions
		}
		h.options = append(h.options, option)
	}
	return nil
}

// noteUpgrade reads a list of protocols (RFC 9110, section 7.8). Another version
// of HTTP, or HTTP under TLS, would carry requests past this reader.
func (h *head) noteUpgrade(list []byte) {
	for len(list) > 0 {
		var p []byte
		p, list, _ = bytes.Cut(list, []byte{','})
		p = trim(p)
		h.protocols = h.protocols || len(p) > 0
		if hasPrefixFold(p, "h2") || hasPrefixFold(p, "h3") || hasPrefixFold(p, "http") || hasPrefixFold(p, "tls") {
			h.httpOrTLS = true
		}
	}
}

// framing holds what frames the body against each other (RFC 9112, section 6.3).
func (h *head) framing() error {
	switch {
	case h.chunked && h.length >= 0:
		return flawBoth
	case h.chunked && h.minor == 0:
		return flawCoding10
	}
	return nil
}

// nominated tells whether Connection names a field.
func (h *head) nominated(name []byte) bool {
	for _, o := range h.options {
		if len(o) == len(name) && equalFold(name, string(o)) {
			return true
		}
	}
	return false
}
