package setup

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answering listens and answers each connection with one text.
func answering(t *testing.T, answer string) (address string, asked <-chan *http.Request) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	requests := make(chan *http.Request, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(10 * time.Second))
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				requests <- r
			}
			c.Write([]byte(answer))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return l.Addr().String(), requests
}

func TestTheRelaysOwnWordsAreShown(t *testing.T) {
	for _, c := range []struct{ client, answer, remark, fault string }{
		{client: "docker", answer: "HTTP/1.1 200 OK\r\n\r\n"},
		{client: "docker", answer: "HTTP/1.1 403 sluice: no rule lets 192.0.2.7 reach registry-1.docker.io:443\r\n\r\n", fault: "no rule lets 192.0.2.7 reach registry-1.docker.io:443"},
		{client: "docker", answer: "HTTP/1.1 403 x\x1b[31m\r\n\r\n", fault: "403 x?[31m"},
		{client: "shell", answer: "HTTP/1.1 403 sluice: no rule lets 192.0.2.7 reach example.com:443; rule a admits this client, but not to that host\r\n\r\n", remark: "rule a admits this client"},
		{client: "shell", answer: "HTTP/1.1 403 sluice: no rule lets 192.0.2.7 reach example.com:443\r\n\r\n", fault: "refuses this host"},
		{client: "docker", answer: "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", fault: "http://USER:PASSWORD@"},
		{client: "docker", answer: "HTTP/1.1 504 sluice: registry-1.docker.io:443 does not answer\r\n\r\n", remark: "does not answer"},
		{client: "docker", answer: "SSH-2.0-OpenSSH_9.2\r\n", fault: "is no HTTP proxy"},
		{client: "docker", answer: "", fault: "is no HTTP proxy"},
	} {
		address, asked := answering(t, c.answer)
		client, _ := Lookup(c.client)
		remark, err := Reach(context.Background(), client, options(t, "http://us%40er:p%3Aw@"+address))
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) || !strings.Contains(remark, c.remark) || (remark == "") != (c.remark == "") {
			t.Errorf("%s told %q: remark %q, error %v", c.client, c.answer, remark, err)
		}
		r := <-asked
		if r.Method != http.MethodConnect || c.client == "docker" && r.Host != "registry-1.docker.io:443" || r.Header.Get("Proxy-Authorization") != "Basic dXNAZXI6cDp3" {
			t.Errorf("it was asked %s %s, %s", r.Method, r.Host, r.Header)
		}
	}
}

func TestNobodyListensThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, scheme := range []string{"http", "socks5"} {
		client, _ := Lookup("docker")
		if _, err := Reach(context.Background(), client, options(t, scheme+"://"+l.Addr().String())); err == nil || !strings.Contains(err.Error(), "the relay cannot be reached") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}
