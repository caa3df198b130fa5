package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"

	"sluice/internal/accesslog"
	"sluice/internal/mirror/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full returns a record in which every field says something.
func full() *record.Record {
	return &record.Record{
		ID: 0xabc, Start: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Listener: ":5000",
		Client: netip.MustParseAddrPort("192.0.2.7:5555"), User: "ann", Agent: "docker/28.0", Method: "GET", Path: "/v2/x",
		Registry: "docker.io", Repository: "library/alpine", Kind: record.Manifest, Reference: "latest",
		Digest: "sha256:" + strings.Repeat("a", 64), Status: 200, Code: "DENIED", How: record.Stale,
		Bytes: 528, Duration: 3 * time.Second, Rule: "docker-hosts", StaleReason: "it answers 429", Error: "why",
	}
}

// write returns what a log has of a record.
func write(t *testing.T, f accesslog.Format, r *record.Record) string {
	t.Helper()
	var out bytes.Buffer
	l, err := record.Open(accesslog.Options{Format: f, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(r)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	return out.String()
}

func TestARecordHasTheDocumentedFieldsInTheirOrder(t *testing.T) {
	line := write(t, accesslog.JSON, full())
	rest := line
	for _, f := range record.Fields() {
		_, after, found := strings.Cut(rest, fmt.Sprintf("%q:", f.Name))
		if !found {
			t.Errorf("%s is missing, or not in its place: %s", f.Name, line)
		}
		rest = after
	}
	var have map[string]any
	if err := json.Unmarshal([]byte(line), &have); err != nil {
		t.Fatal(err)
	}
	if n := len(record.Fields()) + len([]string{"time", "level", "msg"}); len(have) != n {
		t.Errorf("%d fields and not %d: %s", len(have), n, line)
	}
	for name, want := range map[string]any{
		"id": "0000000000000abc", "start": "2026-01-02T03:04:05.006Z", "client": "192.0.2.7", "client_port": 5555.,
		"kind": "manifest", "bytes": 528., "duration_seconds": 3., "msg": "request",
	} {
		if have[name] != want {
			t.Errorf("%s is %v", name, have[name])
		}
	}
}

func TestOnlyBytesAndDurationAreWrittenWhenEmpty(t *testing.T) {
	line := write(t, accesslog.JSON, &record.Record{})
	for _, f := range record.Fields() {
		always := f.Name == "id" || f.Name == "start" || f.Name == "bytes" || f.Name == "duration_seconds"
		if strings.Contains(line, fmt.Sprintf("%q:", f.Name)) != always {
			t.Errorf("%s: %s", f.Name, line)
		}
	}
}

// TestTheReferenceHasEveryField holds RECORDS.md against the code, both ways.
func TestTheReferenceHasEveryField(t *testing.T) {
	doc, err := os.ReadFile("RECORDS.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows, want []string
	for line := range strings.Lines(string(doc)) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	for _, f := range record.Fields() {
		want = append(want, fmt.Sprintf("| `%s` | %s |", f.Name, f.Meaning))
	}
	for i, how := range record.Hows() {
		if row := len(want); row >= len(rows) || !strings.HasPrefix(rows[row], fmt.Sprintf("| `%s` | ", how)) {
			t.Fatalf("the %d. way of an answer, %s, has no row in its place", i, how)
		}
		want = append(want, rows[len(want)])
	}
	if a, b := strings.Join(rows, "\n"), strings.Join(want, "\n"); a != b {
		t.Errorf("have\n%s\nwant\n%s", a, b)
	}
	for _, kind := range record.Kinds() {
		if !strings.Contains(string(doc), string(kind)) {
			t.Errorf("no word of kind %s", kind)
		}
	}
}

func TestNothingThatAClientSendsBecomesALineOrATerminalsCommand(t *testing.T) {
	for _, hostile := range []string{
		"a\nb", "a\r\nb", "\x1b[2J", "\u009b2J", "a\u0085b\u2028c", "\u202egnp.exe", "\xff\xfe", `a"b\c`,
		"x\",\"how\":\"hit\"}\n{\"msg\":\"request\"", strings.Repeat("long", 5000),
	} {
		r := full()
		for _, s := range []*string{&r.User, &r.Agent, &r.Method, &r.Path, &r.Repository, &r.Reference, &r.StaleReason, &r.Error} {
			*s = hostile
		}
		for _, f := range []accesslog.Format{accesslog.JSON, accesslog.Console} {
			line := write(t, f, r)
			if len(line) > 20_000 {
				t.Errorf("%s: a line of %d bytes", f, len(line))
			}
			body, whole := strings.CutSuffix(line, "\n")
			for _, c := range body {
				if !unicode.IsPrint(c) && (f == accesslog.JSON || c != '\t') || c == unicode.ReplacementChar {
					t.Errorf("%s: %U stands in %q", f, c, line)
				}
			}
			if f == accesslog.JSON && !json.Valid([]byte(line)) || !whole {
				t.Errorf("%s: not one line: %q", f, line)
			}
		}
	}
}

func TestALogIsRotatedAwayAndOpenedAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror.log")
	l, err := record.Open(accesslog.Options{Format: accesslog.JSON, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(full())
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Record(full())
	change, err := l.Prepare(accesslog.Options{Format: accesslog.Console, Path: path + ".new"})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	l.Record(full())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for name, json := range map[string]bool{path + ".1": true, path: true, path + ".new": false} {
		text, err := os.ReadFile(name)
		if err != nil || bytes.Count(text, []byte("\n")) != 1 || bytes.HasPrefix(text, []byte("{")) != json {
			t.Errorf("%s: %v, %s", name, err, text)
		}
	}
}

func TestSquidsFormatIsRefused(t *testing.T) {
	l, err := record.Open(accesslog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	squid := accesslog.Options{Format: accesslog.Squid}
	if _, err := record.Open(squid); !errors.Is(err, accesslog.ErrNotSquid) {
		t.Error(err)
	}
	if _, err := l.Prepare(squid); !errors.Is(err, accesslog.ErrNotSquid) {
		t.Error(err)
	}
}

// Both daemons get every record, under the mirror's own name, and one that failed as
// a warning.
func TestDaemonsGetRecordsUnderTheMirrorsName(t *testing.T) {
	dir := t.TempDir()
	for name, parts := range map[string][]string{
		"syslog":   {"<28>", " sluice-mirror[", `"repository":"library/alpine"`},
		"journald": {"MESSAGE={", "PRIORITY=4\n", "SYSLOG_IDENTIFIER=sluice-mirror\n", "SLUICE_REPOSITORY=library/alpine\n", "SLUICE_DURATION_SECONDS=3\n", `SLUICE_ERROR=a\u000ab`},
	} {
		socket := filepath.Join(dir, name)
		conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l, err := record.Open(accesslog.Options{Format: accesslog.JSON, Path: name, Syslog: socket, Journal: socket})
		if err != nil {
			t.Fatal(err)
		}
		r := full()
		r.Status, r.Error = 502, "a\nb"
		l.Record(r)
		buf := make([]byte, 16<<10)
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(buf[:n]), part) {
				t.Errorf("%s: no %q in %s", name, part, buf[:n])
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// stuck is a pipe's reader that has stopped, until it is told to go on.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) {
	<-s
	return len(b), nil
}

func TestARequestNeverWaitsForALogThatTakesNothing(t *testing.T) {
	out := make(stuck)
	l, err := record.Open(accesslog.Options{Format: accesslog.JSON, Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	for range 20_000 { // would wait for ever if it waited
		l.Record(full())
	}
	if l.Lost() == 0 {
		t.Error("all of them wait")
	}
	close(out)
	l.Close()
}

func TestTheRingKeepsTheLatestAlone(t *testing.T) {
	g := record.NewRing(3)
	if n := len(g.Latest()); n != 0 {
		t.Errorf("%d to begin with", n)
	}
	r := full()
	for status := range 8 {
		r.Status = status
		g.Add(r)
		var have []int
		for _, kept := range g.Latest() {
			have = append(have, kept.Status)
		}
		want := []int{status, status - 1, status - 2}[:min(3, status+1)]
		if fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("after %d: %v", status, have)
		}
	}
}

// However many are answered, what was refused can be looked up, and the challenge that
// every login begins with is not among it.
func TestWhatWasRefusedIsNotLostAmongWhatWasAnswered(t *testing.T) {
	g := record.NewRing(2)
	g.Add(&record.Record{Status: 403, Kind: record.Manifest})
	g.Add(&record.Record{Status: 502, Kind: record.Blob})
	for range 50 {
		g.Add(&record.Record{Status: 200, Kind: record.Blob})
		g.Add(&record.Record{Status: 401, Kind: record.Ping})
	}
	if list := g.LatestRefused(); len(list) != 2 || list[0].Status != 502 || list[1].Status != 403 {
		t.Errorf("%+v", list)
	}
	g.Add(&record.Record{Status: 401, Kind: record.Ping, Error: "the password is wrong"})
	if list := g.LatestRefused(); list[0].Status != 401 {
		t.Errorf("%+v", list[0])
	}
}
