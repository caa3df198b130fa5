package server

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"sluice/internal/lab"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/proxy"
)

// samples are the figures of one scrape by name and labels, without those of the Go
// runtime and the process.
type samples map[string]float64

// scraper asks for metrics over one connection.
func (r *running) scraper() func() samples {
	client := &http.Client{Transport: &http.Transport{}}
	r.t.Cleanup(client.CloseIdleConnections)
	return func() samples {
		resp, err := client.Get("http://" + r.AdminAddr().String() + "/metrics")
		if err != nil {
			r.t.Error(err)
			return nil
		}
		defer resp.Body.Close()
		found := make(samples)
		for in := bufio.NewScanner(resp.Body); in.Scan(); {
			if line := in.Text(); strings.HasPrefix(line, "sluice_") {
				at := strings.LastIndexByte(line, ' ')
				if found[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
					r.t.Errorf("%s: %v", line, err)
				}
			}
		}
		return found
	}
}

// prefixed are those whose name and labels begin so.
func (s samples) prefixed(prefix string) samples {
	s = maps.Clone(s)
	maps.DeleteFunc(s, func(name string, _ float64) bool { return !strings.HasPrefix(name, prefix) })
	return s
}

// goesBack returns what is less than before, of what only grows.
func (s samples) goesBack(before samples) (bad []string) {
	for name, old := range before {
		family, _, _ := strings.Cut(name, "{")
		grows := strings.HasSuffix(family, "_total") || strings.HasSuffix(family, "_count") || strings.HasSuffix(family, "_bucket")
		if now, ok := s[name]; grows && (!ok || now < old) {
			bad = append(bad, fmt.Sprintf("%s from %g to %g", name, old, now))
		}
	}
	return bad
}

// recorded adds up bytes and requests of all records, as metrics name them.
func (r *running) recorded() samples {
	sum := make(samples)
	for _, rec := range r.records() {
		rule, _ := rec["rule"].(string)
		for _, d := range []string{"up", "down"} {
			if n := rec["bytes_"+d].(float64); n > 0 {
				sum[fmt.Sprintf(`sluice_bytes_total{direction=%q,protocol=%q,rule=%q}`, d, rec["protocol"], rule)] += n
			}
		}
		sum[fmt.Sprintf(`sluice_requests_total{outcome=%q,protocol=%q,rule=%q}`, rec["outcome"], rec["protocol"], rule)]++
	}
	return sum
}

// mill is an origin that gives for each line with a number so many bytes, and tells
// what else it got.
func mill(t *testing.T) string {
	return lab.Loopback(t, func(c net.Conn) {
		for in := bufio.NewReader(c); ; {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if err != nil {
				t.Errorf("the mill is told %q", line)
				return
			}
			io.CopyN(c, rand.Reader, n)
		}
	})
}

// grind has the mill give so many bytes, and takes them.
func grind(c io.ReadWriter, n int64) error {
	if _, err := fmt.Fprintf(c, "%10d\n", n); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, c, n)
	return err
}

func TestAScrapeSeesATransferThatIsUnderWay(t *testing.T) {
	r := run(t, base)
	scrape := r.scraper()
	if d := cmp.Diff(samples{}, scrape().prefixed("sluice_bytes_total")); d != "" {
		t.Error(d)
	}
	c, _ := r.connect(mill(t))
	bytes := func(up, down float64) samples {
		return samples{
			`sluice_bytes_total{direction="up",protocol="connect",rule="lab"}`:   up,
			`sluice_bytes_total{direction="down",protocol="connect",rule="lab"}`: down,
		}
	}
	for i, want := range []samples{bytes(11, 1<<20), bytes(22, 2<<20)} {
		if err := grind(c, 1<<20); err != nil {
			t.Fatal(err)
		}
		// The relay counts what it has written, a moment after it can be read.
		waitFor(t, func() bool { return cmp.Equal(want, scrape().prefixed("sluice_bytes_total")) })
		s := scrape()
		if len(s.prefixed("sluice_requests_total")) > 0 || s[`sluice_requests_in_progress{protocol="connect"}`] != 1 || s["sluice_tunnels"] != 1 || s["sluice_clients"] != 1 {
			t.Errorf("after transfer %d there are %v", i, s)
		}
	}
	if s := scrape(); s["sluice_dial_duration_seconds_count"] != 1 || s["sluice_dns_duration_seconds_count"] != 0 {
		t.Errorf("dials %v", s.prefixed("sluice_d"))
	}
	c.Close()
	waitFor(t, func() bool { return r.gate.Live().Len() == 0 })
	s := scrape()
	if d := cmp.Diff(bytes(22, 2<<20), s.prefixed("sluice_bytes_total")); d != "" {
		t.Error(d)
	}
	if s["sluice_tunnels"] != 0 || s["sluice_clients"] != 0 || s["sluice_max_tunnels"] != float64(r.gate.Policy().MaxTunnels) {
		t.Errorf("when all is over there are %v", s)
	}
}

// Tunnels of all protocols come, move bytes, are refused and go, while several read:
// no figure goes back, and in the end they are what the records say.
func TestFiguresOnlyGrowAndAddUpToTheRecords(t *testing.T) {
	r := run(t, strings.Replace(base, "[[rule]]", `[[rule]]
name = "none-of-these"
action = "deny"
to = ["*.invalid"]
ports = ["1-65535"]
[[rule]]`, 1))
	to := mill(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.Copy(w, io.LimitReader(rand.Reader, 100_000))
	}))
	defer web.Close()

	over := make(chan struct{})
	var reading, working sync.WaitGroup
	for range 3 {
		scrape := r.scraper()
		reading.Go(func() {
			for before := (samples{}); ; {
				now := scrape()
				if bad := now.goesBack(before); len(bad) > 0 {
					t.Errorf("these go back: %q", bad)
				}
				before = now
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	work := func(f func(i int) error) {
		working.Go(func() {
			for i := range 20 {
				if err := f(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	socks, err := proxy.SOCKS5("tcp", r.addr(), nil, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	through := func(c net.Conn, i int) error {
		defer c.Close()
		for j := range 5 {
			if err := grind(c, int64(1000*i+j)); err != nil {
				return err
			}
		}
		return nil
	}
	work(func(i int) error {
		c, err := socks.Dial("tcp", to)
		if err != nil {
			return err
		}
		return through(c, i)
	})
	work(func(i int) error {
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			return err
		}
		if got := ask(c, to); !strings.HasPrefix(got, "200") {
			return fmt.Errorf("CONNECT: %s", got)
		}
		return through(c, i)
	})
	work(func(int) error {
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			return err
		}
		defer c.Close()
		if got := ask(c, "host.invalid:443"); !strings.HasPrefix(got, "403") {
			return fmt.Errorf("a denied CONNECT: %s", got)
		}
		return nil
	})
	work(func(int) error {
		c, err := net.Dial("tcp", r.addr())
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", web.URL)
		_, err = io.Copy(io.Discard, c)
		return err
	})
	working.Wait()
	waitFor(t, func() bool { return r.gate.Live().Len() == 0 })
	close(over)
	reading.Wait()

	// The admin address is closed at the end, so scrape before the log is complete.
	s := r.scraper()()
	r.stop()
	r.wait()
	have := s.prefixed("sluice_bytes_total{")
	maps.Copy(have, s.prefixed("sluice_requests_total{"))
	want := r.recorded()
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("the records say otherwise (-):\n%s", d)
	}
	if n := len(want); n != 10 { // three protocols each way, and four kinds of ends
		t.Errorf("the records have %q", slices.Sorted(maps.Keys(want)))
	}
	if n := s[`sluice_tunnel_duration_seconds_count{protocol="socks5"}`]; n != 20 {
		t.Errorf("%g lifetimes of SOCKS5 tunnels", n)
	}
}

func TestConnectionsThatAreResetAreCountedByTheirBound(t *testing.T) {
	r := run(t, base+"[limits]\nhandshakes = 2\n[server]\nmax_handshakes = 16\n")
	r.silent("127.0.0.2", 2)
	for range 3 {
		if !r.resets("127.0.0.2") {
			t.Error("one more than its two was let in")
		}
	}
	want := samples{
		"sluice_handshakes":                                       2,
		"sluice_max_handshakes":                                   16,
		`sluice_connections_reset_total{bound="handshakes"}`:      3,
		`sluice_connections_reset_total{bound="max_handshakes"}`:  0,
		"sluice_log_records_lost_total":                           0,
		"sluice_accept_failures_total":                            0,
		"sluice_draining":                                         0,
		"sluice_config_last_reload_successful":                    1,
		`sluice_config_reloads_total{result="failure"}`:           0,
		`sluice_requests_in_progress{protocol="http"}`:            0,
		`sluice_tunnel_duration_seconds_count{protocol="socks5"}`: 0,
	}
	for name, have := range r.scraper()() {
		if w, ok := want[name]; ok && w != have {
			t.Errorf("%s is %g, want %g", name, have, w)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no %s", name)
	}
}

func TestADrainShowsInTheMetrics(t *testing.T) {
	r := run(t, base+"[server]\ndrain = \"20s\"\n")
	c, _ := r.connect(mill(t))
	scrape := r.scraper()
	r.stop()
	waitFor(t, func() bool { return scrape()["sluice_draining"] == 1 })
	if err := grind(c, 1000); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		return scrape()[`sluice_bytes_total{direction="down",protocol="connect",rule="lab"}`] == 1000
	})
	c.Close()
}
