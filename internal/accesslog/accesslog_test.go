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

func record() *track.Record {
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
	r := record()
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
		r := record()
		r.Reason, r.Rule, r.User = "a\nb\r\n{\"msg\":\"forged\"}\x1b[2J", "x\ny", "u\nv"
		if out := write(t, f, r); strings.Count(out, "\n") != 1 || strings.ContainsAny(out, "\r\x1b") {
			t.Errorf("%s: %q", f, out)
		}
	}
}

func TestSquidsNativeFormat(t *testing.T) {
	end := time.Unix(1700000000, 123e6)
	denied := record()
	denied.Decision, denied.Status, denied.Address, denied.User = "deny", 403, netip.AddrPort{}, ""
	plain := record()
	plain.Protocol, plain.Method, plain.Path, plain.Port = track.HTTP, "GET", "/a", 80
	socks := record()
	socks.Protocol, socks.Status = track.SOCKS5, 0
	unread := &track.Record{Protocol: track.Connect, Client: netip.MustParseAddrPort("192.0.2.7:1"), Status: 400}
	named := record()
	named.User, named.Path, named.Protocol, named.Method = "ann lee\n", "/a b", track.HTTP, "GET"
	for _, c := range []struct {
		r    *track.Record
		want string
	}{
		{named, "1700000000.123   3000 192.0.2.7 TCP_MISS/200 20 GET http://example.com:443/a%20b ann%20lee%0A HIER_DIRECT/203.0.113.9 -\n"},
		{record(), "1700000000.123   3000 192.0.2.7 TCP_TUNNEL/200 20 CONNECT example.com:443 ann HIER_DIRECT/203.0.113.9 -\n"},
		{denied, "1700000000.123   3000 192.0.2.7 TCP_DENIED/403 20 CONNECT example.com:443 - HIER_NONE/- -\n"},
		{plain, "1700000000.123   3000 192.0.2.7 TCP_MISS/200 20 GET http://example.com:80/a ann HIER_DIRECT/203.0.113.9 -\n"},
		{socks, "1700000000.123   3000 192.0.2.7 TCP_TUNNEL/200 20 CONNECT example.com:443 ann HIER_DIRECT/203.0.113.9 -\n"},
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
	defer l.Close()
	l.Record(record())
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Record(record())
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Record(record())
	for name, want := range map[string]int{path + ".1": 2, path: 1} {
		text, err := os.ReadFile(name)
		if n := strings.Count(string(text), "\n"); err != nil || n != want {
			t.Errorf("%s has %d lines, %v; want %d", filepath.Base(name), n, err, want)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	for _, f := range []Format{JSON, Squid} {
		b.Run(string(f), func(b *testing.B) {
			file, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			l, _ := Open(Options{Format: f, Stdout: file})
			r := record()
			b.ReportAllocs()
			for b.Loop() {
				l.Record(r)
			}
		})
	}
}
