package admin_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// All that is not understood is answered with an error in JSON, and changes nothing.
func TestWhatIsNotUnderstoodIsAnError(t *testing.T) {
	p := serve(t, base)
	c := p.connect(echo(t))
	for _, step := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/nothing", 404, "nothing at /nothing"},
		{"GET", "/tunnels/", 404, ""},
		{"GET", "/tunnels/1/2", 404, ""},
		{"GET", "/Tunnels", 404, ""},
		{"PUT", "/tunnels", 405, "does not take PUT"},
		{"POST", "/tunnels", 405, ""},
		{"GET", "/reload", 405, ""},
		{"DELETE", "/clients", 405, ""},
		{"OPTIONS", "/tunnels", 405, ""},
		{"GET", "/tunnels/zz", 400, "not an identifier"},
		{"GET", "/tunnels/0123456789abcdeg", 400, "not an identifier"},
		{"GET", "/tunnels/0123456789abcdef", 404, "not live"},
		{"DELETE", "/tunnels/0123456789abcdef", 404, "not live"},
		{"DELETE", "/tunnels/all", 400, ""},
		{"DELETE", "/tunnels", 400, "whose tunnels"},
		{"DELETE", "/tunnels?client=", 400, "empty"},
		{"DELETE", "/tunnels?client=everyone", 400, "not an address"},
		{"DELETE", "/tunnels?client=127.0.0.1/8", 400, "host bits"},
		{"DELETE", "/tunnels?client=::1%25lo", 400, "zone"},
		{"DELETE", "/tunnels?client=127.0.0.1&client=10.0.0.1", 400, "2 times"},
		{"DELETE", "/tunnels?host=127.0.0.1", 400, "no parameter"},
		{"DELETE", "/tunnels?client=127.0.0.1&host=127.0.0.1", 400, "no parameter"},
		{"DELETE", "/tunnels?client=%zz", 400, "cannot be read"},
		{"DELETE", "/tunnels?client=127.0.0.1;host=x", 400, "cannot be read"},
		{"GET", "/tunnels?clients=127.0.0.1", 400, "no parameter \\\"clients\\\""},
		{"GET", "/tunnels?host=*", 400, "host"},
		{"GET", "/tunnels?host=@docker-hub", 400, "host"},
		{"GET", "/tunnels?protocol=https", 400, "connect, http or socks5"},
		{"GET", "/clients?client=x", 400, ""},
		{"GET", "/healthz?verbose=1", 400, "no parameters"},
		{"GET", "/explain", 400, "client is missing"},
		{"GET", "/explain?client=192.0.2.7", 400, "to is missing"},
		{"GET", "/explain?client=x&to=example.com:443", 400, "client"},
		{"GET", "/explain?client=192.0.2.7&to=example.com", 400, "HOST:PORT"},
		{"GET", "/explain?client=192.0.2.7&to=example.com:0", 400, "to"},
		{"GET", "/explain?client=192.0.2.7&to=%1b%5b2J:80", 400, "to"},
	} {
		resp, body := p.ask(step.method, step.path)
		if resp.StatusCode != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s %s: %s, %s", step.method, step.path, resp.Status, body)
		}
		if text, _ := parse(t, body)["error"].(string); text == "" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %q is no error in JSON", step.method, step.path, body)
		}
		if strings.ContainsAny(body, "\x1b\u009b") {
			t.Errorf("%s %s: %q would be taken by a terminal for more than text", step.method, step.path, body)
		}
		if (resp.Header.Get("Allow") != "") != (step.status == 405) {
			t.Errorf("%s %s: %s, Allow %q", step.method, step.path, resp.Status, resp.Header.Get("Allow"))
		}
	}
	exchange(t, c, "still here")
}

// raw sends bytes and returns the first answer to them.
func (p *proxy) raw(text string) (*http.Response, string) {
	p.t.Helper()
	c, err := net.Dial("tcp", p.admin)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	go io.WriteString(c, text)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		p.t.Fatalf("%.40q: %v", text, err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp, string(body)
}

func TestRequestsThatAreNoneForAnAdminAddress(t *testing.T) {
	p := serve(t, base)
	for _, step := range []struct {
		name, text string
		status     int
	}{
		{"a body", "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello", 400},
		{"a body that is announced and does not come", "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n", 400},
		{"a body in chunks", "DELETE /tunnels?client=127.0.0.1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400},
		{"a proxy's CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 400},
		{"a proxy's GET", "GET http://localhost/tunnels HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"a long header", "GET /tunnels HTTP/1.1\r\nHost: localhost\r\nCookie: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431},
		{"no host, by a simple checker", "GET /healthz HTTP/1.0\r\n\r\n", 200},
	} {
		if resp, body := p.raw(step.text); resp.StatusCode != step.status {
			t.Errorf("%s: %s, %s", step.name, resp.Status, body)
		}
	}
}

// The operator's browser shows pages of others, too. None of them may act here, read
// what is here, or take the places of those who watch.
func TestPagesOfOthersAreRefused(t *testing.T) {
	p := serve(t, base)
	c := p.connect(echo(t))
	own := p.admin
	_, port, _ := net.SplitHostPort(own)
	kill := "/tunnels?client=127.0.0.1"
	for _, step := range []struct {
		name, method, path string
		header             []string
		status             int
	}{
		{"another origin's DELETE", "DELETE", kill, []string{"Origin: https://evil.example"}, 403},
		{"another origin's POST", "POST", "/reload", []string{"Origin: https://evil.example"}, 403},
		{"a page in a sandbox", "POST", "/reload", []string{"Origin: null"}, 403},
		{"another port of this machine", "DELETE", kill, []string{"Origin: http://127.0.0.1:1"}, 403},
		{"a browser that says where it comes from", "DELETE", kill, []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"another port, by the browser's word", "DELETE", kill, []string{"Sec-Fetch-Site: same-site"}, 403},
		{"a name of others that leads here", "GET", "/tunnels", []string{"Host: evil.example:" + port}, 421},
		{"a name of others that leads here, with its own origin", "DELETE", kill, []string{"Host: evil.example:" + port, "Origin: http://evil.example:" + port}, 421},
		{"a name of others that the browser calls same-origin", "DELETE", kill, []string{"Host: evil.example", "Sec-Fetch-Site: same-origin"}, 421},
		{"a name that begins like this machine's", "GET", "/tunnels", []string{"Host: localhost.evil.example"}, 421},
		{"a name that ends like it", "GET", "/tunnels", []string{"Host: evil.localhost"}, 421},
		{"an image in another page", "GET", "/events", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"}, 403},
		{"an EventSource of another page", "GET", "/events", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: cors"}, 403},
		{"an EventSource where the browser tells its origin alone", "GET", "/events", []string{"Origin: http://evil.example"}, 403},
		{"one of a page in a sandbox", "GET", "/events", []string{"Origin: null"}, 403},
		{"one of another port", "GET", "/events", []string{"Origin: http://127.0.0.1:1"}, 403},
		{"a frame in another page", "GET", "/events", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}, 403},
		{"the page itself, with its origin", "GET", "/tunnels", []string{"Origin: http://" + own}, 200},
		{"a link in another page", "GET", "/healthz", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}, 200},
		{"a link, by an older browser", "GET", "/healthz", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}, 200},
		{"the page itself", "GET", "/tunnels", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors"}, 200},
		{"by localhost", "GET", "/tunnels", []string{"Host: localhost:" + port}, 200},
		{"by localhost in capitals, with a dot", "GET", "/tunnels", []string{"Host: LOCALHOST.:" + port}, 200},
		{"by IPv6", "GET", "/tunnels", []string{"Host: [::1]:" + port}, 200},
		{"by IPv6 without a port", "GET", "/tunnels", []string{"Host: [::1]"}, 200},
		{"by this host's name", "GET", "/tunnels", []string{"Host: " + hostname(t) + ":" + port}, 200},
		{"curl", "GET", "/tunnels", nil, 200},
	} {
		resp, body := p.ask(step.method, step.path, step.header...)
		if resp.StatusCode != step.status {
			t.Errorf("%s: %s, %s", step.name, resp.Status, body)
		}
		for _, field := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Methods"} {
			if resp.Header.Get(field) != "" {
				t.Errorf("%s: %s is %q", step.name, field, resp.Header.Get(field))
			}
		}
	}
	exchange(t, c, "still here")
	resp, _ := p.ask("DELETE", kill, "Origin: http://"+own, "Sec-Fetch-Site: same-origin")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the page's own button: %s", resp.Status)
	}
}

func hostname(t *testing.T) string {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEachAnswerTellsTheBrowserWhatItMayDo(t *testing.T) {
	p := serve(t, base)
	for _, path := range []string{"/", "/tunnels", "/nothing", "/healthz", "/metrics", "/tunnels?x"} {
		resp, _ := p.ask("GET", path)
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		// The page has a policy of its own, which is stricter.
		policy := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action '"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: no %s in %q", path, want, policy)
			}
		}
	}
}

// Connections over the bound wait, and are answered as soon as there is room.
func TestConnectionsAreBounded(t *testing.T) {
	p := serve(t, base)
	var open []net.Conn
	ask := func() net.Conn {
		c, err := net.Dial("tcp", p.admin)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return c
	}
	for range 64 {
		c := ask()
		if line, err := readHead(c); err != nil || line != "HTTP/1.1 200 OK" {
			t.Fatalf("%q, %v", line, err)
		}
		open = append(open, c)
	}
	one := ask()
	one.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := one.Read(make([]byte, 1)); err == nil {
		t.Fatal("one more than the bound was answered")
	}
	one.SetReadDeadline(time.Now().Add(patience))
	open[7].Close()
	if line, err := readHead(one); err != nil || line != "HTTP/1.1 200 OK" {
		t.Fatalf("when there is room: %q, %v", line, err)
	}
}
