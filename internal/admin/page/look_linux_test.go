package page_test

import (
	"fmt"
	"math"
	"net/http"
	"sluice/internal/lab/browser"
	"testing"
	"time"
)

// example is a proxy of made-up clients and names, which README.md shows.
type example struct {
	tunnels  []object
	up, down []int64
	ok       int
}

func newExample() *example {
	clients := []string{"192.0.2.10", "192.0.2.11", "192.0.2.27", "198.51.100.4", "198.51.100.61", "2001:db8:40::7", "203.0.113.9"}
	hosts := []string{"registry.example.com", "layers.cdn.example.net", "packages.example.org", "auth.example.com", "git.example.net", "mirror.example.org"}
	rules := []string{"docker-hosts", "docker-hosts", "packages", "docker-hosts", "build", "packages"}
	e := &example{ok: 48211}
	for i := range 34 {
		o := tunnelObject(i+1, clients[i*i%len(clients)], hosts[(i*5+i/7)%len(hosts)])
		o["rule"] = rules[(i*5+i/7)%len(hosts)]
		o["start"] = stamp(began.Add(-time.Duration(7*i*i+3*i) * time.Second))
		if i%5 == 3 {
			o["user"] = []string{"build", "deploy"}[i%2]
		}
		if i%9 == 4 {
			o["protocol"] = "socks5"
		}
		e.tunnels = append(e.tunnels, o)
	}
	e.up, e.down = make([]int64, len(e.tunnels)), make([]int64, len(e.tunnels))
	return e
}

func (e *example) refusals() []object {
	list := []object{
		{"client": "192.0.2.27", "host": "metadata.example.internal", "port": 80, "outcome": "address_not_public", "rule": "packages", "reason": "metadata.example.internal leads to 169.254.169.254, which is not public"},
		{"client": "203.0.113.77", "host": "example.com", "port": 443, "outcome": "rule_denied", "reason": "no rule lets 203.0.113.77 reach example.com:443"},
		{"client": "192.0.2.10", "host": "telemetry.example.com", "port": 443, "outcome": "rule_denied", "reason": "no rule lets 192.0.2.10 reach telemetry.example.com:443; rule docker-hosts admits this client, but not to that host"},
		{"client": "198.51.100.4", "user": "build", "host": "git.example.net", "port": 22, "outcome": "rule_denied", "reason": "no rule lets build at 198.51.100.4 reach git.example.net:22; rule build admits only port 443 there"},
		{"client": "192.0.2.11", "host": "registry.exmaple.com", "port": 443, "outcome": "name_not_found", "rule": "docker-hosts", "reason": "registry.exmaple.com does not resolve"},
	}
	for i, r := range list {
		r["id"] = fmt.Sprintf("%016x", 9000+i)
		r["time"] = stamp(began.Add(-time.Duration(11+i*i*37) * time.Second))
		r["protocol"], r["method"] = "connect", "CONNECT"
	}
	return list
}

func (e *example) requests(n int) object {
	return object{"ok": e.ok + n, "rule_denied": 212 + n/4, "address_not_public": 9 + n/50, "name_not_found": 31 + n/25, "timeout": 4}
}

func (e *example) start() object {
	start := starting(e.tunnels...)
	start["refusals"], start["requests"] = e.refusals(), e.requests(0)
	start["bytes_up"], start["bytes_down"] = int64(41_873_220_118), int64(1_904_117_332_870)
	return start
}

// tick moves the tunnels on by a second.
func (e *example) tick(n int) object {
	var moved []any
	rates := map[string]map[string][3]float64{"client": {}, "host": {}} // tunnels, up, down
	var up, down float64
	for i, o := range e.tunnels {
		d, u := 0.0, 0.0
		if i%3 != 1 {
			// Each fetches for a while and rests for a while, and is never quite even.
			wave := 1 + 0.06*math.Sin(float64(n*(3+i)))*math.Cos(float64(n*i)/31)
			if (n/(13+i)+i)%4 == 2 {
				wave /= 9
			}
			d = 46e6 * wave / float64(1+i*i/3)
			u = d / float64(12+i)
			if o["rule"] == "build" {
				d, u = u/3, d/2
			}
		}
		e.down[i] += int64(d)
		e.up[i] += int64(u)
		if d > 0 {
			moved = append(moved, []any{o["id"], e.up[i], e.down[i]})
		}
		for by, list := range rates {
			r := list[o[by].(string)]
			list[o[by].(string)] = [3]float64{r[0] + 1, r[1] + u, r[2] + d}
		}
		up, down = up+u, down+d
	}
	return ticking(n, len(e.tunnels), object{
		"moved": moved, "rate_up": int64(up), "rate_down": int64(down), "requests": e.requests(n),
		"bytes_up": int64(41_873_220_118 + up*float64(n)), "bytes_down": int64(1_904_117_332_870 + down*float64(n)),
		"clients": ranked("client", rates["client"]), "destinations": ranked("host", rates["host"]),
	})
}

func ranked(field string, rates map[string][3]float64) []object {
	var list []object
	for len(rates) > 0 {
		best := ""
		for name, r := range rates {
			if b := rates[best]; best == "" || r[1]+r[2] > b[1]+b[2] || r[1]+r[2] == b[1]+b[2] && name < best {
				best = name
			}
		}
		r := rates[best]
		list = append(list, object{field: best, "tunnels": int(r[0]), "rate_up": int64(r[1]), "rate_down": int64(r[2])})
		delete(rates, best)
	}
	return list
}

// The pictures are for people: README.md has the light one of 1400 pixels.
func TestThePageIsPhotographedInLightAndDarkWideAndNarrow(t *testing.T) {
	e := newExample()
	f := newFeed(t, e.start)
	f.explain = func(*http.Request) (int, object) {
		return http.StatusOK, object{
			"allowed": false, "sentence": "no rule lets 192.0.2.10 reach telemetry.example.com:443; rule docker-hosts admits this client, but not to that host",
			"steps": []object{
				{"rule": "docker-hosts", "action": "allow", "matched": false, "why": "telemetry.example.com is not in to"},
				{"rule": "packages", "action": "allow", "matched": false, "why": "telemetry.example.com is not in to"},
				{"rule": "build", "action": "allow", "matched": false, "why": "client 192.0.2.10 is not in clients"},
			},
		}
	}
	b := browser.New(t)
	b.View(1400, 1010, "light")
	b.Open(f.URL)
	for n := range 290 {
		f.send("tick", e.tick(n+1))
		if n%32 == 31 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	b.Until(`document.getElementById("plot-empty").hidden && document.querySelectorAll("#client-rows tr").length > 3`)
	time.Sleep(300 * time.Millisecond)
	b.Eval(`document.querySelector(".explain[aria-label*=telemetry]").click()`)
	b.Until(`document.querySelector(".explanation ol")`)
	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1400, 1920, 400, 360} {
			b.View(width, 1010, scheme)
			time.Sleep(200 * time.Millisecond)
			b.Photograph(fmt.Sprintf("%s-%d", scheme, width))
			height := b.Eval("document.documentElement.scrollHeight")
			if wide := b.Eval("document.documentElement.scrollWidth > innerWidth"); wide != "false" {
				t.Errorf("at %d pixels it is wider than the window", width)
			}
			var h int64
			fmt.Sscan(height, &h)
			b.View(width, h, scheme)
			time.Sleep(200 * time.Millisecond)
			b.Photograph(fmt.Sprintf("%s-%d-whole", scheme, width))
		}
	}
}
