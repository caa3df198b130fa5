package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"

	netproxy "golang.org/x/net/proxy"
)

func TestALiveTunnelIsListedWithItsBytesAndFilters(t *testing.T) {
	p := serve(t, base)
	to := echo(t)
	c := p.connect(to)
	exchange(t, c, "hello")
	list := p.tunnels("")
	if len(list) != 1 {
		t.Fatalf("%d tunnels", len(list))
	}
	got := list[0]
	for name, want := range map[string]any{
		"protocol": "connect", "client": "127.0.0.1", "host": "127.0.0.1", "address": to, "rule": "lab",
		"decision": "allow", "bytes_up": 5.0, "bytes_down": 5.0,
		"client_port": float64(c.LocalAddr().(*net.TCPAddr).Port),
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if got["rate_up"] == nil || got["rate_down"] == nil {
		t.Errorf("no rates in %v", got)
	}
	if age, ok := got["age_seconds"].(float64); !ok || age <= 0 || got["outcome"] != nil {
		t.Errorf("age %v, outcome %v", got["age_seconds"], got["outcome"])
	}
	for query, want := range map[string]int{
		"client=127.0.0.1": 1, "client=127.0.0.0/8": 1, "client=::ffff:127.0.0.1": 1, "client=127.0.0.2": 0, "client=::1": 0,
		"host=127.0.0.1": 1, "host=127.0.0.0/8": 1, "host=example.com": 0, "host=*.example.com": 0,
		"rule=lab": 1, "rule=other": 0, "protocol=connect": 1, "protocol=socks5": 0,
		"client=127.0.0.1&rule=lab&protocol=connect&host=127.0.0.1": 1, "client=127.0.0.1&rule=other": 0,
	} {
		if n := len(p.tunnels("?" + query)); n != want {
			t.Errorf("%s: %d tunnels, want %d", query, n, want)
		}
	}
}

func TestOneTunnelIsToldByItsIdentifier(t *testing.T) {
	p := serve(t, base)
	c := p.connect(echo(t))
	id := p.tunnels("")[0]["id"].(string)
	exchange(t, c, "hello")
	if got := p.get("/tunnels/" + id); got["id"] != id || got["bytes_up"] != 5.0 || got["rate_up"] == nil {
		t.Errorf("got %v", got)
	}
	c.Close()
	eventually(t, "a tunnel that has ended is still there", func() bool {
		resp, _ := p.ask("GET", "/tunnels/"+id)
		return resp.StatusCode == http.StatusNotFound
	})
}

// The rate is that of a tunnel whose budget allows 1 MB in a second.
func TestARateIsMeasured(t *testing.T) {
	p := serve(t, strings.Replace(base, "[limits]", "[limits]\nupload = \"1MB/s\"\nburst = \"4KiB\"", 1))
	c := p.connect(echo(t))
	go func() {
		for buf := make([]byte, 64<<10); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	go func() {
		for buf := make([]byte, 64<<10); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
	eventually(t, "no rate of some 1 MB/s", func() bool {
		up := p.tunnels("")[0]["rate_up"].(float64)
		line := list(p.get("/clients"), "clients")[0]
		return up > 0.5e6 && up < 2e6 && line["rate_up"].(float64) > 0.5e6
	})
	c.Close()
}

func TestATunnelIsEndedByItsIdentifier(t *testing.T) {
	p := serve(t, base)
	to := echo(t)
	c, other := p.connect(to), p.connect(to)
	exchange(t, c, "hello")
	id := ""
	for _, o := range p.tunnels("") {
		if o["client_port"] == float64(c.LocalAddr().(*net.TCPAddr).Port) {
			id = o["id"].(string)
		}
	}
	resp, body := p.ask("DELETE", "/tunnels/"+id)
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(body) != `{"killed":1}` {
		t.Errorf("%s: %s", resp.Status, body)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the tunnel goes on")
	}
	exchange(t, other, "goes on")
	eventually(t, "no record", func() bool { return len(p.records("id", id)) == 1 })
	r := p.records("id", id)[0]
	if r["closed_by"] != "sluice" || r["closed_how"] != "killed" || r["reason"] != "ended by DELETE on the admin address" || r["outcome"] != "ok" {
		t.Errorf("record %v", r)
	}
	eventually(t, "what was ended is still found", func() bool {
		resp, _ := p.ask("DELETE", "/tunnels/"+id)
		return resp.StatusCode == http.StatusNotFound
	})
}

// A client is an address, however it is spelt, and of IPv6 it is named by its /64.
func TestAllTunnelsOfAClientAreEnded(t *testing.T) {
	p := serve(t, strings.Replace(base, "[[rule]]", "[[listener]]\naddress = \"[::1]:0\"\n[[rule]]", 1))
	to := echo(t)
	six, err := net.Dial("tcp", p.addrs[1])
	if err != nil {
		lab.LeaveOut(t, "clients of IPv6, for there is no ::1")
	}
	defer six.Close()
	six.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(six, "CONNECT %s HTTP/1.1\r\n\r\n", to)
	if line, err := readHead(six); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", line, err)
	}
	p.connect(to)
	p.connect(to)
	names := map[any]bool{}
	for _, c := range list(p.get("/clients"), "clients") {
		names[c["client"]] = true
	}
	if !names["127.0.0.1"] || !names["::/64"] || len(names) != 2 {
		t.Errorf("clients %v", names)
	}
	for _, step := range []struct {
		client string
		killed int
	}{
		{"127.0.0.2", 0}, {"::2", 0}, {"::2:0:0:0:0/64", 0}, {"::ffff:0:0/96", 2}, {"127.0.0.1", 0}, {"::/64", 1},
	} {
		resp, body := p.ask("DELETE", "/tunnels?client="+step.client)
		if want := fmt.Sprintf("{\"killed\":%d}\n", step.killed); resp.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %s, %q, want %q", step.client, resp.Status, body, want)
		}
		if step.killed > 0 {
			eventually(t, "they are still live", func() bool { return len(p.tunnels("?client="+step.client)) == 0 })
		}
	}
}

func TestProtocolsAreToldApart(t *testing.T) {
	p := serve(t, base)
	to := echo(t)
	d, err := netproxy.SOCKS5("tcp", p.addrs[0], nil, netproxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.connect(to)
	if a, b := len(p.tunnels("?protocol=socks5")), len(p.tunnels("?protocol=connect")); a != 1 || b != 1 {
		t.Errorf("%d by SOCKS5, %d by CONNECT", a, b)
	}
}

func TestAClientIsToldWithWhatItsBudgetsLeave(t *testing.T) {
	p := serve(t, strings.Replace(base, "ports =", "download = \"2MB/s\"\nports =", 1))
	exchange(t, p.connect(echo(t)), "hello")
	clients := list(p.get("/clients"), "clients")
	if len(clients) != 1 {
		t.Fatalf("clients %v", clients)
	}
	c := clients[0]
	limits := c["limits"].(object)
	if c["tunnels"] != 1.0 || c["bytes_down"] != 5.0 || limits["tunnels"] != 1024.0 || limits["new_tunnels_per_second"] != 100000.0 {
		t.Errorf("client %v", c)
	}
	budgets := list(c, "budgets")
	if len(budgets) != 1 || budgets[0]["direction"] != "down" || budgets[0]["rule"] != "lab" ||
		budgets[0]["rate"] != 2e6 || budgets[0]["burst"] != 1e6 || budgets[0]["available"].(float64) > 1e6 {
		t.Errorf("budgets %v", budgets)
	}
	if got := p.get("/clients?client=192.0.2.1"); len(list(got, "clients")) != 0 {
		t.Errorf("another client: %v", got)
	}
}
