package forward

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/track"
)

// What follows is sent as $L in a head that is otherwise in order. Two servers
// read each of these lines in two ways, or one of them reads what nobody should.
var badLines = map[string]string{
	"length and coding":                    "Content-Length: 5\r\nTransfer-Encoding: chunked",
	"coding and length":                    "Transfer-Encoding: chunked\r\nContent-Length: 5",
	"length 0 and coding":                  "Content-Length: 0\r\nTransfer-Encoding: chunked",
	"two lengths":                          "Content-Length: 5\r\nContent-Length: 6",
	"two equal lengths":                    "Content-Length: 5\r\nContent-Length: 5",
	"two lengths, one of 0":                "Content-Length: 0\r\nContent-Length: 44",
	"lengths in a list":                    "Content-Length: 5, 6",
	"equal lengths in a list":              "Content-Length: 5, 5",
	"length with plus":                     "Content-Length: +5",
	"length with minus":                    "Content-Length: -5",
	"length in hex":                        "Content-Length: 0x5",
	"length in two words":                  "Content-Length: 5 5",
	"length with a tab in it":              "Content-Length: 1\t5",
	"length and semicolon":                 "Content-Length: 5;",
	"length and comma":                     "Content-Length: 5,",
	"length in quotes":                     `Content-Length: "5"`,
	"length of nothing":                    "Content-Length:",
	"length with a letter":                 "Content-Length: 5a",
	"length with an underscore":            "Content-Length: 1_0",
	"length with a fraction":               "Content-Length: 5.0",
	"length with an exponent":              "Content-Length: 1e1",
	"length in other digits":               "Content-Length: \xd9\xa5",
	"length of 19 digits":                  "Content-Length: 1000000000000000000",
	"length that wraps at 64 bits":         "Content-Length: 18446744073709551621",
	"length behind NUL":                    "Content-Length: \x005",
	"length behind vertical tab":           "Content-Length: \x0b5",
	"length behind no-break space":         "Content-Length: \xc2\xa05",
	"length with space before the colon":   "Content-Length : 5",
	"length with tab before the colon":     "Content-Length\t: 5",
	"length with an underscore in it":      "Content_Length: 5",
	"length, both spellings":               "Content-Length: 5\r\nContent_Length: 50",
	"coding identity":                      "Transfer-Encoding: identity",
	"coding gzip":                          "Transfer-Encoding: gzip",
	"coding gzip, chunked":                 "Transfer-Encoding: gzip, chunked",
	"coding chunked, identity":             "Transfer-Encoding: chunked, identity",
	"coding chunked twice":                 "Transfer-Encoding: chunked, chunked",
	"coding chunked in two lines":          "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
	"coding in two lines":                  "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
	"coding in two lines, odd first":       "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
	"coding with a parameter":              "Transfer-Encoding: chunked;q=1",
	"coding in quotes":                     `Transfer-Encoding: "chunked"`,
	"coding in single quotes":              "Transfer-Encoding: 'chunked'",
	"coding with a comma behind":           "Transfer-Encoding: chunked,",
	"coding with a comma in front":         "Transfer-Encoding: ,chunked",
	"coding of nothing":                    "Transfer-Encoding:",
	"coding xchunked":                      "Transfer-Encoding: xchunked",
	"coding chunkedx":                      "Transfer-Encoding: chunkedx",
	"coding chunk":                         "Transfer-Encoding: chunk",
	"coding and a word":                    "Transfer-Encoding: chunked x",
	"coding with NUL":                      "Transfer-Encoding: chunked\x00",
	"coding behind vertical tab":           "Transfer-Encoding: \x0bchunked",
	"coding behind form feed":              "Transfer-Encoding: \x0cchunked",
	"coding with long s":                   "Transfer-Encoding: chun\xe2\x84\xaaed",
	"coding with space before the colon":   "Transfer-Encoding : chunked",
	"coding with tab before the colon":     "Transfer-Encoding\t: chunked",
	"coding with space in front":           " Transfer-Encoding: chunked",
	"coding with tab in front":             "\tTransfer-Encoding: chunked",
	"coding with an underscore":            "Transfer_Encoding: chunked",
	"coding with NUL in the name":          "Transfer-\x00Encoding: chunked",
	"coding with a byte in front":          "\xffTransfer-Encoding: chunked",
	"coding with a quote in the name":      `"Transfer-Encoding": chunked`,
	"coding with a colon in front":         ":Transfer-Encoding: chunked",
	"coding folded":                        "Transfer-Encoding:\r\n chunked",
	"coding folded by a tab":               "Transfer-Encoding: chunked\r\n\t, identity",
	"coding in a fold of another":          "X: y\r\n Transfer-Encoding: chunked",
	"length folded":                        "Content-Length: 1\r\n 5",
	"coding behind bare LF":                "X: y\nTransfer-Encoding: chunked",
	"coding behind bare CR":                "X: y\rTransfer-Encoding: chunked",
	"coding behind CR CR LF":               "X: y\r\r\nTransfer-Encoding: chunked",
	"coding behind LF CR":                  "X: y\n\rTransfer-Encoding: chunked",
	"length behind bare LF":                "X: y\nContent-Length: 5",
	"end of the head by bare LF":           "X: y\n\nGET /smuggled HTTP/1.1",
	"end of the head by CR LF LF":          "X: y\r\n\nGET /smuggled HTTP/1.1",
	"end of the head by LF CR LF":          "X: y\n\r\nGET /smuggled HTTP/1.1",
	"bare CR as a line":                    "\r",
	"NUL in a value":                       "X: a\x00b",
	"escape in a value":                    "X: a\x1bb",
	"DEL in a value":                       "X: a\x7fb",
	"no colon":                             "X",
	"no name":                              ": x",
	"a space in a name":                    "X Y: z",
	"brackets in a name":                   "[X]: y",
	"parentheses in a name":                "X(y): z",
	"a slash in a name":                    "X/Y: z",
	"UTF-8 in a name":                      "X\xc3\xbc: y",
	"two Hosts":                            "Host: other.example",
	"Host spelled with space":              "Host : other.example",
	"Host folded":                          "X: y\r\n Host: other.example",
	"Connection names Host":                "Connection: close, Host",
	"Connection names Content-Length":      "Connection: content-length\r\nContent-Length: 5",
	"Connection names Transfer-Encoding":   "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
	"Connection names Via":                 "Connection: Via",
	"Connection is no list":                "Connection: a b",
	"Connection has quotes":                `Connection: "close"`,
	"Connection names too much":            "Connection: " + strings.Repeat("x,", maxOptions+1),
	"two credentials":                      "Proxy-Authorization: Basic YTpi\r\nProxy-Authorization: Basic Yzpk",
	"Max-Forwards is no number":            "Max-Forwards: -1",
	"two Max-Forwards":                     "Max-Forwards: 1\r\nMax-Forwards: 2",
	"a line that is a request":             "GET http://other.example/smuggled HTTP/1.1",
	"a value with a request behind NUL":    "X: y\x00\r\n\r\nGET /smuggled HTTP/1.1",
	"a request behind an underscored line": "Transfer_Encoding: chunked\r\nContent-Length: 5",
}

// Request lines, $O being the origin's address.
var badRequestLines = map[string]string{
	"two spaces in front of the target":  "GET  http://$O/ HTTP/1.1",
	"two spaces behind the target":       "GET http://$O/  HTTP/1.1",
	"a space in front":                   " GET http://$O/ HTTP/1.1",
	"a space behind":                     "GET http://$O/ HTTP/1.1 ",
	"tabs":                               "GET\thttp://$O/\tHTTP/1.1",
	"a tab in the target":                "GET http://$O/a\tb HTTP/1.1",
	"a space in the target":              "GET http://$O/a b HTTP/1.1",
	"two targets":                        "GET http://$O/ http://$O/smuggled HTTP/1.1",
	"two versions":                       "GET http://$O/ HTTP/1.1 HTTP/1.1",
	"no version":                         "GET http://$O/",
	"no target":                          "GET HTTP/1.1",
	"one word":                           "GET",
	"HTTP/0.9":                           "GET http://$O/ HTTP/0.9",
	"HTTP/1.2":                           "GET http://$O/ HTTP/1.2",
	"HTTP/1.10":                          "GET http://$O/ HTTP/1.10",
	"HTTP/1":                             "GET http://$O/ HTTP/1",
	"HTTP/01.1":                          "GET http://$O/ HTTP/01.1",
	"HTTP/2.0":                           "GET http://$O/ HTTP/2.0",
	"http in small letters":              "GET http://$O/ http/1.1",
	"another protocol":                   "GET http://$O/ RTSP/1.0",
	"the preface of HTTP/2":              "PRI * HTTP/2.0",
	"NUL in the method":                  "GE\x00T http://$O/ HTTP/1.1",
	"a method of brackets":               "[] http://$O/ HTTP/1.1",
	"no method":                          " http://$O/ HTTP/1.1",
	"a method with a colon":              "GET: http://$O/ HTTP/1.1",
	"NUL in the target":                  "GET http://$O/\x00 HTTP/1.1",
	"bare CR in the target":              "GET http://$O/\rX HTTP/1.1",
	"bare LF behind the request line":    "GET http://$O/ HTTP/1.1\nX: y",
	"a fragment":                         "GET http://$O/#a HTTP/1.1",
	"a user":                             "GET http://user@$O/ HTTP/1.1",
	"a user that looks like the host":    "GET http://other.example:80@$O/ HTTP/1.1",
	"a user and a password":              "GET http://user:pass@$O/ HTTP/1.1",
	"an empty user":                      "GET http://@$O/ HTTP/1.1",
	"a backslash for a slash":            "GET http://$O\\@other.example/ HTTP/1.1",
	"backslashes behind the scheme":      "GET http:\\\\$O/ HTTP/1.1",
	"a percent sign in the host":         "GET http://%31%32%37.0.0.1/ HTTP/1.1",
	"a slash escaped in the host":        "GET http://$O%2f.other.example/ HTTP/1.1",
	"a dot that is none":                 "GET http://127\xe3\x80\x820\xef\xbd\xa10.1%00/ HTTP/1.1",
	"a comma in the host":                "GET http://$O,other.example/ HTTP/1.1",
	"a semicolon in the host":            "GET http://$O;other.example/ HTTP/1.1",
	"two ports":                          "GET http://$O:80/ HTTP/1.1",
	"port 0":                             "GET http://127.0.0.1:0/ HTTP/1.1",
	"port 65536":                         "GET http://127.0.0.1:65536/ HTTP/1.1",
	"a port that wraps to 80":            "GET http://127.0.0.1:4294967376/ HTTP/1.1",
	"a port with plus":                   "GET http://127.0.0.1:+80/ HTTP/1.1",
	"a port in hex":                      "GET http://127.0.0.1:0x50/ HTTP/1.1",
	"an empty port":                      "GET http://127.0.0.1:/ HTTP/1.1",
	"a port by name":                     "GET http://127.0.0.1:http/ HTTP/1.1",
	"a zone":                             "GET http://[::1%25lo]/ HTTP/1.1",
	"a zone, not escaped":                "GET http://[::1%lo]/ HTTP/1.1",
	"IPv6 without brackets":              "GET http://::1/ HTTP/1.1",
	"IPv4 in brackets":                   "GET http://[127.0.0.1]/ HTTP/1.1",
	"a name in brackets":                 "GET http://[abc.example]/ HTTP/1.1",
	"an open bracket":                    "GET http://[::1/ HTTP/1.1",
	"a bracket and text":                 "GET http://[::1]x:80/ HTTP/1.1",
	"five parts of an address":           "GET http://127.0.0.0.1/ HTTP/1.1",
	"an address out of range":            "GET http://127.0.0.256/ HTTP/1.1",
	"an empty label":                     "GET http://a..example/ HTTP/1.1",
	"no host":                            "GET http:///smuggled HTTP/1.1",
	"no host but a port":                 "GET http://:80/ HTTP/1.1",
	"one slash":                          "GET http:/$O/ HTTP/1.1",
	"no slash":                           "GET http:$O/ HTTP/1.1",
	"no scheme":                          "GET //$O/ HTTP/1.1",
	"https":                              "GET https://$O/ HTTP/1.1",
	"ftp":                                "GET ftp://$O/ HTTP/1.1",
	"ws":                                 "GET ws://$O/ HTTP/1.1",
	"file":                               "GET file:///etc/passwd HTTP/1.1",
	"authority-form, but not of CONNECT": "GET $O HTTP/1.1",
	"authority-form of connect":          "connect $O HTTP/1.1",
	"origin-form":                        "GET / HTTP/1.1",
	"origin-form that looks absolute":    "GET /http://$O/ HTTP/1.1",
	"asterisk":                           "OPTIONS * HTTP/1.1",
}

// Values of the one Host.
var badHosts = []string{"a b", "a,b", "user@a", "a/b", "a\\b", "a%00", "a:b", "a:0x50", "[::1", "a?b", "a#b", "http://a", `"a"`, "a:1:2"}

// Bodies of a request with Transfer-Encoding: chunked.
var badChunks = map[string]string{
	"no size":                       "\r\nabc\r\n0\r\n\r\n",
	"size of a letter":              "g\r\nabc\r\n0\r\n\r\n",
	"size with plus":                "+3\r\nabc\r\n0\r\n\r\n",
	"size with minus":               "-3\r\nabc\r\n0\r\n\r\n",
	"size with 0x":                  "0x3\r\nabc\r\n0\r\n\r\n",
	"size with an underscore":       "0_3\r\nabc\r\n0\r\n\r\n",
	"size with a comma":             "3,3\r\nabc\r\n0\r\n\r\n",
	"size and a space":              "3 \r\nabc\r\n0\r\n\r\n",
	"size and a tab":                "3\t\r\nabc\r\n0\r\n\r\n",
	"a space and size":              " 3\r\nabc\r\n0\r\n\r\n",
	"size, space, extension":        "3 ;a\r\nabc\r\n0\r\n\r\n",
	"size in other digits":          "\xd9\xa3\r\nabc\r\n0\r\n\r\n",
	"size behind NUL":               "\x003\r\nabc\r\n0\r\n\r\n",
	"size of 16 digits":             "0000000000000003\r\nabc\r\n0\r\n\r\n",
	"size that wraps at 64 bits":    "10000000000000003\r\nabc\r\n0\r\n\r\n",
	"size that is negative":         "ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
	"size line by bare LF":          "3\nabc\r\n0\r\n\r\n",
	"size line by bare CR":          "3\rabc\r\n0\r\n\r\n",
	"size line by CR CR LF":         "3\r\r\nabc\r\n0\r\n\r\n",
	"bare LF in an extension":       "3;a\nabc\r\n0\r\n\r\n",
	"bare CR in an extension":       "3;a\rb\r\nabc\r\n0\r\n\r\n",
	"NUL in an extension":           "3;a=\x00\r\nabc\r\n0\r\n\r\n",
	"bare LF in a quoted extension": "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n",
	"a long extension":              "3;" + strings.Repeat("a", 2*maxChunkLine) + "\r\nabc\r\n0\r\n\r\n",
	"endless extensions":            strings.Repeat("1;"+strings.Repeat("a", maxChunkLine-10)+"\r\na\r\n", maxExtension/maxChunkLine+2) + "0\r\n\r\n",
	"data longer than its size":     "3\r\nabcd\r\n0\r\n\r\n",
	"data shorter than its size":    "4\r\nabc\r\n0\r\n\r\n",
	"data by bare LF":               "3\r\nabc\n0\r\n\r\n",
	"data by nothing":               "3\r\nabc0\r\n\r\n",
	"data by CR":                    "3\r\nabc\r0\r\n\r\n",
	"last chunk by bare LF":         "3\r\nabc\r\n0\n\r\n",
	"end by bare LF":                "3\r\nabc\r\n0\r\n\n",
	"two last chunks":               "0\r\n0\r\n\r\n",
	"trailer without colon":         "0\r\nX\r\n\r\n",
	"trailer folded":                "0\r\nX: y\r\n z\r\n\r\n",
	"trailer by bare LF":            "0\r\nX: y\n\r\n",
	"trailer with space":            "0\r\nX : y\r\n\r\n",
	"trailer with NUL":              "0\r\nX: \x00\r\n\r\n",
	"trailer of length, disguised":  "0\r\nContent_Length: 5\r\n\r\n",
	"trailer too long":              "0\r\nX: " + strings.Repeat("y", maxTrailer) + "\r\n\r\n",
	"trailers too long":             "0\r\n" + strings.Repeat("TE: y\r\n", maxTrailer/7+1) + "\r\n",
	"a request for a trailer":       "0\r\nGET http://$O/smuggled HTTP/1.1\r\n\r\n",
}

func TestWhatCanBeReadInTwoWaysIsRefused(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	t.Logf("%d cases", len(badLines)+len(publishedLines)+len(badRequestLines)+len(badHosts)+len(badChunks)+len(publishedChunks)+4)

	// refused sends a request with another one behind it, and asserts that the
	// answer is one 400 and a close, and that the origin saw no whole request.
	refused := func(t *testing.T, sent string) {
		t.Helper()
		p.t = t
		sent = strings.ReplaceAll(sent, "$O", o.addr)
		follow := "GET http://" + o.addr + "/smuggled HTTP/1.1\r\nHost: " + o.addr + "\r\n\r\n"
		c := p.dial()
		io.WriteString(c, sent+follow)
		got := c.rest()
		if !strings.HasPrefix(got, "HTTP/1.1 400 sluice: ") || strings.Count(got, "\r\n\r\n") != 1 {
			t.Fatalf("answered %q", got)
		}
		for _, want := range []string{"\r\nConnection: close\r\n", "\r\nProxy-Status: sluice; error=http_request_error; details=\""} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %q", want, got)
			}
		}
		if r := p.record(); r.Outcome != "malformed" || r.Status != http.StatusBadRequest || r.Protocol != track.HTTP {
			t.Errorf("record %+v", r)
		}
		p.noRecord()
		if _, seen := o.take(); seen != nil {
			t.Errorf("the origin saw %q", seen)
		}
	}
	for _, list := range []map[string]string{badLines, publishedLines} {
		for name, lines := range list {
			t.Run("line/"+name, func(t *testing.T) {
				refused(t, "POST http://$O/ HTTP/1.1\r\nHost: $O\r\n"+lines+"\r\n\r\n0\r\n\r\n")
			})
		}
	}
	for name, line := range badRequestLines {
		t.Run("request line/"+name, func(t *testing.T) {
			refused(t, line+"\r\nHost: $O\r\n\r\n")
		})
	}
	for _, host := range badHosts {
		t.Run("Host/"+host, func(t *testing.T) {
			refused(t, "GET http://$O/ HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		})
	}
	for _, list := range []map[string]string{badChunks, publishedChunks} {
		for name, body := range list {
			t.Run("chunks/"+name, func(t *testing.T) {
				refused(t, "POST http://$O/ HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\n\r\n"+body)
			})
		}
	}
	for name, sent := range map[string]string{
		"HTTP/1.1 without Host":  "GET http://$O/ HTTP/1.1\r\n\r\n",
		"HTTP/1.0 with a coding": "POST http://$O/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"TRACE with a body":      "TRACE http://$O/ HTTP/1.1\r\nHost: $O\r\nContent-Length: 1\r\n\r\na",
		"two empty lines":        "\r\n\r\nGET http://$O/ HTTP/1.1\r\nHost: $O\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { refused(t, sent) })
	}
}

func TestTheOriginSeesAsManyRequestsAsTheClientWasAllowed(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	hidden := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, request := range map[string]string{
		"in a sized body":        "POST http://$O/outer HTTP/1.1\r\nHost: $O\r\nContent-Length: 35\r\n\r\n" + hidden,
		"in a chunk":             "POST http://$O/outer HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\n\r\n23\r\n" + hidden + "\r\n0\r\n\r\n",
		"in a chunk's extension": "POST http://$O/outer HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\n\r\n1;GET /smuggled HTTP/1.1\r\na\r\n0\r\n\r\n",
		"in a body of GET":       "GET http://$O/outer HTTP/1.1\r\nHost: $O\r\nContent-Length: 35\r\n\r\n" + hidden,
		"in a body of HEAD":      "HEAD http://$O/outer HTTP/1.1\r\nHost: $O\r\nContent-Length: 35\r\n\r\n" + hidden,
		"in a trailer":           "POST http://$O/outer HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: GET /smuggled HTTP/1.1\r\nContent-Length: 35\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			c := p.dial()
			c.send("%s", strings.ReplaceAll(request, "$O", o.addr)+"GET http://"+o.addr+"/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			c.rest()
			_, seen := o.take()
			if len(seen) != 2 || !strings.HasSuffix(seen[0], " /outer") || seen[1] != "GET /last" {
				t.Errorf("the origin saw %q", seen)
			}
			p.record()
			p.record()
			p.noRecord()
		})
	}
	t.Run("behind a refused one", func(t *testing.T) {
		p.t = t
		c := p.dial()
		c.send("%s", "GET http://"+o.addr+"/first HTTP/1.1\r\nHost: x\r\n\r\nGET http://192.168.0.1/ HTTP/1.1\r\nHost: x\r\n\r\nGET http://"+o.addr+"/third HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := c.rest(); strings.Count(got, "HTTP/1.1 ") != 2 {
			t.Errorf("answered %q", got)
		}
		if _, seen := o.take(); len(seen) != 1 || seen[0] != "GET /first" {
			t.Errorf("the origin saw %q", seen)
		}
		p.record()
		p.record()
		p.noRecord()
	})
}

func TestWhatIsNoHTTPIsToldAtOnce(t *testing.T) {
	p := newProxy(t, setup{})
	for name, x := range map[string]struct{ sent, says string }{
		"TLS":                   {"\x16\x03\x01\x02\x00\x01\x00", "the client began with TLS"},
		"SOCKS5":                {"\x05\x01\x00", "the client began with SOCKS"},
		"SOCKS4":                {"\x04\x01\x00\x50", "the client began with SOCKS"},
		"HTTP/0.9":              {"GET /\r\n", "the request line is not"},
		"HTTP/2":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "speaks HTTP/1.1, and the client began with HTTP/2"},
		"a byte of noise":       {"\x00", "does not begin with an HTTP method"},
		"a first line of noise": {"hello there, who is it?\r\n", "the target has a space"},
		"bare LF":               {"GET / HTTP/1.1\n", "bare LF"},
		"origin-form":           {"GET / HTTP/1.1\r\nHost: proxy:3128\r\n\r\n", "this is a forward proxy and not a web server"},
	} {
		p.t = t
		c := p.dial()
		c.send("%s", x.sent) // and waits, with its side open
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 400 sluice: ") || !strings.Contains(got, x.says) {
			t.Errorf("%s: answered %q", name, got)
		}
		if r := p.record(); r.Outcome != "malformed" || r.Status != 400 || !strings.Contains(r.Reason, x.says) {
			t.Errorf("%s: record %+v", name, r)
		}
		p.noRecord()
	}
}

func TestAHeadOverTheBoundsIs431(t *testing.T) {
	p := newProxy(t, setup{})
	for name, head := range map[string]string{
		"one line":         "GET http://a/ HTTP/1.1\r\nX: " + strings.Repeat("y", 1<<20),
		"one request line": "GET http://a/" + strings.Repeat("y", 1<<20),
		"many lines":       "GET http://a/ HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", maxLines+10),
		"large lines":      "GET http://a/ HTTP/1.1\r\n" + strings.Repeat("X: "+strings.Repeat("y", 1000)+"\r\n", 100),
		"CONNECT":          "CONNECT a:443 HTTP/1.1\r\nX: " + strings.Repeat("y", maxHead),
	} {
		c := p.dial()
		go io.WriteString(c, head)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 431 sluice: the request's head has more than 65536 bytes or 256 lines\r\n") || !strings.Contains(got, "error=http_request_error") {
			t.Errorf("%s: answered %.200q", name, got)
		}
		if r := p.record(); r.Outcome != "header_too_large" || r.Status != 431 {
			t.Errorf("%s: record %+v", name, r)
		}
		p.noRecord()
	}
}
