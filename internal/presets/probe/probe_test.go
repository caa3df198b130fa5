package probe_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sluice/internal/presets"
	"sluice/internal/presets/probe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// httptest's certificate is for this name and what is below it.
const named = "example.com"

// places are where connections go for each HOST:PORT, on loopback. A place that is
// not there is a name that does not resolve, "" one that refuses, "silent" one that
// accepts and never says anything.
type places map[string]string

func (p places) dial(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	silent := listen(t)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		place, ok := p[address]
		switch {
		case !ok:
			host, _, _ := net.SplitHostPort(address)
			return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
		case place == "":
			place = closed(t)
		case place == "silent":
			place = silent
		}
		return new(net.Dialer).DialContext(ctx, network, place)
	}
}

func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// closed is a port of loopback that nobody listens on.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return ""
	}
	defer l.Close()
	return l.Addr().String()
}

func origin(t *testing.T, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "a token is wanted", http.StatusUnauthorized)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(s)
	t.Cleanup(s.Close)
	return s
}

func address(s *httptest.Server) string { return s.Listener.Addr().String() }

func roots(s *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

func preset(name, date string, hosts ...presets.Host) presets.Preset {
	return presets.Preset{Name: name, Date: date, Source: "https://vendor.example/hosts", Hosts: hosts}
}

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func verdicts(r *probe.Report) map[string]probe.Verdict {
	all := map[string]probe.Verdict{}
	for _, p := range r.Presets {
		for _, h := range p.Hosts {
			all[h.Name] = h.Verdict
		}
	}
	return all
}

func TestWhatLooksStaleIsToldFromWhatAnswers(t *testing.T) {
	secure, plain := origin(t, (*httptest.Server).StartTLS), origin(t, (*httptest.Server).Start)
	stranger := origin(t, func(s *httptest.Server) { // a certificate that nobody here trusts, for the right name
		s.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned(t, "mitm."+named)}}
		s.StartTLS()
	})
	list := []presets.Preset{
		preset("one", "2026-01-31",
			presets.Host{Name: named},
			presets.Host{Name: "cdn." + named},
			presets.Host{Name: "*.wild.example"},
			presets.Host{Name: "gone.example"},
			presets.Host{Name: "refuses." + named},
			presets.Host{Name: "silent." + named},
			presets.Host{Name: "other.example"},
			presets.Host{Name: "mitm." + named},
			presets.Host{Name: "http-only." + named},
			presets.Host{Name: "archive." + named, Plain: true},
			presets.Host{Name: "nothing." + named, Plain: true},
		),
		preset("two", "2025-05-31", presets.Host{Name: named}),
	}
	where := places{
		named + ":443": address(secure), "cdn." + named + ":443": address(secure), "other.example:443": address(secure),
		"refuses." + named + ":443": "", "silent." + named + ":443": "silent", "mitm." + named + ":443": address(stranger),
		"http-only." + named + ":443": "", "http-only." + named + ":80": address(plain),
		"archive." + named + ":443": "", "archive." + named + ":80": address(plain),
		"nothing." + named + ":443": "", "nothing." + named + ":80": "",
	}
	r := probe.Check(t.Context(), list, probe.Options{Timeout: time.Second, Roots: roots(secure), Now: now, Dial: where.dial(t)})
	want := map[string]probe.Verdict{
		named: probe.OK, "cdn." + named: probe.OK, "*.wild.example": probe.NotProbed, "gone.example": probe.NoName,
		"refuses." + named: probe.NoAnswer, "silent." + named: probe.NoAnswer, "other.example": probe.WrongName,
		"mitm." + named: probe.Unclear, "http-only." + named: probe.NoAnswer, "archive." + named: probe.Plain,
		"nothing." + named: probe.NoAnswer,
	}
	if diff := cmp.Diff(want, verdicts(r)); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	if want := (probe.Summary{Answer: 3, Stale: 6, Unclear: 1, NotProbed: 1, Old: 1}); r.Summary != want {
		t.Errorf("%+v, want %+v", r.Summary, want)
	}
	if r.Presets[0].Old || !r.Presets[1].Old {
		t.Errorf("old: %t, %t", r.Presets[0].Old, r.Presets[1].Old)
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"@one: 3 of 11 answer; as of 2026-01-31\n",
		"@two: 1 of 1 answer; as of 2025-05-31, which is more than a year ago: compare it with https://vendor.example/hosts\n",
		"3 hosts answer, 6 stale by the look of it, 1 unclear, 1 not probed; 1 preset with an old source\n",
		"its certificate is for example.com, *.example.com",
		"it does not resolve", "it does not answer in time", "it answers on port 80 alone", "its certificate is not trusted here",
	} {
		if !strings.Contains(text.String(), line) {
			t.Errorf("no %q in\n%s", line, &text)
		}
	}
}

func TestAHostThatSeveralPresetsHaveIsAskedOnce(t *testing.T) {
	var asked atomic.Int64
	secure := origin(t, (*httptest.Server).StartTLS)
	secure.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Method != http.MethodHead {
			t.Errorf("asked with %s", r.Method)
		}
	})
	var list []presets.Preset
	for i := range 40 { // more than are asked at once
		list = append(list, preset(fmt.Sprint(i), "2026-01-31", presets.Host{Name: named}))
	}
	r := probe.Check(t.Context(), list, probe.Options{Roots: roots(secure), Now: now, Dial: places{named + ":443": address(secure)}.dial(t)})
	if n := asked.Load(); n != 1 || r.Summary != (probe.Summary{Answer: 1}) || !r.Summary.Fine() {
		t.Errorf("asked %d times: %+v", n, r.Summary)
	}
	for _, p := range r.Presets {
		if p.Hosts[0].Verdict != probe.OK {
			t.Errorf("@%s: %+v", p.Name, p.Hosts)
		}
	}
}

func TestNoMoreHostsAreAskedAtOnceThanTheBound(t *testing.T) {
	var now, most atomic.Int64
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
		return nil, io.ErrUnexpectedEOF
	}
	var hosts []presets.Host
	for i := range 100 {
		hosts = append(hosts, presets.Host{Name: fmt.Sprintf("h%d.example", i)})
	}
	r := probe.Check(t.Context(), []presets.Preset{preset("many", "2026-01-31", hosts...)}, probe.Options{Dial: dial})
	if m := most.Load(); m > 16 || r.Summary.Stale != 100 {
		t.Errorf("%d at once, %+v", m, r.Summary)
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "Nothing answers, so this is about the network here") {
		t.Errorf("%v\n%s", err, &text)
	}
}

// proxy is an HTTP proxy that answers CONNECTs by a table, and opens the others to
// one address. It wants a password.
func proxy(t *testing.T, answers map[string]string, to string) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer client.Close()
		if _, password, ok := parseProxyAuth(r); !ok || password != "secret" {
			t.Errorf("%s comes without the password", r.Host)
		}
		if answer, ok := answers[r.Host]; ok || r.Method != http.MethodConnect {
			fmt.Fprintf(client, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", strings.TrimSpace(answer))
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		fmt.Fprint(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(server, client); server.Close() }()
		_, _ = io.Copy(client, server)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "secret")
	return u
}

func parseProxyAuth(r *http.Request) (user, password string, ok bool) {
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	return r.BasicAuth()
}

func TestThroughAProxyItsAnswersAreRead(t *testing.T) {
	secure := origin(t, (*httptest.Server).StartTLS)
	u := proxy(t, map[string]string{
		"denied.example:443":  "403 sluice: no rule lets 192.0.2.7 reach denied.example:443\r\nProxy-Status: sluice; error=http_request_denied",
		"gone.example:443":    "502 sluice: gone.example does not resolve\r\nProxy-Status: sluice; error=dns_error; details=\"x\"",
		"refuses.example:443": "502 sluice: refused\r\nProxy-Status: sluice; error=connection_refused",
		"squid.example:443":   "503 Service Unavailable",
		"tiny.example:443":    "504 Gateway Timeout",
		"plain.example:443":   "504 Gateway Timeout",
		"plain.example":       "502 Bad Gateway", // its own page, in the place of the host's
	}, address(secure))
	var hosts []presets.Host
	for _, name := range []string{named, "other.example", "denied.example", "gone.example", "refuses.example", "squid.example", "tiny.example"} {
		hosts = append(hosts, presets.Host{Name: name})
	}
	hosts = append(hosts, presets.Host{Name: "plain.example", Plain: true})
	r := probe.Check(t.Context(), []presets.Preset{preset("p", "2026-01-31", hosts...)}, probe.Options{Proxy: u, Roots: roots(secure), Now: now})
	want := map[string]probe.Verdict{
		named: probe.OK, "other.example": probe.WrongName, "denied.example": probe.Unclear, "gone.example": probe.NoName,
		"refuses.example": probe.NoAnswer, "squid.example": probe.Unclear, "tiny.example": probe.NoAnswer, "plain.example": probe.NoAnswer,
	}
	if diff := cmp.Diff(want, verdicts(r)); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	var text bytes.Buffer
	if err := json.NewEncoder(&text).Encode(r); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "secret") || !strings.Contains(text.String(), "no rule lets 192.0.2.7 reach") {
		t.Errorf("the report is %s", &text)
	}
}

func TestAProxyThatIsNotThereMakesNothingLookStale(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		u := &url.URL{Scheme: scheme, Host: closed(t)}
		r := probe.Check(t.Context(), []presets.Preset{preset("p", "2026-01-31", presets.Host{Name: named})}, probe.Options{Proxy: u, Now: now})
		if got := r.Presets[0].Hosts[0]; got.Verdict != probe.Unclear || !strings.HasPrefix(got.Sentence, "the proxy cannot be used: ") || r.Summary.Fine() {
			t.Errorf("%s: %+v", scheme, got)
		}
	}
}

func TestThroughSOCKSItsRepliesAreRead(t *testing.T) {
	for reply, want := range map[byte]probe.Verdict{2: probe.Unclear, 3: probe.NoAnswer, 4: probe.NoAnswer, 5: probe.NoAnswer, 1: probe.Unclear} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			buf := make([]byte, 512)
			_, _ = c.Read(buf)
			_, _ = c.Write([]byte{5, 0})
			_, _ = c.Read(buf)
			_, _ = c.Write([]byte{5, reply, 0, 1, 0, 0, 0, 0, 0, 0})
		}()
		u := &url.URL{Scheme: "socks5", Host: l.Addr().String()}
		r := probe.Check(t.Context(), []presets.Preset{preset("p", "2026-01-31", presets.Host{Name: named})}, probe.Options{Proxy: u, Now: now})
		if got := r.Presets[0].Hosts[0]; got.Verdict != want {
			t.Errorf("reply %d: %+v, want %s", reply, got, want)
		}
		l.Close()
		<-done
	}
}

func TestACheckEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := probe.Check(ctx, []presets.Preset{preset("p", "2026-01-31", presets.Host{Name: named})}, probe.Options{Dial: places{named + ":443": "silent"}.dial(t)})
	if r.Summary.NotProbed != 1 {
		t.Errorf("%+v", r.Presets)
	}
}

func TestPresetsMdHasEveryVerdict(t *testing.T) {
	text, err := os.ReadFile("../PRESETS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range probe.Verdicts() {
		if !bytes.Contains(text, []byte("| `"+string(v)+"` |")) {
			t.Errorf("PRESETS.md says nothing of %s", v)
		}
	}
}
