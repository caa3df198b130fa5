package forward

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"sluice/acl"
	"sluice/internal/limit"
	"sluice/internal/track"
)

// forwarded is a request as the client sends it and as the origin must get it,
// byte for byte. $O is the origin's address, $V the Via line, $0 that of a client
// that speaks HTTP/1.0.
type forwarded struct{ name, sent, want string }

func TestTheOriginGetsWhatTheClientSentAndNothingElse(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	_, port, _ := strings.Cut(o.addr, ":")
	for _, f := range []forwarded{
		{"the least", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"apt", "GET http://$O/debian/dists/InRelease HTTP/1.1\r\nHost: $O\r\nCache-Control: max-age=0\r\nAccept: text/*\r\nUser-Agent: Debian APT-HTTP/1.3\r\n\r\n",
			"GET /debian/dists/InRelease HTTP/1.1\r\nHost: $O\r\nCache-Control: max-age=0\r\nAccept: text/*\r\nUser-Agent: Debian APT-HTTP/1.3\r\n$V\r\n"},
		{"order, case and repetitions stay", "GET http://$O/a?b=c&d HTTP/1.1\r\nx-B: 2\r\nX-a: 1\r\nhOST: $O\r\nx-b: 1\r\nX-A:\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n",
			"GET /a?b=c&d HTTP/1.1\r\nx-B: 2\r\nX-a: 1\r\nhOST: $O\r\nx-b: 1\r\nX-A: \r\nCookie: a=b\r\nCookie: c=d\r\n$V\r\n"},
		{"no path", "GET http://$O HTTP/1.1\r\nHost: $O\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"no path but a query", "GET http://$O?q HTTP/1.1\r\nHost: $O\r\n\r\n", "GET /?q HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"odd paths are the origin's business", "GET HTTP://$O//a/../%2e%2E/%zz/b;c\\d|e HTTP/1.1\r\nHost: $O\r\n\r\n", "GET //a/../%2e%2E/%zz/b;c\\d|e HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a URI in the path", "GET http://$O/http://other.example/ HTTP/1.1\r\nHost: $O\r\n\r\n", "GET /http://other.example/ HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"bytes of UTF-8", "GET http://$O/\xc3\xbc HTTP/1.1\r\nHost: $O\r\nX: \xc3\xbc\r\n\r\n", "GET /\xc3\xbc HTTP/1.1\r\nHost: $O\r\nX: \xc3\xbc\r\n$V\r\n"},
		{"OPTIONS of the server", "OPTIONS http://$O HTTP/1.1\r\nHost: $O\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"OPTIONS of the root", "OPTIONS http://$O/ HTTP/1.1\r\nHost: $O\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"an unknown method", "PROPFIND http://$O/ HTTP/1.1\r\nHost: $O\r\n\r\n", "PROPFIND / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"HTTP/1.0 without Host", "GET http://$O/ HTTP/1.0\r\nA: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nA: b\r\n$0Connection: close\r\n\r\n"},
		{"HTTP/1.0 does not know interim answers", "GET http://$O/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$0Connection: close\r\n\r\n"},
		{"the last request", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nConnection: close\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$VConnection: close\r\n\r\n"},
		{"hop-by-hop", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nConnection: keep-alive, X-Mine,,te\r\nKeep-Alive: 5\r\nProxy-Connection: Keep-Alive\r\nX-Mine: 1\r\nx-MINE: 2\r\nTE: trailers\r\nTrailer: X\r\nProxy-Authorization: Basic dTpw\r\nProxy-Foo: 1\r\nUpgrade: websocket\r\nX: 1\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: $O\r\nX: 1\r\n$V\r\n"},
		{"Connection: Upgrade", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: $O\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n$VConnection: Upgrade\r\n\r\n"},
		{"no upgrade to HTTP/2, which could not be read", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a Via in front stays", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nVia: 1.0 fred\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nVia: 1.0 fred\r\n$V\r\n"},
		{"Host follows the target", "GET http://$O/ HTTP/1.1\r\nHost: internal.example\r\nX-Forwarded-Host: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nX-Forwarded-Host: x\r\n$V\r\n"},
		{"Host without the port", "GET http://$O/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"an empty Host", "GET http://$O/ HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a short IPv4 spelling", "GET http://127.1:" + port + "/ HTTP/1.1\r\nHost: 127.1:" + port + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"IPv4 in hex", "GET http://0X7F.1:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"IPv4 in IPv6", "GET http://[::FFFF:7f00:1]:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a trailing dot", "GET http://127.0.0.1.:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a name as it is written", "GET http://LocalHost:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: LocalHost:" + port + "\r\n$V\r\n"},
		{"a name with a dot", "GET http://localhost.:" + port + "/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost:" + port + "\r\n$V\r\n"},
		{"white space around values", "GET http://$O/ HTTP/1.1\r\nHost:$O\r\nA:\t b \t\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nA: b\r\n$V\r\n"},
		{"an empty line in front", "\r\nGET http://$O/ HTTP/1.1\r\nHost: $O\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\n$V\r\n"},
		{"a length with zeros", "POST http://$O/ HTTP/1.1\r\nHost: $O\r\nContent-Length: 003\r\n\r\nabc", "POST / HTTP/1.1\r\nHost: $O\r\nContent-Length: 3\r\n$V\r\nabc"},
		{"a length of 0", "POST http://$O/ HTTP/1.1\r\nHost: $O\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: $O\r\nContent-Length: 0\r\n$V\r\n"},
		{"no upgrade with a body", "POST http://$O/ HTTP/1.1\r\nHost: $O\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\na", "POST / HTTP/1.1\r\nHost: $O\r\nContent-Length: 1\r\n$V\r\na"},
		{"a body of GET", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\ncontent-length: 1\r\n\r\na", "GET / HTTP/1.1\r\nHost: $O\r\ncontent-length: 1\r\n$V\r\na"},
		{"chunks", "POST http://$O/ HTTP/1.1\r\nHost: $O\r\ntransfer-encoding:\tCHUNKED \r\n\r\n003;a=\"b\";c\r\nabc\r\nA\r\n0123456789\r\n00\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: $O\r\ntransfer-encoding: chunked\r\n$V\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n"},
		{"trailers", "POST http://$O/ HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\nConnection: X-Hop\r\n\r\n1\r\na\r\n0\r\nX-Sum:\t1 \r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nHost: y\r\nX-Hop: 1\r\nConnection: close\r\nProxy-Authorization: z\r\nUpgrade: x\r\nX-Sum: 2\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: $O\r\nTransfer-Encoding: chunked\r\n$V\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n"},
		{"Max-Forwards counts down", "OPTIONS http://$O/ HTTP/1.1\r\nHost: $O\r\nMax-Forwards: 7\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: $O\r\nMax-Forwards: 6\r\n$V\r\n"},
		{"Max-Forwards elsewhere", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nMax-Forwards: 0\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nMax-Forwards: 0\r\n$V\r\n"},
		{"a large head", "GET http://$O/ HTTP/1.1\r\nHost: $O\r\nCookie: " + strings.Repeat("c", 60_000) + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: $O\r\nCookie: " + strings.Repeat("c", 60_000) + "\r\n$V\r\n"},
	} {
		t.Run(f.name, func(t *testing.T) {
			p.t, o.t = t, t
			fill := strings.NewReplacer("$O", o.addr, "$V", "Via: 1.1 "+p.handler.name+"\r\n", "$0", "Via: 1.0 "+p.handler.name+"\r\n")
			want := fill.Replace(f.want)
			c := p.dial()
			c.send("%s", fill.Replace(f.sent))
			s := o.accept()
			s.expect(want)
			const answer = "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"
			s.send(answer)
			got := c.head()
			closes := strings.Contains(want, "Connection: close")
			if !strings.HasPrefix(got, "HTTP/1.1 204 No Content\r\nX: y\r\nVia: 1.1 sluice-") || strings.Contains(got, "Connection: close") != closes {
				t.Errorf("the client got %q", got)
			}
			r := p.record()
			if r.Protocol != track.HTTP || r.Outcome != "ok" || r.Status != 204 || r.Up != int64(len(want)) || r.Down != int64(len(got)) {
				t.Errorf("record %+v", r)
			}
			if !closes {
				c.Close()
			} else if rest := c.rest(); rest != "" {
				t.Errorf("the client got %q more", rest)
			}
			if rest := s.rest(); rest != "" {
				t.Errorf("the origin got %q more", rest)
			}
			p.noRecord()
		})
	}
}

// passed is an answer as the origin sends it and as the client must get it.
type passed struct{ name, method, sent, want string }

func TestTheClientGetsWhatTheOriginSent(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for _, f := range []passed{
		{"order, case and repetitions stay", "GET", "HTTP/1.1 200 Fine  thanks\r\nb: 1\r\nB:2\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-LENGTH: 2\r\n\r\nhi",
			"HTTP/1.1 200 Fine  thanks\r\nb: 1\r\nB: 2\r\nServer: x\r\nSet-Cookie: a\r\nset-cookie: b\r\ncontent-LENGTH: 2\r\n$V\r\nhi"},
		{"no reason", "GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \r\nContent-Length: 0\r\n$V\r\n"},
		{"an unknown status", "GET", "HTTP/1.1 799 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 799 \r\nContent-Length: 0\r\n$V\r\n"},
		{"HEAD has a length and no body", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n$V\r\n"},
		{"HEAD of something chunked", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\n$V\r\n"},
		{"HEAD without a length", "HEAD", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n$V\r\n"},
		{"204 has no body, whatever it says", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 No Content\r\n$V\r\n"},
		{"304 has a length and no body", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n$V\r\n"},
		{"205", "GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n$V\r\n"},
		{"hop-by-hop", "GET", "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop, Transfer-Encoding\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nTrailer: X\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\nProxy-Status: cdn; error=x\r\nContent-Length: 0\r\n\r\n",
			"HTTP/1.1 200 OK\r\nProxy-Status: cdn; error=x\r\nContent-Length: 0\r\n$V\r\n"},
		{"chunks", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5;x=y\r\nhello\r\n0A\r\n0123456789\r\n000\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n$V\r\n5\r\nhello\r\na\r\n0123456789\r\n0\r\n\r\n"},
		{"trailers", "GET", "HTTP/1.1 200 OK\r\nTrailer: Digest\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nDigest: 1\r\nSet-Cookie: no\r\nKeep-Alive: 1\r\n\r\n",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n$V\r\n1\r\na\r\n0\r\nDigest: 1\r\n\r\n"},
		{"interim answers", "GET", "HTTP/1.1 102 Processing\r\nA: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
			"HTTP/1.1 102 Processing\r\nA: 1\r\n$V\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n$V\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n$V\r\na"},
		{"401 with a challenge of the origin", "GET", "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n$V\r\n"},
		{"a redirect is the client's to follow, gzip the client's to unpack", "GET", "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x00",
			"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n$V\r\n\x1f\x8b\x00"},
	} {
		t.Run(f.name, func(t *testing.T) {
			p.t, o.t = t, t
			want := strings.ReplaceAll(f.want, "$V", "Via: 1.1 "+p.handler.name+"\r\n")
			c := p.dial()
			request := f.method + " http://" + o.addr + "/ HTTP/1.1\r\nHost: x\r\n\r\n"
			c.send("%s", request)
			s := o.accept()
			up := s.head()
			s.send("%s", f.sent)
			c.expect(want)
			if r := p.record(); r.Outcome != "ok" || r.Up != int64(len(up)) || r.Down != int64(len(want)) {
				t.Errorf("record %+v", r)
			}
			// The connections have been left in order: another exchange works.
			c.send("%s", request)
			s.head()
			s.send("HTTP/1.1 204 No Content\r\n\r\n")
			if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
				t.Errorf("then %q", got)
			}
			p.record()
			p.noRecord()
		})
	}
}

func TestAnswersThatEndWithTheConnection(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	body := strings.Repeat("until the end ", 10_000)
	for name, head := range map[string]string{
		"HTTP/1.0":                     "HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1":                     "HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 that says it closes": "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
	} {
		c, s := p.exchange(o)
		go func() { io.WriteString(s, head+body); s.Close() }()
		got := c.rest()
		if want := "HTTP/1.1 200 OK\r\nVia: " + head[len("HTTP/"):len("HTTP/1.x")] + " " + p.handler.name + "\r\nConnection: close\r\n\r\n" + body; got != want {
			t.Errorf("%s: got %d bytes %.100q, want %d", name, len(got), got, len(want))
		}
		if r := p.record(); r.Outcome != "ok" || r.Down != int64(len(got)) {
			t.Errorf("%s: record %+v", name, r)
		}
	}
}

func TestAnHTTP10ClientGetsNoChunksAndNoInterimAnswers(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", o.addr)
	s := o.accept()
	s.head()
	s.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n")
	if got, want := c.rest(), "HTTP/1.1 200 OK\r\nVia: 1.1 "+p.handler.name+"\r\nConnection: close\r\n\r\nhello world"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestLargeBodiesBothWays(t *testing.T) {
	const size = 5<<20 + 12345
	data := strings.Repeat("0123456789abcdef", size/16+1)[:size]
	chunkOf := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	pieces := chunkOf(data[:70_000]) + chunkOf(data[70_000:70_001]) + chunkOf(data[70_001:1_000_000]) + chunkOf(data[1_000_000:1_010_000]) + chunkOf(data[1_010_000:]) + "0\r\n\r\n"
	for _, l := range []limit.Limits{{}, {Upload: 1 << 30, Download: 1 << 30, Burst: 1 << 20}} {
		for name, framed := range map[string]string{
			"sized":   fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, data),
			"chunked": "Transfer-Encoding: chunked\r\n\r\n" + pieces,
		} {
			p, o := newProxy(t, setup{limits: l}), newOrigin(t)
			via := "Via: 1.1 " + p.handler.name + "\r\n"
			head, rest, _ := strings.Cut(framed, "\r\n\r\n")
			c := p.dial()
			go io.WriteString(c, "PUT http://"+o.addr+"/ HTTP/1.1\r\nHost: "+o.addr+"\r\n"+framed)
			s := o.accept()
			up := "PUT / HTTP/1.1\r\nHost: " + o.addr + "\r\n" + head + "\r\n" + via + "\r\n" + rest
			if got := s.read(len(up)); got != up {
				t.Fatalf("%s: the body did not arrive as it was", name)
			}
			go io.WriteString(s, "HTTP/1.1 200 OK\r\n"+framed)
			down := "HTTP/1.1 200 OK\r\n" + head + "\r\n" + via + "\r\n" + rest
			if got := c.read(len(down)); got != down {
				t.Fatalf("%s: the answer's body did not arrive as it was", name)
			}
			if r := p.record(); r.Up != int64(len(up)) || r.Down != int64(len(down)) || r.Outcome != "ok" {
				t.Errorf("%s: record %+v; %d up, %d down", name, r, len(up), len(down))
			}
		}
	}
}

func TestAClientWaitsForContinueBeforeItSendsItsBody(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", o.addr)
	s := o.accept()
	if got := s.head(); !strings.Contains(got, "\r\nExpect: 100-continue\r\n") {
		t.Errorf("the origin got %q", got)
	}
	s.send("HTTP/1.1 100 Continue\r\n\r\n")
	if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n") {
		t.Errorf("the client got %q", got)
	}
	c.send("body")
	s.expect("body")
	s.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
	if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 201 Created\r\n") || strings.Contains(got, "close") {
		t.Errorf("then %q", got)
	}
	// Refused without a look at the body, which the client may send or not: what
	// comes next cannot be told, so the connection ends.
	c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", o.addr)
	s.head()
	s.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 417 No\r\n") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("then %q", got)
	}
	p.record()
	if r := p.record(); r.Status != 417 || r.Outcome != "ok" {
		t.Errorf("record %+v", r)
	}
}

func TestAnOriginMayAnswerBeforeItHasTheBody(t *testing.T) {
	for name, framing := range map[string]string{"sized": "Content-Length: 1000000000\r\n\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n3b9aca00\r\n"} {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		stop := make(chan struct{})
		go func() {
			defer close(stop)
			io.WriteString(c, "POST http://"+o.addr+"/ HTTP/1.1\r\nHost: x\r\n"+framing)
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		s := o.accept()
		s.head()
		s.send("HTTP/1.1 413 Too Much\r\nContent-Length: 3\r\n\r\nno!")
		if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 413 Too Much\r\n") || !strings.Contains(got, "Connection: close\r\n") {
			t.Errorf("%s: the client got %q", name, got)
		}
		c.expect("no!")
		if r := p.record(); r.Status != 413 || r.Outcome != "ok" {
			t.Errorf("%s: record %+v", name, r)
		}
		<-stop
	}
}

func TestAnUpgradeBecomesATunnel(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/chat HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly", o.addr, o.addr)
	s := o.accept()
	up := s.head()
	s.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello")
	down := c.head()
	if want := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nVia: 1.1 " + p.handler.name + "\r\nConnection: Upgrade\r\n\r\n"; down != want {
		t.Errorf("got %q\nwant %q", down, want)
	}
	c.expect("hello")
	s.expect("early")
	c.send("more")
	s.expect("more")
	s.send("and more")
	c.expect("and more")
	c.Close()
	s.Close()
	r := p.record()
	if r.Protocol != track.HTTP || r.Status != 101 || r.Path != "/chat" || r.Up != int64(len(up)+len("earlymore")) || r.Down != int64(len(down)+len("helloand more")) {
		t.Errorf("record %+v", r)
	}
	p.noRecord()
}

func TestAnUpgradeThatIsNotGrantedIsARequest(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	for range 2 {
		c.send("GET http://%s/chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", o.addr)
	}
	s := o.accept()
	for range 2 {
		s.head()
		s.send("HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n")
		if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 426 ") || strings.Contains(got, "Upgrade: x") {
			t.Errorf("got %q", got)
		}
	}
}

func TestARequestThatCameThroughThisProxyIsALoop(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for _, via := range []string{"Via: 1.1 $N", "Via: 1.1 a, 1.1 $N (x)", "Via: 1.1 a\r\nvia: 1.0 $N, 1.1 b"} {
		for _, line := range []string{"GET http://$O/ HTTP/1.1\r\nHost: x\r\n", "CONNECT $O HTTP/1.1\r\n"} {
			c := p.dial()
			c.send("%s", strings.NewReplacer("$O", o.addr, "$N", p.handler.name).Replace(line+via+"\r\n\r\n"))
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 sluice: ") || !strings.Contains(got, "error=proxy_loop_detected") {
				t.Errorf("got %q", got)
			}
			if r := p.record(); r.Outcome != "loop" || r.Decision != "deny" {
				t.Errorf("record %+v", r)
			}
		}
	}
	o.untouched()
}

func TestTheLastRecipientAnswersItself(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for method, status := range map[string]string{"OPTIONS": "200", "TRACE": "501"} {
		c := p.dial()
		c.send("%s http://%s/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", method, o.addr)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 "+status+" ") {
			t.Errorf("%s: got %q", method, got)
		}
		if r := p.record(); r.Decision != "allow" || r.Rule != "all" {
			t.Errorf("record %+v", r)
		}
	}
	p.noRecord()
	o.untouched()
}

func TestTheRulesHoldForWhatTheLastRecipientAnswers(t *testing.T) {
	p := newProxy(t, setup{rules: []acl.Rule{{Name: "no", Action: acl.Deny, Ports: everyPort}}})
	for _, method := range []string{"OPTIONS", "TRACE"} {
		c := p.dial()
		c.send("%s http://example.com/ HTTP/1.1\r\nHost: x\r\nMax-Forwards: 0\r\n\r\n", method)
		if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 sluice: ") {
			t.Errorf("%s: got %q", method, got)
		}
		if r := p.record(); r.Decision != "deny" || r.Outcome != "rule_denied" {
			t.Errorf("record %+v", r)
		}
	}
}

// Records of requests that are as long as they may be would push those of others out
// of the log's queue.
func TestARecordHasTheBeginningOfALongPath(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	method, path := strings.Repeat("M", 2*maxRecorded), "/"+strings.Repeat("p", 40<<10)
	c.send("%s http://%s%s?query HTTP/1.1\r\nHost: x\r\n\r\n", method, o.addr, path)
	s := o.accept()
	if got := s.head(); !strings.HasPrefix(got, method+" "+path+"?query HTTP/1.1\r\n") {
		t.Errorf("the origin gets %.80q", got)
	}
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c.head()
	if r := p.record(); r.Path != path[:maxRecorded]+"..." || r.Method != method[:maxRecorded]+"..." {
		t.Errorf("the record has %d bytes of the path and %d of the method", len(r.Path), len(r.Method))
	}
}
