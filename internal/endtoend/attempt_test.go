//go:build linux

package endtoend

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// attempt is a row of the table, asked for in one way.
type attempt struct {
	row     refusal
	way     way
	request request
	origin  string // host:port of an origin that would answer
}

// refused asks on a new connection and reads to its end, which must be a clean
// one. What is sent behind the request must never be read as another.
func (a attempt) refused(t *testing.T, s *served, c *net.TCPConn) {
	t.Helper()
	behind := absolute.bytes(request{to: a.origin})
	if a.way == socks {
		behind = "\x05\x01\x00" + behind
	}
	io.WriteString(c, a.way.bytes(a.request)+behind)
	a.ends(t, s, c)
}

// ends reads the refusal, the end behind it, and the record.
func (a attempt) ends(t *testing.T, s *served, c *net.TCPConn) {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("after %q the connection ends with %v, not with a close", b, err)
	}
	id := a.told(t, string(b), true)
	a.recorded(t, s, c, id)
}

// told holds an answer against the row and returns the identifier in it.
func (a attempt) told(t *testing.T, got string, closes bool) (id string) {
	t.Helper()
	row := a.row
	if row.hides != "" && strings.Contains(got, row.hides) {
		t.Errorf("the client is told of %s: %q", row.hides, got)
	}
	if a.way == socks {
		want, special := row.wire[socks]
		if !special {
			want = "\x05\x00" + socksReply(row.reply)
		}
		if got != want {
			t.Errorf("the client got % x, want % x", got, want)
		}
		return ""
	}
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("answer %q: %v", got, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(got, "\r\n\r\n"+string(body)) {
		t.Errorf("behind the answer: %q, %v", got, err)
	}
	sentence := strings.TrimPrefix(r.Status, fmt.Sprintf("%d sluice: ", row.status))
	if r.StatusCode != row.status || sentence == r.Status || !strings.Contains(sentence, row.says) {
		t.Errorf("status line %q, want %d and %q", r.Status, row.status, row.says)
	}
	m := regexp.MustCompile(`^sluice: (.*)\nrequest ([0-9a-f]{16})\n$`).FindStringSubmatch(string(body))
	if m == nil || m[1] != sentence {
		t.Fatalf("the body is %q, want the sentence %q and an identifier", body, sentence)
	}
	a.fields(t, r, sentence, closes)
	return m[2]
}

// fields holds the header of an answer against the row.
func (a attempt) fields(t *testing.T, r *http.Response, sentence string, closes bool) {
	t.Helper()
	row := a.row
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(sentence)
	if got, want := r.Header["Proxy-Status"], `sluice; error=`+row.proxy+`; details="`+quoted+`"`; len(got) != 1 || got[0] != want {
		t.Errorf("Proxy-Status %q, want %q", got, want)
	}
	if r.Close != closes {
		t.Errorf("Connection: close is %v, want %v", r.Close, closes)
	}
	if retry := r.Header.Get("Retry-After"); (retry != "") != row.retry || retry == "0" {
		t.Errorf("Retry-After %q, wanted %v", retry, row.retry)
	}
	wants := row.status == http.StatusProxyAuthRequired
	if challenge := r.Header.Get("Proxy-Authenticate"); (challenge != "") != wants || wants && !strings.HasPrefix(challenge, "Basic realm=") {
		t.Errorf("Proxy-Authenticate %q, wanted %v", challenge, wants)
	}
}

// recorded takes the record and holds each of its fields against the row.
func (a attempt) recorded(t *testing.T, s *served, c *net.TCPConn, id string) {
	t.Helper()
	got := s.record()
	host, port := split(a.row.to)
	want := record{
		"time": "*", "level": "info", "msg": "tunnel", "id": "*", "start": "*", "total_seconds": "*",
		"listener": "127.0.0.1:0", "protocol": string(a.way), "client": "127.0.0.1", "client_port": local(c),
		"host": host, "port": fmt.Sprint(port), "outcome": a.row.kind.String(), "reason": "*",
		"bytes_up": "0", "bytes_down": "0",
	}
	if id != "" {
		want["id"] = id
		want["status"] = fmt.Sprint(a.row.status)
	}
	if a.way == absolute {
		want["msg"] = "request"
		if a.row.status != http.StatusRequestHeaderFieldsTooLarge { // it was not read
			want["method"], want["path"] = "GET", "/path"
		}
	}
	if a.way == socks && a.row.wire[socks] == failedLogin[socks] {
		want["host"], want["port"] = "", "" // the client did not get that far
	}
	for name, v := range a.row.record {
		want[name] = v
	}
	a.compare(t, got, want)
	if reason := got.text("reason"); !strings.Contains(reason, a.row.says) || !strings.Contains(reason, a.row.hides) {
		t.Errorf("reason %q, want %q %q", reason, a.row.says, a.row.hides)
	}
}

// compare asserts that a record has these values and no other fields.
func (a attempt) compare(t *testing.T, got, want record) {
	t.Helper()
	names := make([]string, 0, len(want))
	for name := range want {
		names = append(names, name)
	}
	for name := range got {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		has, should := got.text(name), want.text(name)
		switch {
		case should == "?", should == "*" && has != "":
		case has != should:
			t.Errorf("the record's %s is %q, want %q", name, has, should)
		}
	}
}

// stays is how a request for credentials ends in absolute-form: the client may
// ask again on the same connection.
var stays = map[way]func(*testing.T, *served, attempt){
	absolute: func(t *testing.T, s *served, a attempt) {
		c := s.dial()
		r := bufio.NewReader(c)
		for range 2 {
			io.WriteString(c, a.way.bytes(a.request))
			id := a.told(t, readAnswer(t, r), false)
			a.recorded(t, s, c, id)
		}
	},
}

// readAnswer reads one answer with a sized body, as it stands on the wire.
func readAnswer(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var text strings.Builder
	answer, err := http.ReadResponse(bufio.NewReader(io.TeeReader(oneByte{r}, &text)), &http.Request{Method: "GET"})
	if err != nil {
		t.Fatalf("answer %q: %v", text.String(), err)
	}
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// oneByte keeps who reads from it from taking more than is needed.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// draining is what connections get that were open when the server was told to
// end.
var draining = map[way]func(*testing.T, *served, attempt){
	connect:  drainsHTTP,
	absolute: drainsHTTP,
	socks: func(t *testing.T, s *served, a attempt) {
		c := s.dial()
		greeting, command := socksRequest(a.request)
		io.WriteString(c, greeting)
		method := make([]byte, 2)
		if _, err := io.ReadFull(c, method); err != nil {
			t.Fatal(err)
		}
		s.drain(t)
		io.WriteString(c, command)
		b, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("the connection ends with %v", err)
		}
		a.told(t, string(method)+string(b), true)
		a.recorded(t, s, c, "")
	},
}

// drainsHTTP has one request answered before the server is told to end, so that
// its connection is known to be accepted.
func drainsHTTP(t *testing.T, s *served, a attempt) {
	ready := play(t, answers("HTTP/1.1 204 No Content\r\n\r\n"))
	c := s.dial()
	io.WriteString(c, absolute.bytes(request{to: ready.String()}))
	r := bufio.NewReader(c)
	if got := readAnswer(t, r); !strings.HasPrefix(got, "HTTP/1.1 204 ") {
		t.Fatalf("got %q", got)
	}
	s.record()
	s.drain(t)
	io.WriteString(c, a.way.bytes(a.request))
	a.ends(t, s, c)
}

// drain tells the server to end and waits until it refuses.
func (s *served) drain(t *testing.T) {
	t.Helper()
	s.stop()
	eventually(t, "the server drains", func() bool { return strings.Contains(s.log.other.String(), `"msg":"draining"`) })
}

// leaves is a client that closes while it is owed an answer. It gets none by
// HTTP. By SOCKS5 one that still listens gets the reply, for it may only have
// closed its side.
var leaves = map[way]func(*testing.T, *served, attempt){connect: leave, absolute: leave, socks: leave}

func leave(t *testing.T, s *served, a attempt) {
	c := s.dial()
	io.WriteString(c, a.way.bytes(a.request))
	c.CloseWrite()
	want := ""
	if a.way == socks {
		want = "\x05\x00" + socksReply(a.row.reply)
	}
	if b, err := io.ReadAll(c); string(b) != want || err != nil {
		t.Errorf("the client that left got %q, %v", b, err)
	}
	a.recorded(t, s, c, "")
}

// eventually waits for what happens on its own time.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
