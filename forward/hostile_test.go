package forward

import (
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"sluice/acl"
)

// hostileAnswers are read by some as one thing and by others as another, beside
// those of ending_test.go.
var hostileAnswers = map[string]string{
	"coding and length":                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
	"lengths in two cases":             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\ncontent-length: 40\r\n\r\n",
	"an empty length":                  "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
	"a length with plus":               "HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nabcd",
	"a length in hex":                  "HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nabcd",
	"a length that wraps":              "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551620\r\n\r\nabcd",
	"a length of 19 digits":            "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\nabcd",
	"a length, disguised":              "HTTP/1.1 200 OK\r\nContent_Length: 4\r\n\r\nabcd",
	"a length of letters":              "HTTP/1.1 200 OK\r\nContent-Length: four\r\n\r\nabcd",
	"a length folded":                  "HTTP/1.1 200 OK\r\nContent-Length:\r\n 4\r\n\r\nabcd",
	"a length in an interim answer":    "HTTP/1.1 100 Continue\r\nContent-Length: 4, 5\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"both in an interim answer":        "HTTP/1.1 103 x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
	"both in a 204":                    "HTTP/1.1 204 x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"both in a 304":                    "HTTP/1.1 304 x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"coding identity":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nabcd",
	"coding xchunked":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
	"coding twice":                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"an empty coding":                  "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nContent-Length: 0\r\n\r\n",
	"coding with vertical tab":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
	"coding, space before the colon":   "HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"coding, disguised":                "HTTP/1.1 200 OK\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\n",
	"bare LF in the head":              "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 0\r\n\r\n",
	"the head ends by bare LF":         "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n",
	"CR CR LF":                         "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n",
	"no colon":                         "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n",
	"no name":                          "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
	"a line that begins with a space":  "HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n",
	"a space in a name":                "HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 0\r\n\r\n",
	"an escape in a value":             "HTTP/1.1 200 OK\r\nX: \x1b[2J\r\nContent-Length: 0\r\n\r\n",
	"Connection is no list":            "HTTP/1.1 200 OK\r\nConnection: a b\r\nContent-Length: 0\r\n\r\n",
	"a request":                        "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"status 0":                         "HTTP/1.1 000 OK\r\n\r\n",
	"status with plus":                 "HTTP/1.1 +20 OK\r\n\r\n",
	"no status":                        "HTTP/1.1\r\n\r\n",
	"no space behind the status":       "HTTP/1.1 200OK\r\n\r\n",
	"two spaces before the status":     "HTTP/1.1  200 OK\r\n\r\n",
	"HTTP/0.9 in a status line":        "HTTP/0.9 200 OK\r\n\r\n",
	"HTTP/3":                           "HTTP/3 200\r\n\r\n",
	"a space in front":                 " HTTP/1.1 200 OK\r\n\r\n",
	"101 behind an interim answer":     "HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	"101 that names what was no wish":  "HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
	"endless status line":              "HTTP/1.1 200 " + strings.Repeat("x", 2*maxHead),
	"endless line":                     "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", 2*maxHead),
	"endless small lines":              "HTTP/1.1 200 OK\r\n" + strings.Repeat("a:\r\n", maxHead),
	"many interim answers":             strings.Repeat("HTTP/1.1 103 x\r\nLink: "+strings.Repeat("y", 1000)+"\r\n\r\n", 1000),
	"an interim answer and an end":     "HTTP/1.1 103 x\r\n\r\n",
	"an interim answer and no HTTP":    "HTTP/1.1 103 x\r\n\r\nhello\r\n\r\n",
	"Connection names too many fields": "HTTP/1.1 200 OK\r\nConnection: " + strings.Repeat("x,", maxOptions+1) + "\r\nContent-Length: 0\r\n\r\n",
}

func TestAnAnswerThatCanBeReadInTwoWaysIs502(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	t.Logf("%d cases", len(hostileAnswers))
	for name, answer := range hostileAnswers {
		t.Run(name, func(t *testing.T) {
			p.t, o.t = t, t
			c, s := p.exchange(o)
			io.WriteString(s, answer)
			s.CloseWrite()
			got := c.rest()
			if n := strings.Count(got, "HTTP/1.1 502 sluice: "); n != 1 || strings.Count(got, "HTTP/1.1 ") > 1+maxInterim {
				t.Errorf("got %.400q", got)
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 502 {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

// HTTP/2 and TLS are not asked for, even where something else is: what they carry
// could not be read.
func TestAnUpgradeToWhatCarriesHTTPIsNotGranted(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for _, granted := range []string{"h2c", "HTTP/2.0", "TLS/1.3", "websocket, h2c", "websocket\r\nUpgrade: H2C"} {
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
		s.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nPRI * HTTP/2.0\r\n\r\n", granted)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 502 sluice: ") || !strings.Contains(got, string(flawSwitch)) {
			t.Errorf("%s: got %q", granted, got)
		}
		if r := p.record(); r.Outcome != "origin_protocol" {
			t.Errorf("%s: record %+v", granted, r)
		}
	}
}

// endless are bodies without an end that has a bound: the rest of an answer whose
// head said that it is chunked, and what is then repeated.
var endless = map[string][2]string{
	"extensions":            {"", "1;" + strings.Repeat("a", maxChunkLine/2) + "\r\na\r\n"},
	"one extension":         {"1;", "aaaaaaaaaaaaaaaa"},
	"a size":                {"", "0000000000000000"},
	"trailers":              {"0\r\n", "A: bbbbbbbbbbbbbbbb\r\n"},
	"trailers that go away": {"0\r\n", "Set-Cookie: b\r\n"},
	"one trailer":           {"0\r\nA: ", "bbbbbbbbbbbbbbbb"},
}

func TestAnOriginCannotSendForEver(t *testing.T) {
	for name, parts := range endless {
		t.Run(name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c, s := p.exchange(o)
			s.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s", parts[0])
			flooded := make(chan error, 1)
			go func() {
				more := []byte(strings.Repeat(parts[1], 100))
				for {
					if _, err := s.Write(more); err != nil {
						flooded <- err
						return
					}
				}
			}()
			if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) || len(got) > 2*maxHead {
				t.Errorf("the client got %d bytes and then %v, not a reset", len(got), err)
			}
			if err := <-flooded; isTimeout(err) {
				t.Error("the origin was let write on")
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 200 {
				t.Errorf("record %+v", r)
			}
		})
	}
}

// Answers that end where not everyone sees it, each with another behind it.
func TestBytesBeyondAnswersOfEveryKindNeverBecomeTheNext(t *testing.T) {
	const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, x := range map[string]struct{ method, answer string }{
		"HEAD with a body":           {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 44\r\n\r\n"},
		"HEAD, chunked":              {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"HEAD without a length":      {"HEAD", "HTTP/1.1 200 OK\r\n\r\n"},
		"204 with a length":          {"GET", "HTTP/1.1 204 x\r\nContent-Length: 44\r\n\r\n"},
		"204, chunked":               {"GET", "HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"304 with a length":          {"GET", "HTTP/1.1 304 x\r\nContent-Length: 44\r\n\r\n"},
		"304, chunked":               {"GET", "HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"205 of nothing":             {"GET", "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n"},
		"sized":                      {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"},
		"chunked":                    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
		"chunked with trailers":      {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 44\r\n\r\n"},
		"behind an interim answer":   {"GET", "HTTP/1.1 103 x\r\nContent-Length: 44\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		"an interim answer behind":   {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"},
		"a length that is named hop": {"GET", "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			c.send("%s http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", x.method, o.addr)
			s := o.accept()
			s.head()
			s.send("%s", x.answer+evil)
			p.record()
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.addr)
			s = o.accept() // a new connection
			s.head()
			s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
			if got := c.rest(); strings.Contains(got, "evil") || !strings.HasSuffix(got, "\r\n\r\ntrue") {
				t.Errorf("the client got %q", got)
			}
		})
	}
}

// A server that authenticates connections (NTLM, and Negotiate as it is used with
// it) takes all that comes over one for its user's.
func TestAConnectionWithAnAuthenticatedUserServesNobodyElse(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"NTLM", "Negotiate"} {
		t.Run(scheme, func(t *testing.T) {
			p, o := newProxy(t, setup{
				users: map[string][]byte{"ann": hash, "bob": hash},
				rules: []acl.Rule{{Name: "staff", Action: acl.Allow, Users: []string{"ann", "bob"}, Ports: everyPort}},
			}), newOrigin(t)
			ask := func(c *client, user, authorization string) {
				login := base64.StdEncoding.EncodeToString([]byte(user + ":secret"))
				c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic %s\r\n%s\r\n", o.addr, login, authorization)
			}
			answer := func(c, s *client, status string) {
				t.Helper()
				s.head()
				s.send("HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status)
				if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 "+status[:3]) {
					t.Errorf("got %q", got)
				}
			}
			ann := p.dial()
			ask(ann, "ann", "")
			s := o.accept()
			answer(ann, s, "401 x\r\nWWW-Authenticate: "+scheme)
			ask(ann, "ann", "Authorization: "+scheme+" one\r\n") // the handshake needs the one connection
			answer(ann, s, "401 x\r\nWWW-Authenticate: "+scheme+" two")
			ask(ann, "ann", "Authorization: "+scheme+" three\r\n")
			answer(ann, s, "204 x")

			for range 2 { // other connections of others, and of ann herself
				bob := p.dial()
				ask(bob, "bob", "")
				answer(bob, o.accept(), "401 x")
				again := p.dial()
				ask(again, "ann", "")
				answer(again, o.accept(), "401 x")
			}
			ask(ann, "bob", "") // and another user's request on ann's connection to the proxy
			answer(ann, o.accept(), "401 x")
			if rest := s.rest(); rest != "" {
				t.Errorf("over the authenticated connection came %q", rest)
			}
		})
	}
}

func TestWhatConnectionNamesDoesNotPass(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	via := "Via: 1.1 " + p.handler.name + "\r\n"
	for name, x := range map[string]struct{ sent, want string }{
		"in any case":               {"Connection: X-ONE\r\nx-one: 1\r\nX-Two: 2\r\n", "X-Two: 2\r\n"},
		"in front of it":            {"x-one: 1\r\nX-Two: 2\r\nConnection: x-One\r\n", "X-Two: 2\r\n"},
		"in two lines":              {"Connection: X-One\r\nX-One: 1\r\nConnection: X-Two\r\nX-Two: 2\r\n", ""},
		"each of the name":          {"X-One: 1\r\nConnection: X-One\r\nX-One: 2\r\n", ""},
		"what is an origin's":       {"Connection: Cookie, Authorization\r\nCookie: a\r\nAuthorization: b\r\n", ""},
		"nothing that is there":     {"Connection: X-Three, , keep-alive,\r\nX-One: 1\r\n", "X-One: 1\r\n"},
		"a name in a name":          {"Connection: X-One\r\nX-One-More: 1\r\nX-On: 2\r\n", "X-One-More: 1\r\nX-On: 2\r\n"},
		"by Proxy-Connection, not":  {"Proxy-Connection: X-One\r\nX-One: 1\r\n", "X-One: 1\r\n"},
		"by Keep-Alive, not":        {"Keep-Alive: X-One\r\nX-One: 1\r\n", "X-One: 1\r\n"},
		"Expect":                    {"Connection: Expect\r\nExpect: 100-continue\r\n", ""},
		"Upgrade that is not there": {"Connection: Upgrade\r\nX-One: 1\r\n", "X-One: 1\r\n"},
		"Proxy-Anything":            {"Proxy-Authorization: Basic YTpi\r\nProxy-Features: x\r\nProxy-Instruction: y\r\nX-One: 1\r\n", "X-One: 1\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p.t, o.t = t, t
			c := p.dial()
			c.send("GET http://%[1]s/ HTTP/1.1\r\nHost: %[1]s\r\n%[2]s\r\n", o.addr, x.sent)
			s := o.accept()
			s.expect("GET / HTTP/1.1\r\nHost: " + o.addr + "\r\n" + x.want + via + "\r\n")
			s.send("HTTP/1.1 204 x\r\n%s\r\n", x.sent)
			want := strings.ReplaceAll(x.want, "Proxy-Authorization: Basic YTpi\r\n", "")
			if strings.Contains(x.sent, "Expect") {
				want = ""
			}
			c.expect("HTTP/1.1 204 x\r\n" + want + via + "\r\n")
			c.Close()
			p.record()
		})
	}
}

// What follows the last request of a connection is never one.
func TestNothingIsReadBehindTheLastRequest(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	behind := "GET http://" + o.addr + "/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, sent := range map[string]string{
		"HTTP/1.0":                              "GET http://$O/ HTTP/1.0\r\n\r\n",
		"HTTP/1.0 that would stay":              "GET http://$O/ HTTP/1.0\r\nConnection: keep-alive\r\nProxy-Connection: keep-alive\r\n\r\n",
		"HTTP/1.0 with a body":                  "POST http://$O/ HTTP/1.0\r\nContent-Length: 1\r\n\r\na",
		"Connection: close":                     "GET http://$O/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"Connection: close and keep-alive":      "GET http://$O/ HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
		"Proxy-Connection: close":               "GET http://$O/ HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n\r\n",
		"OPTIONS that ends here, with a body":   "OPTIONS http://$O/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nContent-Length: 1\r\n\r\na",
		"OPTIONS that ends here, with chunks":   "OPTIONS http://$O/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TRACE that ends here":                  "TRACE http://$O/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n",
		"a request to an address not public":    "GET http://192.168.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT to an address not public":      "CONNECT 192.168.0.1:443 HTTP/1.1\r\n\r\n",
		"CONNECT with a length":                 "CONNECT $O HTTP/1.1\r\nContent-Length: 2\r\n\r\n",
		"CONNECT with a coding":                 "CONNECT $O HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"CONNECT that names two lengths":        "CONNECT $O HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"CONNECT in absolute-form":              "CONNECT http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT in small letters":              "connect $O HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT without a version":             "CONNECT $O\r\n\r\n",
		"CONNECT with two hosts":                "CONNECT $O HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"CONNECT with a path":                   "CONNECT $O/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT without a port":                "CONNECT 127.0.0.1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT with a user":                   "CONNECT a@$O HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT with a fold":                   "CONNECT $O HTTP/1.1\r\nX: y\r\n z\r\n\r\n",
		"CONNECT by bare LF":                    "CONNECT $O HTTP/1.1\nHost: x\n\n",
		"CONNECT to an address that has none":   "CONNECT 127.255.255.255:9 HTTP/1.1\r\n\r\n",
		"CONNECT with a request for a protocol": "CONNECT 192.168.0.1:443 HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			c := p.dial()
			c.send("%s", strings.ReplaceAll(sent, "$O", o.addr)+behind+behind)
			if got := c.rest(); strings.Count(got, "HTTP/1.1 ") != 1 {
				t.Errorf("answered %q", got)
			}
			if raw, seen := o.take(); strings.Contains(raw, "smuggled") || len(seen) > 1 {
				t.Errorf("the origin saw %q: %q", seen, raw)
			}
			p.record()
			time.Sleep(time.Millisecond)
			p.noRecord()
		})
	}
}

// An answer to HEAD has a length and no body, also when the proxy gives it and
// the connection stays.
func TestARefusedHEADLeavesTheConnectionInOrder(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	p, o := newProxy(t, setup{
		users: map[string][]byte{"ann": hash},
		rules: []acl.Rule{{Name: "staff", Action: acl.Allow, Users: []string{"ann"}, Ports: everyPort}},
	}), newOrigin(t)
	c := p.dial()
	for _, method := range []string{"HEAD", "GET", "HEAD", "HEAD", "OPTIONS"} {
		c.send("%s http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", method, o.addr)
		r, body := c.answer(method)
		if r.StatusCode != 407 || (body == "") != (method == "HEAD") || r.ContentLength <= 0 {
			t.Fatalf("%s: %v %q", method, r, body)
		}
	}
	o.untouched()
}
