package admin_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"sluice/internal/lab"
)

// ids returns the identifiers of a list of objects.
func ids(list []object) (ids []string) {
	for _, o := range list {
		ids = append(ids, o["id"].(string))
	}
	return ids
}

// closed tells whether a tick says that this is closed.
func closed(tick object, id string) bool {
	list, _ := tick["closed"].([]any)
	return slices.Contains(list, any(id))
}

// moved returns what a tick says has been relayed by one, or nil.
func moved(tick object, id string) []any {
	for _, m := range tick["moved"].([]any) {
		if m := m.([]any); m[0] == id {
			return m[1:]
		}
	}
	return nil
}

func TestAWatcherIsToldWhatHappens(t *testing.T) {
	p := serve(t, base)
	to := echo(t)
	first := p.connect(to)
	exchange(t, first, "before")
	p.attempt("10.0.0.1:80")
	w := p.watch()

	start := w.event("start")
	tunnels := list(start, "tunnels")
	if start["version"] != "v1.2.3" || start["draining"] != false || start["max_tunnels"].(float64) < 1 || len(tunnels) != 1 || tunnels[0]["bytes_up"] != 6.0 {
		t.Errorf("start %v", start)
	}
	if r := list(start, "refusals"); len(r) != 1 || r[0]["outcome"] != "address_not_public" || r[0]["time"] == nil {
		t.Errorf("refusals %v", r)
	}
	if n := start["requests"].(object)["address_not_public"]; n != 1.0 {
		t.Errorf("requests %v", start["requests"])
	}
	id := tunnels[0]["id"].(string)

	exchange(t, first, "more")
	tick := w.until("no bytes", func(o object) bool { return moved(o, id) != nil })
	if m := moved(tick, id); m[0] != 10.0 || m[1] != 10.0 || tick["bytes_up"] != 10.0 || tick["count"] != 1.0 {
		t.Errorf("tick %v", tick)
	}
	if tick["rate_up"].(float64) < 1 || tick["rate_up"].(float64) > 10 {
		t.Errorf("rate_up is %v bytes per second after 4 bytes in a second", tick["rate_up"])
	}
	if c := list(tick, "clients"); len(c) != 1 || c[0]["client"] != "127.0.0.1" || c[0]["tunnels"] != 1.0 || c[0]["rate_up"].(float64) < 1 {
		t.Errorf("clients %v", c)
	}
	if d := list(tick, "destinations"); len(d) != 1 || d[0]["host"] != "127.0.0.1" || d[0]["rate_down"].(float64) < 1 {
		t.Errorf("destinations %v", d)
	}

	second := p.connect(to)
	p.attempt("10.0.0.2:80")
	var told []object
	var opened []string
	w.until("no second tunnel, or no refusal", func(o object) bool {
		told = append(told, list(o, "refused")...)
		opened = append(opened, ids(list(o, "opened"))...)
		return len(told) > 0 && len(opened) > 0
	})
	if len(told) != 1 || told[0]["host"] != "10.0.0.2" || len(opened) != 1 || opened[0] == id {
		t.Errorf("told of %v, opened %v", told, opened)
	}

	first.Close()
	w.until("the first is not closed", func(o object) bool { return closed(o, id) })
	second.Close()
	last := w.until("the second is not closed", func(o object) bool { return closed(o, opened[0]) })
	if last["count"] != 0.0 || len(last["clients"].([]any)) != 0 || last["requests"].(object)["ok"] != 2.0 {
		t.Errorf("at the end %v", last)
	}
}

// A transaction is told of as soon as it is there, and again when it has an address.
func TestATunnelIsToldAgainWhenItIsConnected(t *testing.T) {
	ask, answer := nameserver(t)
	p := serve(t, strings.Replace(base, "[egress]", "[egress]\nresolver = [\""+ask+"\"]\nprefer = \"ipv4\"", 1))
	_, port, _ := net.SplitHostPort(echo(t))
	w := p.watch()
	w.event("start")
	c := p.dial(0)
	fmt.Fprintf(c, "CONNECT slow.example:%s HTTP/1.1\r\n\r\n", port)
	tick := w.until("it is not told while it is dialled", func(o object) bool { return len(list(o, "opened")) > 0 })
	waits := list(tick, "opened")[0]
	if waits["host"] != "slow.example" || waits["address"] != nil || waits["rule"] != "lab" {
		t.Errorf("while it is dialled: %v", waits)
	}
	if d := list(tick, "destinations"); len(d) != 1 || d[0]["host"] != "slow.example" {
		t.Errorf("destinations %v", d)
	}
	close(answer)
	tick = w.until("it is not told again", func(o object) bool { return len(list(o, "opened")) > 0 })
	if o := list(tick, "opened")[0]; o["id"] != waits["id"] || o["address"] != "127.0.0.1:"+port {
		t.Errorf("when it is connected: %v", o)
	}
	if d := list(tick, "destinations"); len(d) != 1 || d[0]["tunnels"] != 1.0 {
		t.Errorf("destinations %v", d)
	}
	if line, err := readHead(c); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Fatalf("%q, %v", line, err)
	}
	exchange(t, c, "hello")
	tick = w.until("no bytes", func(o object) bool { return moved(o, waits["id"].(string)) != nil })
	if len(list(tick, "opened")) != 0 {
		t.Errorf("a third time: %v", tick["opened"])
	}
}

// nameserver says that all names lead to 127.0.0.1, once answer is closed.
func nameserver(t *testing.T) (address string, answer chan struct{}) {
	answer = make(chan struct{})
	addr := lab.NameServer(t, func(m *dnsmessage.Message) bool {
		select {
		case <-answer:
		case <-time.After(patience):
			return false
		}
		lab.Has(m, netip.MustParseAddr("127.0.0.1"))
		return true
	})
	return addr.String(), answer
}

func TestPlacesForWatchersAreBoundedAndGivenBack(t *testing.T) {
	p := serve(t, base)
	var watchers []*watcher
	for range 16 {
		w := p.watch()
		w.event("start")
		watchers = append(watchers, w)
	}
	resp, body := p.ask("GET", "/events")
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "16 subscribers") {
		t.Errorf("one more: %s, %s", resp.Status, body)
	}
	if resp, _ := p.ask("HEAD", "/events"); resp.StatusCode != http.StatusOK {
		t.Errorf("HEAD takes no place: %s", resp.Status)
	}
	watchers[3].conn.Close()
	eventually(t, "the place is not given back", func() bool { return !p.isFull() })
	watchers[0].event("tick")
}

// A dashboard that stops reading is let go after some seconds; another that reads has
// all its ticks meanwhile, and the proxy waits for neither.
func TestADashboardThatStopsReadingIsDropped(t *testing.T) {
	if testing.Short() {
		t.Skip("left out: it takes ten seconds")
	}
	p := serve(t, base)
	reads := p.watch()
	reads.event("start")
	stopped := p.watch()
	stopped.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	for range 14 { // with these all places are taken, and one is free when it is dropped
		w := p.watch()
		go io.Copy(io.Discard, w.conn)
	}
	ended := make(chan struct{})
	defer close(ended)
	go p.refused(ended)
	ticks := 0
	for end := time.Now().Add(2 * patience); p.isFull(); ticks++ {
		if time.Now().After(end) {
			t.Fatal("it is not dropped")
		}
		if n := len(list(reads.event("tick"), "refused")); n > 100 {
			t.Errorf("%d refusals in one tick", n)
		}
	}
	if ticks < 3 {
		t.Errorf("dropped after %d ticks", ticks)
	}
	reads.event("tick")
	eventually(t, "what wrote to it still waits", func() bool { return writers() <= 15 })
}

// writers returns how many subscribers are served in this process.
func writers() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "admin.(*Handler).events(")
}

// isFull tells whether there is no place for one more watcher.
func (p *proxy) isFull() bool {
	resp, err := http.Get(p.url("/events"))
	if err != nil {
		p.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusServiceUnavailable
}

// refused makes refusals with long paths, some hundreds a second.
func (p *proxy) refused(until chan struct{}) {
	for {
		select {
		case <-until:
			return
		case <-time.After(2 * time.Millisecond):
		}
		c, err := net.Dial("tcp", p.addrs[0])
		if err != nil {
			p.t.Error(err)
			return
		}
		fmt.Fprintf(c, "GET http://10.0.0.1/%s HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n", strings.Repeat("x", 1000))
		io.Copy(io.Discard, c)
		c.Close()
	}
}
