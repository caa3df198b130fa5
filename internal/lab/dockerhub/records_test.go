//go:build linux

package dockerhub

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/lab"
)

func TestTheRecordsBytesAreThoseOfCurlAndOfTheOrigin(t *testing.T) {
	lab.Need(t, lab.Needs{Root: true, Programs: []string{"curl"}, Part: "records compared with curl's count"})
	n := lab.New(t)
	relay := n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
	client := n.Host(t, "client", netip.MustParsePrefix("198.18.0.10/15"))
	origin := n.Host(t, "origin", netip.MustParsePrefix("198.18.3.1/15"))
	body := make([]byte, 3_000_017)
	p := lab.StartSluice(t, relay, "--allow", client.Prefix().String(), "--to", "origin", "--allow-private", lab.Range)
	for _, c := range []struct {
		protocol string
		port     string
		tunnel   bool // what the origin sends is what curl receives; else Via is added
		curl     []string
	}{
		{"connect", "80", true, []string{"--proxytunnel", "--proxy", p.URL("http")}},
		{"socks5", "443", true, []string{"--proxy", p.URL("socks5h")}},
		{"http", "80", false, []string{"--proxy", p.URL("http")}},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			server := lab.ServeHTTP(t, origin, ":"+c.port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/octet-stream")
				w.Header().Set("Content-Length", strconv.Itoa(len(body)))
				_, _ = w.Write(body)
			}))
			// --dump-header has the headers of the proxy's answer, too, unless told.
			args := append([]string{
				"--silent", "--suppress-connect-headers", "--dump-header", "-", "--output", "/dev/null",
				"--write-out", "%{stderr}%{size_download}", "http://origin:" + c.port + "/",
			}, c.curl...)
			cmd := client.Command(t.Context(), "curl", args...)
			var headers, counted strings.Builder
			cmd.Stdout, cmd.Stderr = &headers, &counted
			if err := cmd.Run(); err != nil {
				t.Fatalf("curl: %v: %s", err, &counted)
			}
			downloaded, err := strconv.Atoi(counted.String())
			if err != nil {
				t.Fatal(err)
			}
			record := p.WaitRecord(t, func(r lab.Record) bool { return r.String("protocol") == c.protocol })
			if got, want := record.Int("bytes_down"), int64(downloaded+headers.Len()); got != want {
				t.Errorf("bytes_down is %d; curl has received %d of headers and %d of body: %d", got, headers.Len(), downloaded, want)
			}
			if got, want := record.Int("bytes_down"), server.BytesOut(); c.tunnel && got != want {
				t.Errorf("bytes_down is %d, the origin has sent %d", got, want)
			}
			if got, want := record.Int("bytes_up"), server.BytesIn(); got != want || got == 0 {
				t.Errorf("bytes_up is %d, the origin has received %d", got, want)
			}
		})
	}
}
