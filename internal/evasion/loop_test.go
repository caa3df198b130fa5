//go:build linux

package evasion

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// everythingAllowed lets nothing but the proxy's own addresses be refused.
const everythingAllowed = `
[[rule]]
name = "all"
action = "allow"
ports = ["1-65535"]
clients = ["0.0.0.0/0", "::/0"]
[limits]
new_tunnels = "100000/s"
[egress]
allow_private = ["0.0.0.0/0", "::/0"]
`

const loop = verdict("loop")

func (p *proxy) loops(t *testing.T, w way, b []byte) {
	t.Helper()
	o := p.ask(t, w, b)
	refused := map[way]string{connect: "403", absolute: "403", socks: "2"}[w]
	if o.record.Outcome != string(loop) || o.answer != refused || o.connects != 0 {
		t.Errorf("%s, %.80q: %+v", w, b, o)
	}
}

// In this namespace every address there is leads to listeners on all addresses,
// those that came after the start and those of no interface as well.
func TestNoAddressLeadsToAListenerOnAllAddresses(t *testing.T) {
	for _, listen := range []string{"[::]:0", "0.0.0.0:0"} {
		p := start(t, "open = true\n[[listener]]\naddress = \""+listen+"\"\n"+everythingAllowed)
		port := p.Addrs()[0].Port()
		text := strconv.Itoa(int(port))
		hosts := []string{
			"127.0.0.1", "127.1", "127.9.9.9", "0.0.0.0", "0", "0x7f000001", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]",
			"8.8.8.8", "10.0.0.1", metadata, "[::ffff:8.8.8.8]", "[64:ff9b::8.8.8.8]", "localhost", "loop.test",
			"[2606:4700::1]", "[2606:4700:4700::1111]", "[fd00::1]", "[2001:db8::5]",
		}
		if out, err := exec.Command("sh", "-ec", "PATH=$PATH:/usr/sbin:/sbin\nip address replace 192.0.2.77/32 dev lo; ip -6 address replace 2001:db8::77/128 dev lo nodad").CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
		hosts = append(hosts, "192.0.2.77", "[2001:db8::77]")
		for _, leads := range []string{"127.0.0.1", "::1", "8.8.4.4", "2606:4700:4700::64", "64:ff9b::7f00:1", "192.0.2.77"} {
			p.names.answers(func(string, int) []string { return []string{leads} })
			for _, host := range hosts {
				for _, w := range ways {
					if b, can := w.request(host, text); can {
						p.loops(t, w, b)
					}
				}
				if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
					p.loops(t, socks, socksAddr(a, port))
				}
			}
			hosts = []string{"loop.test"} // the rest does not hang on names
		}
	}
}

// A listener on one address, and that of the admin interface, are known by it.
func TestNoSpellingLeadsToAListenerOnOneAddress(t *testing.T) {
	p := start(t, "[[listener]]\naddress = \"127.0.0.9:0\"\n"+strings.Replace(everythingAllowed, `"0.0.0.0/0", "::/0"]
[limits]`, `"127.0.0.0/8"]
[limits]`, 1))
	port := p.Addrs()[0].Port()
	p.names.answers(func(string, int) []string { return []string{"127.0.0.9"} })
	for _, host := range []string{"127.0.0.9", "127.9", "0x7f.9", "017700000011", "[::ffff:127.0.0.9]", "[::ffff:7f00:9]", "[64:ff9b::127.0.0.9]", "[2002:7f00:9::1]", "0.0.0.0", "[::]", "name.test"} {
		for _, w := range ways {
			b, _ := w.request(host, strconv.Itoa(int(port)))
			p.loops(t, w, b)
		}
	}
}

// Where something forwards to the proxy that it cannot know as its own, a request
// comes back once and is known by its Via.
func TestARequestThatComesBackIsKnown(t *testing.T) {
	p := start(t, "[[listener]]\naddress = \"127.0.0.1:0\"\n"+strings.Replace(everythingAllowed, `"0.0.0.0/0", "::/0"]
[limits]`, `"127.0.0.0/8"]
[limits]`, 1))
	parent, visits := forwardTo(t, p.Addrs()[0].String())
	c, err := net.Dial("tcp", p.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", parent, parent)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "come through this proxy before") {
		t.Errorf("%s: %s", r.Status, body)
	}
	if n := len(visits); n != 1 {
		t.Errorf("the request came around %d times", n)
	}
	if inner := <-p.records; inner.Outcome != string(loop) {
		t.Errorf("recorded as %+v", inner)
	}
	if outer := <-p.records; outer.Outcome != "ok" {
		t.Errorf("recorded as %+v", outer)
	}
}

// forwardTo sends each request that it gets on to a proxy, in absolute-form to
// itself and with its header, as a parent proxy that is misconfigured would.
func forwardTo(t *testing.T, proxy string) (addr string, visits chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	visits = make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			visits <- struct{}{}
			forwardOne(c, proxy, l.Addr().String())
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), visits
}

func forwardOne(c net.Conn, proxy, self string) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	onward, err := net.Dial("tcp", proxy)
	if err != nil {
		return
	}
	defer onward.Close()
	_ = onward.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(onward, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nVia: %s\r\nConnection: close\r\n\r\n", self, self, r.Header.Get("Via"))
	_, _ = io.Copy(c, onward)
}
