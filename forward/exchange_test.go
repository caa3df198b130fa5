package forward

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/egress"
	"sluice/internal/gate"
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
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
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

func TestKeepAliveUsesOneConnectionForOneDestination(t *testing.T) {
	p, a, b := newProxy(t, setup{}), newOrigin(t), newOrigin(t)
	c := p.dial()
	get := func(s *client, o *origin, path string) {
		t.Helper()
		s.head()
		s.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(path), path)
		if _, body := c.answer("GET"); body != path {
			t.Errorf("got %q, want %q", body, path)
		}
		if r := p.record(); r.Path != path || r.Address.String() != o.addr || r.Method != "GET" || r.Rule != "all" || r.Decision != "allow" {
			t.Errorf("record %+v", r)
		}
	}
	ask := func(o *origin, path string) {
		c.send("GET http://%s%s?secret HTTP/1.1\r\nHost: x\r\n\r\n", o.addr, path)
	}
	ask(a, "/1")
	first := a.accept()
	get(first, a, "/1")
	ask(a, "/2")
	get(first, a, "/2")
	ask(b, "/3")
	second := b.accept()
	get(second, b, "/3")
	if rest := first.rest(); rest != "" {
		t.Errorf("the first origin got %q more", rest)
	}
	ask(a, "/4")
	get(a.accept(), a, "/4")
	if rest := second.rest(); rest != "" {
		t.Errorf("the second origin got %q more", rest)
	}
	// Another client's requests never go over this client's connection.
	c2 := p.dial()
	c2.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", a.addr)
	a.accept().head()
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	var all strings.Builder
	for i := range 100 {
		fmt.Fprintf(&all, "POST http://%s/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", o.addr, i, i, strings.Repeat("b", i))
	}
	go io.WriteString(c, all.String())
	s := o.accept()
	for i := range 100 {
		if head := s.head(); !strings.HasPrefix(head, fmt.Sprintf("POST /%d HTTP/1.1\r\n", i)) {
			t.Fatalf("the origin got %q as number %d", head, i)
		}
		s.expect(strings.Repeat("b", i))
		answer := fmt.Sprintf("answer %d", i)
		s.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer)
	}
	for i := range 100 {
		if _, body := c.answer("POST"); body != fmt.Sprintf("answer %d", i) {
			t.Fatalf("answer %d is %q", i, body)
		}
		if r := p.record(); r.Path != fmt.Sprintf("/%d", i) {
			t.Fatalf("record %d is %+v", i, r)
		}
	}
}

func TestAClientMayHalfCloseBehindItsPipelinedRequests(t *testing.T) {
	p, o := newProxy(t, setup{}), newRecorder(t)
	c := p.dial()
	c.send("%s", strings.Repeat("GET http://"+o.addr+"/ HTTP/1.1\r\nHost: x\r\n\r\n", 10))
	c.CloseWrite()
	if got := strings.Count(c.rest(), "HTTP/1.1 200 OK\r\n"); got != 10 {
		t.Errorf("%d of 10 answers", got)
	}
}

func TestBytesBeyondAnAnswerNeverBecomeTheNext(t *testing.T) {
	for name, more := range map[string]string{
		"with the answer": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
		"one byte":        "x",
	} {
		for _, later := range []bool{false, true} {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			s := o.accept()
			s.head()
			if later {
				s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
			} else {
				s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood%s", more)
			}
			if _, body := c.answer("GET"); body != "good" {
				t.Errorf("got %q", body)
			}
			p.record()
			if later {
				s.send("%s", more)
				time.Sleep(20 * time.Millisecond) // let it reach the proxy's socket
			}
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			s = o.accept() // a new connection
			s.head()
			s.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
			if _, body := c.answer("GET"); body != "true" {
				t.Errorf("%s, later %v: got %q", name, later, body)
			}
			p.record()
			p.noRecord()
		}
	}
}

func TestARequestIsRepeatedOnlyWhereThatDoesNoHarm(t *testing.T) {
	for _, x := range []struct {
		name, request string
		how           func(s *client)
		again         bool
	}{
		{"GET meets a close", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.Close() }, true},
		{"GET meets a reset", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { abort(s.TCPConn) }, true},
		{"DELETE meets a close", "DELETE http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.Close() }, true},
		{"POST meets a close", "POST http://$O/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", func(s *client) { s.Close() }, false},
		{"PUT with a body meets a close", "PUT http://$O/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", func(s *client) { s.Close() }, false},
		{"GET meets half an answer", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.send("HTTP/1.1 2"); s.Close() }, false},
		{"GET meets an interim answer", "GET http://$O/ HTTP/1.1\r\nHost: x\r\n\r\n", func(s *client) { s.send("HTTP/1.1 102 x\r\n\r\n"); s.Close() }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			s := o.accept()
			s.head()
			s.send("HTTP/1.1 204 x\r\n\r\n")
			c.head()
			p.record()

			c.send("%s", strings.ReplaceAll(x.request, "$O", o.addr))
			s.head()
			x.how(s)
			if x.again {
				s = o.accept()
				s.head()
				s.send("HTTP/1.1 204 x\r\n\r\n")
				if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
					t.Errorf("got %q", got)
				}
				if r := p.record(); r.Outcome != "ok" || r.Status != 204 {
					t.Errorf("record %+v", r)
				}
			} else {
				if got := c.rest(); !strings.Contains(got, "HTTP/1.1 502 ") || !strings.Contains(got, "error=http_protocol_error") {
					t.Errorf("got %q", got)
				}
				if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 502 {
					t.Errorf("record %+v", r)
				}
				o.untouched()
			}
			p.noRecord()
		})
	}
}

func TestAFreshConnectionThatClosesIsNotTriedAgain(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	o.accept().Close()
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 502 sluice: "+o.addr+" closed the connection before it answered\r\n") {
		t.Errorf("got %q", got)
	}
	o.untouched()
	p.record()
	p.noRecord()
}

func TestAnAnswerThatEndsEarlyIsAReset(t *testing.T) {
	for _, x := range []struct {
		name, answer string
		how          func(s *client)
		plain        bool // asked by HTTP/1.0
	}{
		{"sized, closed", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", func(s *client) { s.Close() }, false},
		{"sized, reset", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", func(s *client) { abort(s.TCPConn) }, false},
		{"large, closed", "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed in a large chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\npart", func(s *client) { s.Close() }, false},
		{"chunked, closed between chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", func(s *client) { s.Close() }, false},
		{"chunked, closed before the last line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n", func(s *client) { s.Close() }, false},
		{"chunked, framed badly", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartial\r\n0\r\n\r\n", func(s *client) {}, false},
		{"chunked, to HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", func(s *client) { s.Close() }, true},
		{"until close, reset", "HTTP/1.0 200 OK\r\n\r\npart", func(s *client) { abort(s.TCPConn) }, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			version := "1.1"
			if x.plain {
				version = "1.0"
			}
			c.send("GET http://%s/ HTTP/%s\r\nHost: x\r\n\r\n", o.addr, version)
			s := o.accept()
			s.head()
			s.send("%s", x.answer)
			if got := c.head(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") {
				t.Fatalf("got %q", got)
			}
			x.how(s)
			if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("after %q the client sees %v, not a reset", got, err)
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 200 || r.ClosedBy != track.Origin || r.How == "" || r.Reason == "" {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
	}
}

func TestAnswersThatCannotBeReadAre502(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	for name, answer := range map[string]string{
		"length and coding":     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
		"the same length twice": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
		"a list of lengths":     "HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nabcd",
		"a negative length":     "HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nabcd",
		"another coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"a coding in HTTP/1.0":  "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"folded":                "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"bare LF":               "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare CR":               "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 0\r\n\r\n",
		"NUL":                   "HTTP/1.1 200 OK\r\nA: b\x00\r\n\r\n",
		"NUL in the reason":     "HTTP/1.1 200 O\x00K\r\n\r\n",
		"space before colon":    "HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nabcd",
		"no HTTP":               "220 mail.example ESMTP\r\n\r\n",
		"HTTP/0.9":              "<html>\r\n\r\n",
		"HTTP/2":                "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/1.2":              "HTTP/1.2 200 OK\r\n\r\n",
		"ICY":                   "ICY 200 OK\r\n\r\n",
		"two digits":            "HTTP/1.1 20 OK\r\n\r\n",
		"four digits":           "HTTP/1.1 2000 OK\r\n\r\n",
		"status 099":            "HTTP/1.1 099 OK\r\n\r\n",
		"status of letters":     "HTTP/1.1 2OO OK\r\n\r\n",
		"an empty line first":   "\r\nHTTP/1.1 200 OK\r\n\r\n",
		"101, not asked for":    "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"too many lines":        "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxLines+1) + "\r\n",
		"too large a head":      "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", maxHead) + "\r\n\r\n",
		"endless interim":       strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", maxInterim+2),
		"cut in its head":       "HTTP/1.1 200 OK\r\nConte",
		"nothing":               "",
	} {
		t.Run(name, func(t *testing.T) {
			p.t, o.t = t, t
			c := p.dial()
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			s := o.accept()
			s.head()
			io.WriteString(s, answer)
			s.CloseWrite()
			got := c.rest()
			if i := strings.Index(got, "HTTP/1.1 502 sluice: "); i < 0 || !strings.Contains(got[i:], "\r\nProxy-Status: sluice; error=http_protocol_error; details=\"") {
				t.Errorf("got %q", got)
			}
			if r := p.record(); r.Outcome != "origin_protocol" || r.Status != 502 {
				t.Errorf("record %+v", r)
			}
			p.noRecord()
		})
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

func TestNothingMovesForTheIdleTime(t *testing.T) {
	for _, begun := range []bool{false, true} {
		p, o := newProxy(t, setup{policy: func(p *gate.Policy) { p.Idle = 100 * time.Millisecond }}), newOrigin(t)
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
		if !begun {
			if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 504 sluice: "+o.addr+" sent nothing for 100ms\r\n") {
				t.Errorf("got %q", got)
			}
			if r := p.record(); r.Outcome != "timeout" || r.Status != 504 {
				t.Errorf("record %+v", r)
			}
			continue
		}
		s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
		c.head()
		if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %q the client sees %v", got, err)
		}
		if r := p.record(); r.Outcome != "timeout" || r.Status != 200 || r.ClosedBy != track.Sluice || r.How != "idle" {
			t.Errorf("record %+v", r)
		}
	}
}

func TestBytesThatMoveKeepASlowExchangeAlive(t *testing.T) {
	p, o := newProxy(t, setup{policy: func(p *gate.Policy) { p.Idle = 300 * time.Millisecond }}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	s := o.accept()
	s.head()
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
	c.head()
	for range 20 {
		time.Sleep(50 * time.Millisecond)
		s.send("x")
		c.expect("x")
	}
	if r := p.record(); r.Outcome != "ok" {
		t.Errorf("record %+v", r)
	}
}

func TestAKilledExchangeEndsWithAReset(t *testing.T) {
	for _, begun := range []bool{false, true} {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
		if begun {
			s.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart")
			c.head()
			c.expect("part")
		}
		p.gate.Live().KillAll("killed")
		if got, err := io.ReadAll(c.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after %q the client sees %v", got, err)
		}
		if _, err := io.ReadAll(s.r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the origin sees %v", err)
		}
		if r := p.record(); r.ClosedBy != track.Sluice || r.How != "killed" {
			t.Errorf("record %+v", r)
		}
		p.noRecord()
	}
}

func TestAClientThatLeavesEndsItsExchange(t *testing.T) {
	t.Run("before an answer", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
		c.Close()
		if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
			t.Errorf("record %+v", r)
		}
		io.ReadAll(s.r)
	})
	t.Run("in the answer", func(t *testing.T) {
		p, o := newProxy(t, setup{}), newOrigin(t)
		c := p.dial()
		c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		s := o.accept()
		s.head()
		s.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
		c.head()
		c.Close()
		for {
			if _, err := s.Write(make([]byte, 64<<10)); err != nil {
				break
			}
		}
		if r := p.record(); r.Outcome != "client_gone" || r.Status != 200 || r.ClosedBy != track.Client || r.How != "reset" {
			t.Errorf("record %+v", r)
		}
	})
	t.Run("in its body", func(t *testing.T) {
		for name, request := range map[string]string{
			"sized":   "Content-Length: 10\r\n\r\npart",
			"large":   "Content-Length: 1000000\r\n\r\npart",
			"chunked": "Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		} {
			p, o := newProxy(t, setup{}), newOrigin(t)
			c := p.dial()
			c.send("POST http://%s/ HTTP/1.1\r\nHost: x\r\n%s", o.addr, request)
			s := o.accept()
			s.head()
			s.read(4)
			c.CloseWrite()
			if _, err := io.ReadAll(s.r); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%s: the origin sees %v: it may take the part for the whole", name, err)
			}
			if r := p.record(); r.Outcome != "client_gone" || r.Status != 0 {
				t.Errorf("%s: record %+v", name, r)
			}
			p.noRecord()
		}
	})
}

func TestADrainingProxyEndsItsConnections(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	s := o.accept()
	s.head()
	p.gate.Drain()
	s.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 200 OK\r\n") || !strings.Contains(got, "\r\nConnection: close\r\n") {
		t.Errorf("got %q", got)
	}
	p.record()
	c = p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 503 sluice: this proxy is shutting down\r\n") || !strings.Contains(got, "\r\nRetry-After: 5\r\n") {
		t.Errorf("got %q", got)
	}
	if r := p.record(); r.Outcome != egress.ServerFull.String() {
		t.Errorf("record %+v", r)
	}
}

func TestAKeptConnectionGivesItsPlaceBack(t *testing.T) {
	p, o := newProxy(t, setup{limits: limit.Limits{Tunnels: 1}}), newRecorder(t)
	for range 20 {
		c := p.dial()
		for range 3 {
			c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
			if r, _ := c.answer("GET"); r.StatusCode != 200 {
				t.Fatalf("answered %s", r.Status)
			}
			p.record()
		}
		other := p.dial()
		other.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
		if r, _ := other.answer("GET"); r.StatusCode != 429 {
			t.Fatalf("beyond the limit: answered %s", r.Status)
		}
		p.record()
		c.Close()
		eventually(t, "the place is free", func() bool {
			d := p.dial()
			defer d.Close()
			d.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.addr)
			r, _ := d.answer("GET")
			p.record()
			return r.StatusCode == 200
		})
		eventually(t, "the place is free again", func() bool {
			d := p.dial()
			defer d.Close()
			d.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", o.addr)
			r, _ := d.answer("GET")
			p.record()
			return r.StatusCode == 200
		})
	}
}

func TestAnotherRuleNeedsAnotherConnection(t *testing.T) {
	p, o := newProxy(t, setup{}), newOrigin(t)
	c := p.dial()
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	s := o.accept()
	s.head()
	s.send("HTTP/1.1 204 x\r\n\r\n")
	c.head()
	rules, err := acl.New([]acl.Rule{{Name: "none", Action: acl.Deny, Ports: everyPort}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	policy := *p.gate.Policy()
	policy.ACL = rules
	p.gate.Swap(&policy)
	c.send("GET http://%s/ HTTP/1.1\r\nHost: x\r\n\r\n", o.addr)
	if got := c.rest(); !strings.HasPrefix(got, "HTTP/1.1 403 sluice: rule none denies ") {
		t.Errorf("got %q", got)
	}
	if rest := s.rest(); rest != "" {
		t.Errorf("the origin got %q", rest)
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
		p.record()
	}
	p.noRecord()
	o.untouched()
}

func TestAnIdleConnectionHoldsNoBuffer(t *testing.T) {
	near, far := pair(t)
	var r reader
	r.reset(near)
	done := make(chan error)
	go func() { done <- r.fill(smallBuffer) }()
	time.Sleep(20 * time.Millisecond)
	near.SetReadDeadline(past)
	if err := <-done; !isTimeout(err) || r.buf != nil {
		t.Errorf("after a wait for nothing: %v, and a buffer of %d bytes", err, len(r.buf))
	}
	near.SetReadDeadline(time.Time{})
	io.WriteString(far, "x")
	if err := r.fill(smallBuffer); err != nil || string(r.buffered()) != "x" {
		t.Errorf("read %q, %v", r.buffered(), err)
	}
	r.skip(1)
	if r.buf != nil {
		t.Error("an empty reader keeps its buffer")
	}
}
