package forward

import (
	"bytes"
	"strconv"

	"sluice/acl"
)

// target is where a request goes and what it asks for there. Its slices are
// those of the buffer that the request was read into.
type target struct {
	host      acl.Host
	port      uint16
	authority []byte // for the Host field
	path      []byte // path and query for the request line, "" for "/"
	noSlash   bool   // a "/" belongs in front of path
}

// parseConnect reads the target of CONNECT: host, colon, port, and nothing else
// (RFC 9112, section 3.2.3).
func parseConnect(b []byte) (target, error) {
	if bytes.IndexByte(b, '/') >= 0 {
		return target{}, flawAuthority
	}
	hostText, port, err := splitAuthority(b)
	if err != nil {
		return target{}, err
	}
	if port == nil {
		return target{}, flawAuthority
	}
	return makeTarget(b, hostText, port)
}

// parseAbsolute reads an http URI (RFC 9112, section 3.2.2).
func parseAbsolute(b []byte) (target, error) {
	rest, err := cutScheme(b)
	if err != nil {
		return target{}, err
	}
	// A backslash ends the authority for some and not for others (WHATWG URL):
	// here it stays in it, and no host name has one.
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, path := rest[:end], rest[end:]
	if bytes.IndexByte(path, '#') >= 0 {
		return target{}, flawFragment
	}
	hostText, port, err := splitAuthority(authority)
	if err != nil {
		return target{}, err
	}
	t, err := makeTarget(authority, hostText, port)
	t.path, t.noSlash = path, len(path) == 0 || path[0] != '/'
	return t, err
}

// cutScheme takes "http://" off, and says what is wrong with anything else.
func cutScheme(b []byte) ([]byte, error) {
	switch {
	case hasPrefixFold(b, "http://"):
		return b[len("http://"):], nil
	case hasPrefixFold(b, "https://"):
		return nil, flawHTTPS
	case len(b) == 1 && b[0] == '*':
		return nil, flawAsterisk
	case b[0] == '/':
		return nil, flawOriginForm
	}
	return nil, flawScheme
}

// splitAuthority parts host and port; port is nil when there is no colon. Of an
// address in brackets, the brackets stay with the host.
func splitAuthority(b []byte) (hostText, port []byte, err error) {
	switch {
	case bytes.IndexByte(b, '@') >= 0:
		return nil, nil, flawUserinfo
	case bytes.IndexByte(b, '%') >= 0:
		return nil, nil, flawEscape
	case len(b) > 0 && b[0] == '[':
		return splitBrackets(b)
	}
	i := bytes.IndexByte(b, ':')
	if i < 0 {
		i = len(b)
	} else {
		port = b[i+1:]
	}
	hostText = b[:i]
	if len(hostText) == 0 {
		return nil, nil, flawNoHostName
	}
	for _, c := range hostText {
		if !isHostChar(c) {
			return nil, nil, flawHostChars
		}
	}
	return hostText, port, checkPort(port)
}

func splitBrackets(b []byte) (hostText, port []byte, err error) {
	i := bytes.IndexByte(b, ']')
	if i < 0 {
		return nil, nil, flawBracket
	}
	for _, c := range b[1:i] {
		if !isDigit(c) && (toLower(c) < 'a' || toLower(c) > 'f') && c != ':' && c != '.' {
			return nil, nil, flawBracket
		}
	}
	hostText, rest := b[:i+1], b[i+1:]
	if len(rest) == 0 {
		return hostText, nil, nil
	}
	if rest[0] != ':' {
		return nil, nil, flawBracket
	}
	return hostText, rest[1:], checkPort(rest[1:])
}

// isHostChar admits letters, digits, "-", ".", "_", and UTF-8 for IDNA.
func isHostChar(c byte) bool {
	return isDigit(c) || 'a' <= toLower(c) && toLower(c) <= 'z' || c == '-' || c == '.' || c == '_' || c >= 0x80
}

func checkPort(port []byte) error {
	if port == nil {
		return nil
	}
	if len(port) == 0 || len(port) > len("65535") {
		return flawPort
	}
	for _, c := range port {
		if !isDigit(c) {
			return flawPort
		}
	}
	return nil
}

func makeTarget(authority, hostText, port []byte) (target, error) {
	t := target{authority: authority, port: 80}
	var err error
	if t.host, err = acl.ParseHost(string(hostText)); err != nil {
		return target{}, flaw(err.Error())
	}
	if port != nil {
		if t.port, err = acl.ParsePort(string(port)); err != nil {
			return target{}, flaw(err.Error())
		}
	}
	t.authority = t.spelling(authority, hostText, port)
	return t, nil
}

// spelling returns the authority as it was written if it is written as everyone
// reads it, letter case aside, else in the one spelling that was decided about:
// an origin must not read another host than the rules did.
func (t *target) spelling(authority, hostText, port []byte) []byte {
	name := t.host.String()
	if t.host.IsAddr() && t.host.Addr().Is6() {
		name = "[" + name + "]"
	}
	if equalFold(hostText, name) && (port == nil || port[0] != '0') {
		return authority
	}
	if port != nil {
		name += ":" + strconv.Itoa(int(t.port))
	}
	return []byte(name)
}

// record returns the path for the record, without the query.
func (t *target) record() string {
	path, _, _ := bytes.Cut(t.path, []byte{'?'})
	if t.noSlash {
		return "/"
	}
	return recorded(path)
}

// maxRecorded is how many bytes of a path, or of a method, a record has: with heads
// as long as they may be, some dozens of requests would fill what the log's queue
// holds, and records of others be lost.
const maxRecorded = 1 << 10

func recorded(b []byte) string {
	if len(b) > maxRecorded {
		return string(b[:maxRecorded]) + "..."
	}
	return string(b)
}
