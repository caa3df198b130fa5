package accesslog

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/track"
)

func sample() *track.Record {
	return &track.Record{
		ID: 0xabc, Start: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Listener: ":3128", Protocol: track.Connect,
		Client: netip.MustParseAddrPort("192.0.2.7:5555"), User: "ann", Host: "example.com", Port: 443, Status: 200,
		Address: netip.MustParseAddrPort("203.0.113.9:443"), Rule: "docker-hosts", Decision: "allow", Outcome: "ok",
		Tries: 1, DNS: time.Millisecond, Dial: 2 * time.Millisecond, Total: 3 * time.Second,
		Up: 10, Down: 20, ClosedBy: track.Client, How: "fin",
	}
}

func write(t *testing.T, f Format, r *track.Record) string {
	t.Helper()
	var out bytes.Buffer
	l, err := Open(Options{Format: f, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(r)
	l.Close()
	return out.String()
}

func TestJSONHasTheDocumentedFieldsAndNoOthers(t *testing.T) {
	r := sample()
	r.Method, r.Path, r.Reason = "GET", "/v2/", "why"
	var got map[string]any
	if err := json.Unmarshal([]byte(write(t, JSON, r)), &got); err != nil {
		t.Fatal(err)
	}
	for _, f := range Fields() {
		if _, ok := got[f.Name]; !ok {
			t.Errorf("%s is missing", f.Name)
		}
		delete(got, f.Name)
	}
	for _, known := range []string{"time", "level", "msg"} {
		delete(got, known)
	}
	if len(got) > 0 {
		t.Errorf("not documented: %v", got)
	}
}

func TestEmptyFieldsAreLeftOut(t *testing.T) {
	line := write(t, JSON, &track.Record{ID: 1, Client: netip.MustParseAddrPort("192.0.2.7:1"), Outcome: "malformed"})
	for _, name := range []string{"host", "rule", "address", "user", "status", "dns_seconds"} {
		if strings.Contains(line, `"`+name+`"`) {
			t.Errorf("%s is there: %s", name, line)
		}
	}
	for _, name := range []string{"bytes_up", "bytes_down", "total_seconds"} {
		if !strings.Contains(line, `"`+name+`":0`) {
			t.Errorf("%s is not there: %s", name, line)
		}
	}
}

func TestNoFieldCanForgeALine(t *testing.T) {
	for _, f := range []Format{JSON, Console} {
		r := sample()
		r.Reason, r.Rule, r.User = "a\nb\r\n{\"msg\":\"forged\"}\x1b[2J", "x\ny", "u\nv"
		if out := write(t, f, r); strings.Count(out, "\n") != 1 || strings.ContainsAny(out, "\r\x1b") {
			t.Errorf("%s: %q", f, out)
		}
	}
}

func TestSquidsNativeFormat(t *testing.T) {
	end := time.Unix(1700000000, 123e6)
	denied := sample()
	denied.Decision, denied.Status, denied.Address, denied.User = "deny", 403, netip.AddrPort{}, ""
	plain := sample()
	plain.Protocol, plain.Method, plain.Path, plain.Port = track.HTTP, "GET", "/a", 80
	socks := sample()
	socks.Protocol, socks.Status = track.SOCKS5, 0
	unread := &track.Record{Protocol: track.Connect, Client: netip.MustParseAddrPort("192.0.2.7:1"), Status: 400}
	own := &track.Record{Protocol: track.HTTP, Client: netip.MustParseAddrPort("192.0.2.7:1"), Method: "GET", Path: "/setup/a b", Decision: "allow", Outcome: "ok", Status: 200}
	guess := &track.Record{Protocol: track.Connect, Client: netip.MustParseAddrPort("192.0.2.7:1"), Status: 407, Outcome: "auth_required"}
	wrong := &track.Record{Protocol: track.SOCKS5, Client: netip.MustParseAddrPort("192.0.2.7:1"), Outcome: "auth_required"}
	slow := sample()
	slow.Protocol, slow.Status, slow.Outcome, slow.Host, slow.User = track.SOCKS5, 0, "timeout", "2001:db8::1", ""
	slow.Address, slow.Down = netip.AddrPort{}, 0
	named := sample()
	named.User, named.Path, named.Protocol, named.Method = "ann lee\n", "/a b", track.HTTP, "GET"
	for _, c := range []struct {
		r    *track.Record
		want string
	}{
		{named, "1700000000.123   3000 192.0.2.7 TCP_MISS/200 20 GET http://example.com:443/a%20b ann%20lee%0A HIER_DIRECT/203.0.113.9 -\n"},
		{sample(), "1700000000.123   3000 192.0.2.7 TCP_TUNNEL/200 20 CONNECT example.com:443 ann HIER_DIRECT/203.0.113.9 -\n"},
		{denied, "1700000000.123   3000 192.0.2.7 TCP_DENIED/403 20 CONNECT example.com:443 - HIER_NONE/- -\n"},
		{plain, "1700000000.123   3000 192.0.2.7 TCP_MISS/200 20 GET http://example.com/a ann HIER_DIRECT/203.0.113.9 -\n"},
		{socks, "1700000000.123   3000 192.0.2.7 TCP_TUNNEL/200 20 CONNECT example.com:443 ann HIER_DIRECT/203.0.113.9 -\n"},
		{own, "1700000000.123      0 192.0.2.7 NONE/200 0 GET internal:/setup/a%20b - HIER_NONE/- -\n"},
		{guess, "1700000000.123      0 192.0.2.7 TCP_DENIED/407 0 CONNECT error:invalid-request - HIER_NONE/- -\n"},
		{wrong, "1700000000.123      0 192.0.2.7 TCP_DENIED/407 0 CONNECT error:invalid-request - HIER_NONE/- -\n"},
		{slow, "1700000000.123   3000 192.0.2.7 NONE/504 0 CONNECT [2001:db8::1]:443 - HIER_NONE/- -\n"},
		{unread, "1700000000.123      0 192.0.2.7 NONE/400 0 CONNECT error:invalid-request - HIER_NONE/- -\n"},
	} {
		if got := string(appendSquid(nil, c.r, end)); got != c.want {
			t.Errorf("got  %swant %s", got, c.want)
		}
	}
}

func TestReopenLetsTheFileBeRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(Options{Format: JSON, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(sample())
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Record(sample())
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Record(sample())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{path + ".1": 2, path: 1} {
		text, err := os.ReadFile(name)
		if n := strings.Count(string(text), "\n"); err != nil || n != want {
			t.Errorf("%s has %d lines, %v; want %d", filepath.Base(name), n, err, want)
		}
	}
}

// BenchmarkRecord is what a record costs the process in all: it waits until all
// are written.
func BenchmarkRecord(b *testing.B) {
	for _, f := range []Format{JSON, Squid} {
		b.Run(string(f), func(b *testing.B) {
			l := devNull(b, f)
			r := sample()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				l.Record(r)
				if i++; i%keptSlots == 0 {
					l.w.sync(flushTime)
				}
			}
			l.w.sync(flushTime)
			if n := l.Lost(); n > 0 {
				b.Errorf("%d records were lost", n)
			}
		})
	}
}

// BenchmarkCaller is what a record costs the transaction that leaves it.
func BenchmarkCaller(b *testing.B) {
	l := devNull(b, JSON)
	r := sample()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		l.Record(r)
		if i++; i%keptSlots == 0 {
			b.StopTimer()
			l.w.sync(flushTime)
			b.StartTimer()
		}
	}
}

func devNull(b *testing.B, f Format) *Log {
	l, err := Open(Options{Format: f, Path: os.DevNull})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}
