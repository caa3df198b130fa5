package doctor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen hands each connection to serve, which runs by itself.
func listen(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				serve(c)
			}()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
}

func through(t *testing.T, text string) (net.Conn, error) {
	t.Helper()
	u, err := ParseProxy(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := (&proxy{URL: u}).dial(ctx, "tcp", "cdn.example:443")
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestAProxysOwnAnswerIsToldWordForWord(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         Refusal
		denied       bool
	}{
		{"Sluice's", "HTTP/1.1 403 sluice: no rule lets 192.0.2.7 reach cdn.example:443\r\nProxy-Status: sluice; error=http_request_denied; details=\"no rule\"\r\n",
			Refusal{Status: 403, Sentence: "sluice: no rule lets 192.0.2.7 reach cdn.example:443", ProxyStatus: "http_request_denied"}, true},
		{"a proxy's behind Sluice", "HTTP/1.1 502 Bad Gateway\r\nProxy-Status: far; error=http_request_denied, near;error=connection_refused\r\n",
			Refusal{Status: 502, Sentence: "Bad Gateway", ProxyStatus: "connection_refused"}, false},
		{"Squid's", "HTTP/1.1 403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\n",
			Refusal{Status: 403, Sentence: "Forbidden (ERR_ACCESS_DENIED 0)"}, true},
		{"one that wants credentials", "HTTP/1.1 407 Proxy Authentication Required\r\n",
			Refusal{Status: 407, Sentence: "Proxy Authentication Required", Credentials: true}, true},
		{"one that could not", "HTTP/1.0 504 \r\n", Refusal{Status: 504, Sentence: "Gateway Timeout"}, false},
		{"one that writes to the terminal", "HTTP/1.1 403 \x1b[2Jgone\r\n", Refusal{Status: 403, Sentence: "?[2Jgone"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := listen(t, func(c net.Conn) {
				_, _ = http.ReadRequest(bufio.NewReader(c))
				_, _ = io.WriteString(c, test.answer+"\r\n")
			})
			_, err := through(t, "http://"+address)
			var refusal *Refusal
			if !errors.As(err, &refusal) || *refusal != test.want || refusal.denied() != test.denied {
				t.Errorf("%#v, want %#v, denied %t", err, test.want, test.denied)
			}
		})
	}
}

func TestBytesRightBehindTheProxysAnswerAreTheDestinations(t *testing.T) {
	address := listen(t, func(c net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil || r.RequestURI != "cdn.example:443" || r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpodXNo" {
			_, _ = io.WriteString(c, "HTTP/1.1 400 not what was expected\r\n\r\n")
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nfirst")
	})
	c, err := through(t, "http://user:hush@"+address)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); string(got) != "first" {
		t.Errorf("%q, %v", got, err)
	}
}

// speakSOCKS plays a proxy that answers a request with this reply, and with none if
// it does not take the client's credentials.
func speakSOCKS(c net.Conn, method, passwordStatus, reply byte, behind string) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(c, head); err != nil {
		return
	}
	_, _ = io.ReadFull(c, make([]byte, head[1]))
	_, _ = c.Write([]byte{5, method})
	if method == methodPassword {
		r := bufio.NewReader(io.LimitReader(c, int64(len("\x01\x04user\x04hush"))))
		_, _ = io.ReadAll(r)
		_, _ = c.Write([]byte{1, passwordStatus})
		if passwordStatus != 0 {
			return
		}
	}
	if method == 0xff {
		return
	}
	_, _ = io.ReadFull(c, make([]byte, 4+1+len("cdn.example")+2))
	_, _ = c.Write(append([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0}, behind...))
}

func TestASOCKSProxysReplyIsTold(t *testing.T) {
	for _, test := range []struct {
		name                  string
		method, status, reply byte
		want                  Refusal
		denied                bool
	}{
		{"its rules", methodNone, 0, 2, Refusal{Reply: 2, Sentence: "not allowed by the proxy's rules"}, true},
		{"nobody there", methodNone, 0, 4, Refusal{Reply: 4, Sentence: "host unreachable"}, false},
		{"a number of its own", methodNone, 0, 99, Refusal{Reply: 99, Sentence: "unknown"}, false},
		{"no method", 0xff, 0, 0, Refusal{Sentence: "the proxy wants a user and a password", Credentials: true}, true},
		{"a wrong password", methodPassword, 1, 0, Refusal{Sentence: "the proxy does not take this user and password", Credentials: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := listen(t, func(c net.Conn) { speakSOCKS(c, test.method, test.status, test.reply, "") })
			_, err := through(t, "socks5h://user:hush@"+address)
			var refusal *Refusal
			if !errors.As(err, &refusal) || *refusal != test.want || refusal.denied() != test.denied {
				t.Errorf("%#v, want %#v, denied %t", err, test.want, test.denied)
			}
		})
	}
	address := listen(t, func(c net.Conn) { speakSOCKS(c, methodPassword, 0, 0, "first") })
	c, err := through(t, "socks5://user:hush@"+address)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 5)
	if _, err := io.ReadFull(c, first); err != nil || string(first) != "first" {
		t.Errorf("%q, %v", first, err)
	}
}

func TestAProxyThatIsNotOneIsNoRefusal(t *testing.T) {
	for name, greeting := range map[string]string{"mail": "220 mail.example ESMTP\r\n", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			address := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, greeting) })
			for _, scheme := range []string{"http://", "socks5://"} {
				_, err := through(t, scheme+address)
				var fault *proxyError
				if !errors.As(err, &fault) {
					t.Errorf("%s: %v", scheme, err)
				}
			}
		})
	}
}

func TestASilentProxyIsATimeout(t *testing.T) {
	address := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	for _, scheme := range []string{"http", "socks5"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := (&proxy{URL: &url.URL{Scheme: scheme, Host: address}}).dial(ctx, "tcp", "cdn.example:443")
		cancel()
		if outcomeOf(err) != TimedOut {
			t.Errorf("%s: %v is %s", scheme, err, outcomeOf(err))
		}
	}
}

func TestAProxysAddressThatCannotBeReadIsNotQuoted(t *testing.T) {
	for _, text := range []string{"http://user:hu#sh@relay:3128", "ftp://user:hush@relay", "http://user:hush@", "http://user:h%zzush@relay", "http://$(hush):3128", "http://a;hush", ""} {
		if _, err := ParseProxy(text); err == nil || strings.Contains(err.Error(), "hu") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"relay:3128":                   "http://relay:3128",
		"socks5://user:hush@relay":     "socks5://USER:PASSWORD@relay",
		"https://relay/path?q=hush":    "https://relay",
		"http://user:hush@[::1]:3128/": "http://USER:PASSWORD@[::1]:3128",
	} {
		if u, err := ParseProxy(text); err != nil || Redacted(u) != want {
			t.Errorf("%q: %v, %v, want %s", text, u, err, want)
		}
	}
}

func TestOutcomesOfErrors(t *testing.T) {
	for _, test := range []struct {
		err  error
		want Outcome
	}{
		{nil, OK},
		{context.DeadlineExceeded, TimedOut},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, TimedOut},
		{io.ErrUnexpectedEOF, Reset},
		{&net.DNSError{IsNotFound: true}, NoName},
		{&net.DNSError{IsTimeout: true}, TimedOut},
		{&net.DNSError{}, DNSFailed},
		{&proxyError{&Refusal{Status: 403}}, Denied},
		{errors.New("something else"), Failed},
	} {
		if got := outcomeOf(test.err); got != test.want {
			t.Errorf("%v is %s, want %s", test.err, got, test.want)
		}
	}
}
