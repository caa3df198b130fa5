package forward

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhatAHeadSays(t *testing.T) {
	var h head
	err := h.readRequest([]byte("POST http://a/ HTTP/1.1\r\nHost: a\r\nX:\r\nx:  1 \t\r\nConnection: close , X-A,, keep-alive\r\nConnection: UPGRADE\r\nUpgrade: a/1, b\r\nContent-Length: 0012\r\nMax-Forwards: 3\r\nProxy-Authorization: Basic x\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if string(h.method) != "POST" || string(h.target) != "http://a/" || h.minor != 1 || h.length != 12 || h.chunked || !h.close || !h.upgrade || !h.protocols || h.httpOrTLS ||
		h.hosts != 1 || string(h.host) != "a" || h.forwards != 3 || string(h.proxyAuth) != "Basic x" {
		t.Errorf("%+v", h)
	}
	if got := h.named(); !slices.Equal(got, []string{"X-A"}) {
		t.Errorf("Connection names %q", got)
	}
	if len(h.fields) != 9 || string(h.fields[2].name) != "x" || string(h.fields[2].value) != "1" || len(h.fields[1].value) != 0 {
		t.Errorf("fields %q", h.fields)
	}
	// The same head again, to see that nothing of the one before is left.
	if err := h.readRequest([]byte("GET http://a/ HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if h.length != -1 || h.close || h.upgrade || h.protocols || h.hosts != 0 || h.host != nil || h.forwards != -1 || h.proxyAuth != nil || len(h.fields) != 0 || len(h.options) != 0 {
		t.Errorf("%+v", h)
	}
}

func TestProtocolsThatCarryHTTPAreNotUpgradedTo(t *testing.T) {
	for value, want := range map[string]bool{"websocket": false, "h2c": true, "a, H2C": true, "HTTP/2.0": true, "TLS/1.2": true, "tls": true, "h2": true, "h3": true, "": false, "websocket, foo/2": false} {
		var h head
		if err := h.readRequest([]byte("GET http://a/ HTTP/1.1\r\nUpgrade: " + value + "\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if h.httpOrTLS != want || h.protocols != (value != "") {
			t.Errorf("%q: %v, %v", value, h.protocols, h.httpOrTLS)
		}
	}
}

func TestStatusLines(t *testing.T) {
	for line, want := range map[string]any{
		"HTTP/1.1 200 OK":       200,
		"HTTP/1.0 404 ":         404,
		"HTTP/1.1 204":          204,
		"HTTP/1.1 999 \xfc":     999,
		"HTTP/1.1 100 Continue": 100,
		"HTTP/1.1 2000":         flawStatusLine,
		"HTTP/1.1 20":           flawStatusLine,
		"HTTP/1.1 099 x":        flawStatusLine,
		"HTTP/1.1 2x0 x":        flawStatusLine,
		"HTTP/1.1 -20 x":        flawStatusLine,
		"HTTP/1.1  200 x":       flawStatusLine,
		"HTTP/1.1\t200 x":       flawStatusLine,
		"HTTP/1.1 200\tx":       flawStatusLine,
		"HTTP/1.1 200 a\x00":    flawStatusLine,
		"HTTP/1.1 200 a\rb":     flawStatusLine,
		"HTTP/1.2 200 OK":       flawVersion,
		"HTTP/2.0 200 OK":       flawVersion,
		"http/1.1 200 OK":       flawVersion,
		"":                      flawStatusLine,
	} {
		var h head
		err := h.statusLine([]byte(line))
		switch want := want.(type) {
		case int:
			if err != nil || h.status != want {
				t.Errorf("%q: %d, %v", line, h.status, err)
			}
		case flaw:
			if !errors.Is(err, want) {
				t.Errorf("%q: %d, %v; want %v", line, h.status, err, want)
			}
		}
	}
}

func TestChunkSizes(t *testing.T) {
	for line, want := range map[string]any{
		"0":                                  int64(0),
		"a":                                  int64(10),
		"00fF":                               int64(255),
		"5;a":                                int64(5),
		"5;":                                 int64(5),
		"5; a=\"b;c\" ":                      int64(5),
		"fffffffffffffff":                    int64(1<<60 - 1),
		"0fffffffffffffff":                   flawChunkSize,
		"":                                   flawChunkSize,
		";a":                                 flawChunkSize,
		"5 ":                                 flawChunkSize,
		"5 ;a":                               flawChunkSize,
		"5,a":                                flawChunkSize,
		"0x5":                                flawChunkSize,
		"-1":                                 flawChunkSize,
		"5;\x00":                             flawChunkExt,
		"5;\r":                               flawChunkExt,
		"5;" + strings.Repeat("a", 1<<10):    flawChunkExt,
		"\xef\xbc\x95":                       flawChunkSize,
		strings.Repeat("0", maxHexDigits+10): flawChunkSize,
	} {
		n, _, err := parseChunkSize([]byte(line))
		switch want := want.(type) {
		case int64:
			if err != nil || n != want {
				t.Errorf("%q: %d, %v; want %d", line, n, err, want)
			}
		case flaw:
			if !errors.Is(err, want) {
				t.Errorf("%q: %d, %v; want %v", line, n, err, want)
			}
		}
	}
}

func TestFieldsAreKnownByNameInAnyCase(t *testing.T) {
	for name, want := range map[string]class{
		"host": host, "HOST": host, "Content-length": contentLength, "X": ordinary, "TE": hop, "Proxy-Anything-At-All-However-Long-Its-Name": hop,
		"proxy-authorization": proxyAuthorization, "PROXY-Status": proxyStatus, "Proxy": ordinary, "set-cookie": noTrailer, "Via": via,
	} {
		if got, lookalike := classify([]byte(name)); got != want || lookalike {
			t.Errorf("%q: class %d, lookalike %v; want %d", name, got, lookalike, want)
		}
	}
	for name, want := range map[string]bool{"Content_Length": true, "transfer_encoding": true, "Content-Length_": false, "Set_Cookie": false, "X_Y": false} {
		if got, lookalike := classify([]byte(name)); got != ordinary || lookalike != want {
			t.Errorf("%q: class %d, lookalike %v", name, got, lookalike)
		}
	}
}

// connectHead is what curl sends.
var connectHead = []byte("CONNECT production.cloudflare.docker.com:443 HTTP/1.1\r\nHost: production.cloudflare.docker.com:443\r\nUser-Agent: Go-http-client/1.1\r\nProxy-Connection: Keep-Alive\r\n\r\n")

func BenchmarkReadConnect(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(connectHead)))
	for b.Loop() {
		h := newHead()
		if err := h.readRequest(connectHead); err != nil {
			b.Fatal(err)
		}
		if _, err := parseConnect(h.target); err != nil {
			b.Fatal(err)
		}
		if err := h.checkConnect(); err != nil {
			b.Fatal(err)
		}
		h.free()
	}
}

func BenchmarkSendOnARequest(b *testing.B) {
	request := []byte("GET http://deb.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb HTTP/1.1\r\nHost: deb.debian.org\r\nUser-Agent: Debian APT-HTTP/1.3 (2.6.1)\r\nAccept: text/*\r\nIf-Modified-Since: Sat, 26 Dec 2022 17:00:00 GMT\r\nRange: bytes=100-\r\n\r\n")
	b.ReportAllocs()
	out := make([]byte, 0, smallBuffer)
	for b.Loop() {
		h := newHead()
		if err := h.readRequest(request); err != nil {
			b.Fatal(err)
		}
		t, err := parseAbsolute(h.target)
		if err != nil {
			b.Fatal(err)
		}
		out = h.appendRequest(out[:0], sent{target: t, via: "Via: 1.1 sluice-ABCDEFGHIJKL\r\n"})
		h.free()
	}
}

// What a small exchange costs the proxy, its client and its origin together.
func BenchmarkExchange(b *testing.B) {
	p, o := newProxy(b, setup{}), newOrigin(b)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-p.records:
			case <-done:
				return
			}
		}
	}()
	c := p.dial()
	request := []byte("GET http://" + o.addr + "/a HTTP/1.1\r\nHost: " + o.addr + "\r\nUser-Agent: x\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello")
	buf := make([]byte, 4096)
	c.Write(request)
	s := o.accept()
	s.SetDeadline(time.Time{})
	c.SetDeadline(time.Time{})
	s.Read(buf)
	s.Write(answer)
	c.Read(buf)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(request)
		s.Read(buf)
		s.Write(answer)
		c.Read(buf)
	}
}
