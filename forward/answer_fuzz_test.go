package forward

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"
)

// FuzzAnswerHead reads the heads of answers as net/http does too: where both take
// one, they must agree where the answer ends, and so they must about what the
// client is sent.
func FuzzAnswerHead(f *testing.F) {
	for _, fields := range []string{
		"", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n",
		"Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
		"Connection: close, X-A\r\nX-A: b\r\n", "Upgrade: h2c\r\nConnection: upgrade\r\n", "Trailer: X\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: Chunked\r\n",
	} {
		for _, line := range []string{"HTTP/1.1 200 OK", "HTTP/1.0 200", "HTTP/1.1 304 Not Modified", "HTTP/1.1 204 ", "HTTP/1.1 100 Continue"} {
			f.Add([]byte(line+"\r\n"+fields+"\r\n"), false)
			f.Add([]byte(line+"\r\n"+fields+"\r\n"), true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, toHEAD bool) {
		var s lines
		n, err := s.more(b)
		if err != nil || n <= len(crlf) {
			return
		}
		var h head
		if h.readAnswer(b[:n]) != nil {
			return
		}
		how := h.answerBody(toHEAD)
		// RFC 9112, section 6.3: no field gives content to an answer that has none by
		// its status. net/http reads chunks there all the same.
		if r := asLibrary(b[:n], toHEAD); r != nil && h.mayHaveBody() {
			compareAnswer(t, b[:n], &h, how, r)
		}
		out := h.appendAnswer(nil, how, "Via: 1.1 sluice-test\r\n", false)
		r := asLibrary(out, toHEAD)
		if r == nil {
			return // a field of the origin's own that net/http does not take
		}
		compareAnswer(t, out, &h, how, r)
		for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Te"} {
			if h.status != http.StatusSwitchingProtocols && len(r.Header[name]) > 0 {
				t.Errorf("%q is sent on as %q", b[:n], out)
			}
		}
		var again head
		if err := again.readAnswer(out); err != nil || again.answerBody(toHEAD) != how || again.status != h.status {
			t.Errorf("%q is sent on as %q: %+v, %v", b[:n], out, again, err)
		}
	})
}

// asLibrary reads the head of an answer as net/http does; nil if it does not.
func asLibrary(b []byte, toHEAD bool) *http.Response {
	request := &http.Request{Method: http.MethodGet}
	if toHEAD {
		request.Method = http.MethodHead
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), request)
	if err != nil {
		return nil
	}
	_ = r.Body.Close() // there is nothing behind the head
	return r
}

func compareAnswer(t *testing.T, b []byte, h *head, how body, r *http.Response) {
	t.Helper()
	if r.StatusCode != h.status {
		t.Errorf("%q: status %d, to net/http %d", b, h.status, r.StatusCode)
	}
	if r.Request.Method == http.MethodHead {
		return // it has no content whatever its fields say
	}
	got := body{}
	switch {
	case len(r.TransferEncoding) > 0:
		got = body{kind: chunked}
	case r.ContentLength > 0:
		got = body{kind: sized, length: r.ContentLength}
	case r.ContentLength < 0:
		got = body{kind: untilClose}
	}
	if got != how {
		t.Errorf("%q: content %+v, to net/http %+v", b, how, got)
	}
}
