package forward

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/acl"
	"sluice/internal/lab"
	"sluice/internal/relay"
)

// FuzzRequestHead reads heads as net/http does too: where both take one, they
// must read the same, and what is sent on must be read as it was meant.
func FuzzRequestHead(f *testing.F) {
	for lines := range maps.Values(badLines) {
		f.Add([]byte("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n" + lines + "\r\n\r\n"))
	}
	for line := range maps.Values(badRequestLines) {
		f.Add([]byte(strings.ReplaceAll(line, "$O", "a.example:81") + "\r\nHost: a.example\r\n\r\n"))
	}
	f.Add(connectHead)
	f.Add([]byte("OPTIONS http://a HTTP/1.1\r\nhost: a\r\nVia: 1.0 x\r\nConnection: te, upgrade\r\nUpgrade: y\r\nTE: trailers\r\nMax-Forwards: 4\r\nPragma: no-cache\r\n\r\n"))
	f.Add([]byte("PUT http://[::1]:8/?q HTTP/1.0\r\nContent-Length: 08\r\nExpect: 100-continue\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s lines
		n, err := s.more(b)
		if err != nil || n <= len(crlf) {
			return
		}
		var h head
		if h.readRequest(b[:n]) != nil {
			return
		}
		// net/http refuses URIs that only the origin has to understand.
		if std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:n]))); err == nil {
			compareRequest(t, &h, std)
		}
		target, err := parseAbsolute(h.target)
		if err != nil || h.checkExchange() != nil {
			return
		}
		checkSentOn(t, &h, target)
	})
}

// notCompared are fields that net/http moves or makes up.
var notCompared = []string{"Host", "Transfer-Encoding", "Trailer", "Pragma", "Cache-Control", "Content-Length"}

func compareRequest(t *testing.T, h *head, std *http.Request) {
	t.Helper()
	ours := http.Header{}
	for _, f := range h.fields {
		name := http.CanonicalHeaderKey(string(f.name))
		ours[name] = append(ours[name], string(f.value))
	}
	if string(h.method) != std.Method || string(h.target) != std.RequestURI || h.minor != std.ProtoMinor {
		t.Errorf("read %q %q HTTP/1.%d, net/http %q %q %s", h.method, h.target, h.minor, std.Method, std.RequestURI, std.Proto)
	}
	length := max(h.length, 0)
	if h.chunked {
		length = -1
	}
	if length != std.ContentLength {
		t.Errorf("read a length of %d, net/http %d", length, std.ContentLength)
	}
	for _, name := range notCompared {
		delete(ours, name)
		std.Header.Del(name)
	}
	if !maps.EqualFunc(ours, std.Header, slices.Equal[[]string]) {
		t.Errorf("read %q, net/http %q", ours, std.Header)
	}
}

func checkSentOn(t *testing.T, h *head, target target) {
	t.Helper()
	const via = "Via: 1.1 sluice-test\r\n"
	out := h.appendRequest(nil, sent{target: target, via: via})
	var again head
	if err := again.readRequest(out); err != nil {
		t.Fatalf("%q is sent on as %q: %v", h.target, out, err)
	}
	if string(again.method) != string(h.method) || again.length != h.length || again.chunked != h.chunked || again.hosts != 1 || again.minor != 1 ||
		len(again.options) > 0 || again.protocols || again.close || again.proxyAuth != nil || !again.wentThrough("sluice-test") {
		t.Errorf("%+v is sent on as %q", h, out)
	}
	for _, f := range again.fields {
		if f.class == hop || f.class == connection {
			t.Errorf("%q is passed on", f.name)
		}
	}
	u, err := url.Parse("http://" + string(again.host))
	if err != nil {
		t.Fatalf("Host: %q: %v", again.host, err)
	}
	if host, err := acl.ParseHost(u.Hostname()); err != nil || host != target.host {
		t.Errorf("decided about %s, and sent Host: %q", target.host, again.host)
	}
	if c := again.target[0]; c != '/' && string(again.target) != "*" {
		t.Errorf("target %q", again.target)
	}
}

// FuzzTarget reads targets as net/url and net do too.
func FuzzTarget(f *testing.F) {
	for line := range maps.Values(badRequestLines) {
		if parts := strings.Fields(line); len(parts) > 1 {
			f.Add(strings.ReplaceAll(parts[1], "$O", "a.example:81"))
		}
	}
	for _, s := range []string{"a.example:443", "[::1]:443", "http://[::ffff:1.2.3.4]:80/", "0x7f.1:80", "http://a?b", "b\xc3\xbccher.example:1", "1.2.3.4:00080", "a.:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !isTarget([]byte(s)) {
			return
		}
		if got, err := parseAbsolute([]byte(s)); err == nil {
			if u, err := url.Parse(s); err == nil {
				port := u.Port()
				if port == "" {
					port = "80"
				}
				compareTarget(t, s, got, u.Hostname(), port)
				if u.User != nil || u.Scheme != "http" {
					t.Errorf("%q: net/url reads user %v and scheme %q", s, u.User, u.Scheme)
				}
			}
		}
		if got, err := parseConnect([]byte(s)); err == nil {
			host, port, err := net.SplitHostPort(s)
			if err != nil {
				t.Fatalf("%q: got %s, and net says %v", s, got.host.Join(got.port), err)
			}
			compareTarget(t, s, got, host, port)
		}
	})
}

func compareTarget(t *testing.T, s string, got target, host, port string) {
	t.Helper()
	h, err := acl.ParseHost(host)
	if err != nil || h != got.host {
		t.Errorf("%q: host %s, and the library reads %q", s, got.host, host)
	}
	if p, err := acl.ParsePort(port); err != nil || p != got.port {
		t.Errorf("%q: port %d, and the library reads %q", s, got.port, port)
	}
}

// FuzzChunked passes chunked bodies on. What is passed on must be read by
// net/http as what came in, and stop where it stopped.
func FuzzChunked(f *testing.F) {
	for body := range maps.Values(badChunks) {
		f.Add([]byte(body))
	}
	f.Add([]byte("3;a=\"b\"\r\nabc\r\n0A\r\n0123456789\r\n000\r\nX: y\r\nHost: z\r\n\r\nGET"))
	f.Add([]byte("10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n0\r\n\r\n"))
	ended, far := lab.Connected(f)
	far.CloseWrite() // reads from ended end at once, as often as one likes
	near, sink := lab.Connected(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 100_000 {
			return // more than the sink's socket holds
		}
		framed, left, err := passChunked(t, b, ended, near, sink, false)
		if err != nil {
			return
		}
		data, _, err := passChunked(t, b, ended, near, sink, true)
		if err != nil {
			t.Fatalf("read with its framing, and without: %v", err)
		}
		out := bufio.NewReader(strings.NewReader(framed))
		body, err := io.ReadAll(httputil.NewChunkedReader(out))
		if err != nil || string(body) != data {
			t.Errorf("%q is passed on as %q: read as %q, %v", b, framed, body, err)
		}
		if in, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(b))); err == nil && string(in) != data {
			t.Errorf("%q is read as %q, and by net/http as %q", b, data, in)
		}
		if !bytes.HasSuffix(b, left) {
			t.Errorf("%q is left of %q", left, b)
		}
		twice, rest, err := passChunked(t, append([]byte(framed), "left"...), ended, near, sink, false)
		if err != nil || twice != framed || string(rest) != "left" {
			t.Errorf("%q, passed on again, is %q and %q, %v", framed, twice, rest, err)
		}
	})
}

// passChunked returns what comes out of b and what is left of it.
func passChunked(t *testing.T, b []byte, ended, near, sink *net.TCPConn, plain bool) (out string, left []byte, err error) {
	t.Helper()
	var r reader
	r.reset(ended)
	r.push(b)
	var count atomic.Int64
	err = lane{dst: near, meter: relay.Meter{Count: &count}}.copy(&r, body{kind: chunked}, plain, []string{"x-hop"})
	got := make([]byte, count.Load())
	sink.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadFull(sink, got); err != nil {
		t.Fatal(err)
	}
	return string(got), r.take(), err
}
