//go:build linux

package endtoend

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/egress"
)

// refusal is a row of the table of what a client is told. The configuration and
// the destination have these in them: $ORIGIN (host:port of an origin that
// answers), $PORT (its port), $SELF (the proxy), $CLOSED, $HOLE.
type refusal struct {
	name  string
	kind  egress.Kind
	rules string // "": all clients may go to every port of loopback
	more  string // further configuration
	to    string // "": $ORIGIN
	login string
	lines string

	status int
	proxy  string // error type of Proxy-Status
	reply  byte
	says   string // part of the sentence
	hides  string // what the record has and the client must not be told
	retry  bool   // there is a Retry-After

	record record // beside what all have; "*" is any value, "?" any or none

	before func(t *testing.T, s *served, to string)         // goes before the request
	wire   map[way]string                                   // SOCKS5's answer where it is no reply
	not    map[way]string                                   // ways in that have no such row, and why
	other  map[way]func(t *testing.T, s *served, r attempt) // another way to ask, or another end
}

// The tables' own literals; what stands in package egress is not asked.
var refusals = []refusal{
	{name: "no rule", kind: egress.RuleDenied, rules: ruleFor(`ports = [80, 443]`),
		status: 403, proxy: "http_request_denied", reply: 0x02,
		says: "no rule lets 127.0.0.1 reach $ORIGIN", record: record{"decision": "deny"}},
	{name: "a rule", kind: egress.RuleDenied, rules: `
[[rule]]
name = "shut"
action = "deny"
ports = ["1-65535"]
`,
		status: 403, proxy: "http_request_denied", reply: 0x02,
		says: "rule shut denies $ORIGIN to 127.0.0.1", record: record{"decision": "deny", "rule": "shut"}},
	{name: "a rule about an address of the name", kind: egress.RuleDenied, rules: `
[[rule]]
name = "nine"
action = "deny"
to = ["127.0.0.9"]
ports = ["1-65535"]
` + admitAll, to: nameDenied + ":$PORT",
		status: 403, proxy: "http_request_denied", reply: 0x02,
		says: "rule nine denies an address of " + nameDenied + " to 127.0.0.1", hides: "127.0.0.9",
		record: record{"decision": "deny", "rule": "all", "dns_seconds": "*"}},
	{name: "an address that is not public", kind: egress.NotPublic, to: "192.168.3.4:80",
		status: 403, proxy: "destination_ip_prohibited", reply: 0x02,
		says: "192.168.3.4 is not a public address", record: record{"decision": "deny", "rule": "all", "dns_seconds": "?"}},
	{name: "a name of an address that is not public", kind: egress.NotPublic, to: nameInside + ":80",
		status: 403, proxy: "destination_ip_prohibited", reply: 0x02,
		says: nameInside + " resolves to an address that is not public", hides: "10.20.30.40",
		record: record{"decision": "deny", "rule": "all", "dns_seconds": "*"}},
	{name: "the proxy itself", kind: egress.Loop, to: "$SELF",
		status: 403, proxy: "proxy_loop_detected", reply: 0x02,
		says: "$SELF leads back to this proxy", record: record{"decision": "deny", "rule": "all", "dns_seconds": "?"}},
	{name: "a name of the proxy itself", kind: egress.Loop, to: nameHere + ":$SELFPORT",
		status: 403, proxy: "proxy_loop_detected", reply: 0x02,
		says: nameHere + ":$SELFPORT leads back to this proxy", record: record{"decision": "deny", "rule": "all", "dns_seconds": "*"}},

	{name: "credentials wanted", kind: egress.AuthRequired, rules: ruleFor(`users = ["ann"]`, everyPort), more: ann,
		status: 407, proxy: "http_request_denied", reply: 0x02,
		says: "127.0.0.1 needs a user and a password to reach $ORIGIN", record: record{"decision": "deny"}, other: stays},
	{name: "a wrong password", kind: egress.AuthRequired, rules: ruleFor(`users = ["ann"]`, everyPort), more: ann, login: "ann:guess",
		status: 407, proxy: "http_request_denied", reply: 0x02,
		says: "the user or the password is wrong", wire: failedLogin, other: stays},
	{name: "an unknown user", kind: egress.AuthRequired, rules: ruleFor(`users = ["ann"]`, everyPort), more: ann, login: "bob:guess",
		status: 407, proxy: "http_request_denied", reply: 0x02,
		says: "the user or the password is wrong", wire: failedLogin, other: stays},

	{name: "a name that does not exist", kind: egress.NameNotFound, to: nameless + ":$PORT",
		status: 502, proxy: "dns_error", reply: 0x04,
		says: nameless + " does not resolve: no such name, or it has no address", record: looked},
	{name: "a name without an address", kind: egress.NameNotFound, to: nameEmpty + ":$PORT",
		status: 502, proxy: "dns_error", reply: 0x04,
		says: nameEmpty + " does not resolve: no such name, or it has no address", record: looked},
	{name: "a name server that fails", kind: egress.NameNotFound, to: nameBroken + ":$PORT",
		status: 502, proxy: "dns_error", reply: 0x04,
		says: nameBroken + " does not resolve: the resolver answered with a failure", record: looked},
	{name: "a name server that is silent", kind: egress.ResolverTimeout, to: nameSilent + ":$PORT", more: hasty,
		status: 504, proxy: "dns_timeout", reply: 0x04,
		says: "no resolver answered for " + nameSilent + " in ", record: looked},

	{name: "refused", kind: egress.Refused, to: "$CLOSED",
		status: 502, proxy: "connection_refused", reply: 0x05,
		says: "$CLOSED refused the connection", record: dialled("$CLOSED")},
	{name: "no route", kind: egress.Unroutable, to: "127.255.255.255:80", // broadcast: connect(2) says ENETUNREACH
		status: 502, proxy: "destination_ip_unroutable", reply: 0x03,
		says: "no route to 127.255.255.255:80", record: dialled("127.255.255.255:80")},
	{name: "no answer in time", kind: egress.Timeout, to: "$HOLE", more: hasty,
		status: 504, proxy: "connection_timeout", reply: 0x04,
		says: "$HOLE did not answer in ", record: dialled("$HOLE")},

	{name: "too many tunnels", kind: egress.ClientLimit, more: "[limits]\ntunnels = 1\n", before: hold,
		status: 429, proxy: "connection_limit_reached", reply: 0x02, retry: true,
		says: "127.0.0.1 has 1 tunnels open, which is its limit", record: allowed},
	{name: "new tunnels too quickly", kind: egress.ClientLimit, more: "[limits]\nnew_tunnels = \"1/m\"\n", before: hold,
		status: 429, proxy: "connection_limit_reached", reply: 0x02, retry: true,
		says: "127.0.0.1 opens more than ", record: allowed},
	{name: "the server is full", kind: egress.ServerFull, more: "[server]\nmax_tunnels = 1\n", before: hold,
		status: 503, proxy: "connection_limit_reached", reply: 0x01, retry: true,
		says: "this proxy has no tunnel left", record: allowed},
	{name: "the server drains", kind: egress.ServerFull, more: "[server]\ndrain = \"1h\"\n", before: hold,
		status: 503, proxy: "connection_limit_reached", reply: 0x01, retry: true,
		says: "this proxy is shutting down", other: draining},

	{name: "no port", kind: egress.Malformed, to: "127.0.0.1:0",
		status: 400, proxy: "http_request_error",
		says: "port", record: unread, wire: map[way]string{socks: "\x05\x00"}},
	{name: "a host that is none", kind: egress.Malformed, to: "a..b:80",
		status: 400, proxy: "http_request_error",
		says: "", record: unread, wire: map[way]string{socks: "\x05\x00"}},
	{name: "a head too large", kind: egress.HeaderTooLarge, lines: "X: " + strings.Repeat("y", 70_000) + "\r\n",
		status: 431, proxy: "http_request_error",
		says: "the request's head has more than 65536 bytes or 256 lines", record: unread,
		not: map[way]string{socks: "a SOCKS5 request has at most 262 bytes"}},
	{name: "an origin that speaks no HTTP", kind: egress.OriginProtocol,
		status: 502, proxy: "http_protocol_error",
		says: "the answer of $ORIGIN cannot be read", record: record{"decision": "allow", "rule": "all", "tries": "1", "dial_seconds": "*", "address": "$ORIGIN", "bytes_up": "*"},
		not: map[way]string{connect: "the proxy does not read what is in a tunnel", socks: "the proxy does not read what is in a tunnel"}},
	{name: "a client that leaves", kind: egress.ClientGone, to: nameSilent + ":$PORT", reply: 0x01,
		says: "the client left before it had an answer", record: looked, other: leaves},
	{name: "a fault that nobody foresaw", kind: egress.Internal, to: "[::1]:80", before: func(t *testing.T, _ *served, _ string) { failConnects(t) },
		status: 500, proxy: "proxy_internal_error", reply: 0x01,
		says: "the proxy could not dial [::1]:80", record: dialled("[::1]:80")},
}

const (
	everyPort = `ports = ["1-65535"]`
	hasty     = "[timeouts]\ndial = \"300ms\"\n"
)

var admitAll = ruleFor(everyPort)

// ruleFor is a rule named "all" for clients on loopback.
func ruleFor(lines ...string) string {
	return "[[rule]]\nname = \"all\"\naction = \"allow\"\nclients = [\"127.0.0.0/8\"]\n" + strings.Join(lines, "\n") + "\n"
}

var ann = func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("[[user]]\nname = \"ann\"\npassword = %q\n", hash)
}()

// Records of requests that were allowed, then looked up or dialled in vain, and
// of those that came to no decision.
var (
	allowed = record{"decision": "allow", "rule": "all"}
	looked  = record{"decision": "allow", "rule": "all", "dns_seconds": "*"}
	unread  = record{"host": "", "port": ""}
)

func dialled(addr string) record {
	return record{"decision": "allow", "rule": "all", "tries": "1", "dial_seconds": "*", "address": addr}
}

// failedLogin is RFC 1929's answer to credentials that are wrong.
var failedLogin = map[way]string{socks: "\x05\x02\x01\x01"}

// Every kind of refusal has a row that is provoked, in each way in that can have
// it.
func TestEachKindOfRefusalHasARow(t *testing.T) {
	seen := make(map[egress.Kind]bool)
	for _, r := range refusals {
		seen[r.kind] = true
		if len(r.not) == len(ways) {
			t.Errorf("row %q is provoked nowhere", r.name)
		}
	}
	for _, k := range egress.Kinds() {
		if !seen[k] {
			t.Errorf("kind %s has no row", k)
		}
	}
}

func TestWhatEachRefusalTellsAndLeaves(t *testing.T) {
	for _, row := range refusals {
		for _, w := range ways {
			t.Run(row.name+"/"+string(w), func(t *testing.T) {
				if why := row.not[w]; why != "" {
					t.Log("there is no such refusal: " + why)
					return
				}
				provoke(t, row, w)
			})
		}
	}
}

// provoke starts a server for one row, asks in one way, and holds what comes of it
// against the row.
func provoke(t *testing.T, row refusal, w way) {
	origin := play(t, answers("SSH-2.0-none\r\n"))
	if row.rules == "" {
		row.rules = admitAll
	}
	s := serve(t, fmt.Sprintf("%s%s[egress]\nallow_private = [\"127.0.0.0/8\", \"::1\"]\nresolver = [%q]\n", row.rules, row.more, nameServer(t)))
	row = row.filled(strings.NewReplacer("$ORIGIN", origin.String(), "$PORT", fmt.Sprint(origin.Port()),
		"$SELFPORT", fmt.Sprint(s.addr.Port()), "$SELF", s.addr.String(),
		"$CLOSED", closedPort(t).String(), "$HOLE", blackHole(t).String()))
	if row.before != nil {
		row.before(t, s, origin.String())
	}
	a := attempt{row: row, way: w, request: request{to: row.to, login: row.login, lines: row.lines}, origin: origin.String()}
	if other := row.other[w]; other != nil {
		other(t, s, a)
	} else {
		a.refused(t, s, s.dial())
	}
	s.noRecord()
}

// filled replaces what is known only when the servers stand.
func (r refusal) filled(names *strings.Replacer) refusal {
	if r.to == "" {
		r.to = "$ORIGIN"
	}
	r.to, r.says = names.Replace(r.to), names.Replace(r.says)
	filled := record{}
	for name, v := range r.record {
		filled[name] = names.Replace(fmt.Sprint(v))
	}
	r.record = filled
	return r
}

// hold opens a tunnel for as long as the test lasts.
func hold(t *testing.T, s *served, to string) {
	t.Helper()
	c := s.dial()
	io.WriteString(c, connect.bytes(request{to: to}))
	got := make([]byte, len(connect.granted()))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != connect.granted() {
		t.Fatalf("the first tunnel got %q, %v", got, err)
	}
	t.Cleanup(func() { c.Close() })
}

// local is the port of a client's end.
func local(c *net.TCPConn) string { return fmt.Sprint(c.LocalAddr().(*net.TCPAddr).Port) }
