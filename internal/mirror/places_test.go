package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

func TestAClientHasSoManyConnectionsAndNoMore(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[limits]\nconnections = 2\n"))
	var kept []*http.Client
	refused := 0
	for range 4 {
		c := &http.Client{Transport: &http.Transport{}}
		kept = append(kept, c)
		resp, err := c.Get(r.url("/v2/"))
		if err != nil {
			refused++
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if refused != 2 {
		t.Errorf("%d of 4 were refused", refused)
	}
	for _, c := range kept {
		c.CloseIdleConnections()
	}
	waitFor(t, func() bool {
		resp, err := http.Get(r.url("/v2/"))
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// crowded is a mirror with a client that has all its places: two requests over one
// connection of HTTP/2 that go on until the gate of their registry is open.
type crowded struct {
	*running
	origin *origin
	client *http.Client
	blob   string // the URL of what they pull
	pulled []io.ReadCloser
	open   func() // lets the pulls go on
}

// crowd makes the client's requests to the mirror, or by the transparent way.
func crowd(t *testing.T, transparent bool) *crowded {
	t.Helper()
	o := newOrigin(t)
	o.gate = make(chan struct{})
	r := run(t, strings.Replace(text(t, o, "[limits]\nconnections = 2\n[transparent]\naddress = \"127.0.0.1:0\"\n"), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1))
	c := &crowded{running: r, origin: o, open: sync.OnceFunc(func() { close(o.gate) })}
	if transparent {
		c.client, c.blob = r.client(r.transparent(), true), "https://registry-1.docker.io"+o.blob()
	} else {
		c.client, c.blob = r.client(nil, true), "https://"+r.Addrs()[0].String()+o.blob()
	}
	t.Cleanup(c.open) // or the registry does not end
	for range 2 {
		resp := c.ask(http.MethodGet, http.StatusOK)
		t.Cleanup(func() { resp.Body.Close() })
		c.pulled = append(c.pulled, resp.Body)
	}
	return c
}

// ask is one request more. The caller closes the answer's body.
func (c *crowded) ask(method string, want int) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.blob, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != want || resp.ProtoMajor != 2 {
		c.t.Errorf("%s %s, want %d", resp.Proto, resp.Status, want)
	}
	return resp
}

// refused asks and is refused.
func (c *crowded) refused(method string) (h http.Header, body string) {
	c.t.Helper()
	resp := c.ask(method, http.StatusTooManyRequests)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Header, string(b)
}

// counted waits until the metrics have so many refusals, which is the last that comes of
// one.
func (c *crowded) counted(n int) {
	c.t.Helper()
	sample := fmt.Sprintf("sluice_mirror_requests_total{class=\"4xx\",how=\"\",kind=\"blob\"} %d\n", n)
	waitFor(c.t, func() bool {
		_, text := get(c.t, "http://"+c.AdminAddr().String()+"/metrics")
		return strings.Contains(text, sample)
	})
}

// byEachWay runs a test with clients of the mirror, and with those that take it for
// their proxy.
func byEachWay(t *testing.T, test func(t *testing.T, transparent bool)) {
	t.Helper()
	t.Run("to the mirror", func(t *testing.T) { test(t, false) })
	t.Run("transparent", func(t *testing.T) { test(t, true) })
}

func TestRequestsOverOneConnectionTakePlacesToo(t *testing.T) {
	byEachWay(t, func(t *testing.T, transparent bool) {
		c := crowd(t, transparent)
		for range 2 {
			c.refused(http.MethodGet)
		}
		c.open()
		for _, b := range c.pulled {
			if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, c.origin.layer) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		waitFor(t, func() bool {
			resp, err := c.client.Get(c.blob)
			if err == nil {
				resp.Body.Close()
			}
			n, _ := c.places.Len()
			return err == nil && resp.StatusCode == http.StatusOK && n <= 1
		})
	})
}

// Whoever looks after a client's failed pulls finds them by the client, and by what it
// pulled.
func TestARequestWithoutAPlaceLeavesARecord(t *testing.T) {
	byEachWay(t, func(t *testing.T, transparent bool) {
		c := crowd(t, transparent)
		h, body := c.refused(http.MethodGet)
		const sentence = "sluice-mirror answers too many requests of this client already"
		if want := `{"errors":[{"code":"TOOMANYREQUESTS","message":"` + sentence + `"}]}`; body != want || h.Get("Retry-After") != "1" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s\n%v", body, h)
		}
		if _, nothing := c.refused(http.MethodHead); nothing != "" {
			t.Errorf("in answer to HEAD: %s", nothing)
		}
		c.counted(2)
		waitFor(t, func() bool { return strings.Count(c.out.String(), `"status":429`) == 2 })
		listener, registry := c.force.Load().cfg.Listeners[0].Address, ""
		if transparent {
			listener, registry = c.force.Load().cfg.Transparent.Address, "docker.io"
		}
		list := c.recent.LatestRefused()
		if len(list) != 2 {
			t.Fatalf("%d records", len(list))
		}
		want := record.Record{
			Listener: listener, Agent: "Go-http-client/2.0", Registry: registry, Repository: "library/app", Kind: record.Blob,
			Reference: string(oci.FromBytes(c.origin.layer)), Status: 429, Code: "TOOMANYREQUESTS", Error: sentence,
		}
		for i, method := range []string{http.MethodHead, http.MethodGet} { // the latest first
			got := *list[i]
			if got.ID == 0 || got.Start.IsZero() || got.Client.Addr() != netip.MustParseAddr("127.0.0.1") || got.Duration < 0 {
				t.Errorf("%+v", got)
			}
			want.Method, want.Bytes = method, 0
			if method == http.MethodGet {
				want.Bytes = int64(len(body))
			}
			got.ID, got.Start, got.Client, got.Duration = 0, time.Time{}, netip.AddrPort{}, 0
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
	})
}

// A client that asks on and on without a place fills neither the disk nor the list of
// what was refused. All are counted.
func TestAFloodOfRequestsWithoutAPlaceLeavesFewRecords(t *testing.T) {
	c := crowd(t, false)
	const flood, most = 20, 3
	c.recorded.SetLimit(rate.Limit(1e-9)) // none in the time of a test
	c.recorded.SetBurst(most)
	for range flood {
		c.refused(http.MethodGet)
	}
	c.counted(flood)
	if n := len(c.recent.LatestRefused()); n != most {
		t.Errorf("%d records of %d requests", n, flood)
	}
	// Each line tells how many there were without since the one before.
	const said = "requests refused, for there are too many"
	waitFor(t, func() bool {
		told, lines := c.unrecorded.Load(), 0
		for text := range strings.Lines(c.err.String()) {
			var line struct {
				Msg     string
				Without uint64 `json:"without_record"`
			}
			if json.Unmarshal([]byte(text), &line) == nil && line.Msg == said {
				lines++
				told += line.Without
			}
		}
		return told == flood-most && lines > 0
	})
}
