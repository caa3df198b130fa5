package accesslog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"sluice/internal/track"
)

// listener plays a daemon that takes datagrams.
type listener struct {
	*net.UnixConn
	t *testing.T
}

func listen(t *testing.T, path string) listener {
	t.Helper()
	os.Remove(path) // nobody else does
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return listener{conn, t}
}

// next waits for a datagram.
func (l listener) next() string {
	l.t.Helper()
	b := make([]byte, 64<<10)
	l.SetReadDeadline(time.Now().Add(patience))
	n, err := l.Read(b)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b[:n])
}

// fields are those of an entry that the journal gets.
func fields(t *testing.T, entry string) map[string]string {
	t.Helper()
	m := make(map[string]string)
	for line := range strings.Lines(entry) {
		name, value, ok := strings.Cut(line, "=")
		value, whole := strings.CutSuffix(value, "\n")
		if _, twice := m[name]; !ok || !whole || twice || !regexp.MustCompile(`^[A-Z][A-Z_]*$`).MatchString(name) {
			t.Fatalf("%q is no field of %q", line, entry)
		}
		m[name] = value
	}
	return m
}

// daemons are both, each with the options that lead to it.
func daemons(path string) []Options {
	return []Options{{Format: JSON, Path: "syslog", Syslog: path}, {Format: JSON, Path: "journald", Journal: path}}
}

// eachDaemon opens a log at a daemon of each kind, at a path, and keeps what it says.
func eachDaemon(t *testing.T, test func(t *testing.T, path string, d listener, l *Log, messages *observer.ObservedLogs)) {
	path := filepath.Join(t.TempDir(), "log")
	for _, o := range daemons(path) {
		t.Run(o.Path, func(t *testing.T) {
			d := listen(t, path)
			log, messages := told()
			o.Log = log
			l, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			test(t, path, d, l, messages)
		})
	}
}

// message returns the line of JSON in a datagram of either daemon.
func message(t *testing.T, datagram string) string {
	t.Helper()
	_, line, ok := strings.Cut(datagram, "{")
	if !ok {
		t.Fatalf("no record in %q", datagram)
	}
	line, _, _ = strings.Cut("{"+line, "\n")
	return line + "\n"
}

func TestRecordsGoToTheSyslogDaemon(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	d := listen(t, path)
	for _, format := range []Format{JSON, Console, Squid} {
		l, err := Open(Options{Format: format, Path: "syslog", Syslog: path})
		if err != nil {
			t.Fatal(err)
		}
		l.Record(sample())
		got := d.next()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		m := regexp.MustCompile(`^<30>([A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d) sluice\[(\d+)\]: `).FindStringSubmatch(got)
		if m == nil || m[2] != fmt.Sprint(os.Getpid()) {
			t.Fatalf("got %q", got)
		}
		if _, err := time.ParseInLocation(time.Stamp, m[1], time.Local); err != nil {
			t.Error(err)
		}
		line, want := strings.TrimPrefix(got, m[0]), write(t, format, sample())
		times := regexp.MustCompile(`"time":"[^"]+"|^\S+Z|^\d+\.\d+`)
		if line, want = times.ReplaceAllString(line, "T"), times.ReplaceAllString(want, "T"); line+"\n" != want {
			t.Errorf("got  %q\nwant %q", line, want)
		}
	}
}

func TestTheJournalGetsEachFieldOfARecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	d := listen(t, path)
	l, err := Open(Options{Format: Console, Path: "journald", Journal: path, Debug: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := sample()
	r.Protocol, r.Method, r.Path, r.Reason = track.HTTP, "GET", "/a", "why"
	l.Record(r)
	got := fields(t, d.next())
	want := map[string]string{
		"PRIORITY": "6", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "sluice", "SLUICE_MSG": "request",
		"SLUICE_CLIENT": "192.0.2.7", "SLUICE_CLIENT_PORT": "5555", "SLUICE_TOTAL_SECONDS": "3",
		"SLUICE_BYTES_UP": "10", "SLUICE_ADDRESS": "203.0.113.9:443", "SLUICE_ID": "0000000000000abc",
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, not %q", name, got[name], value)
		}
	}
	for _, f := range Fields() {
		if name := "SLUICE_" + strings.ToUpper(f.Name); got[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if n := len(Fields()) + len([]string{"MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SLUICE_MSG"}); len(got) != n {
		t.Errorf("%d fields, not %d: %v", len(got), n, got)
	}
	if !strings.Contains(got["MESSAGE"], "\trequest\t{") {
		t.Errorf("the message is %q", got["MESSAGE"])
	}
	l.Opened()(sample())
	if got := fields(t, d.next()); got["PRIORITY"] != "7" || got["SLUICE_MSG"] != "open" {
		t.Errorf("got %v", got)
	}
}

func TestNoTextCanForgeADatagramOrAField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	d := listen(t, path)
	for _, o := range daemons(path) {
		l, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range hostile {
			text += "\n\nPRIORITY=0\n<0>Jan  1 00:00:00 sluice: "
			l.Record(forged(text))
			got := d.next()
			line := message(t, got)
			oneLine(t, line, 0)
			sameFields(t, line, text)
			if o.Path == "syslog" {
				if strings.Contains(got, "\n") {
					t.Errorf("%s: %q", name, got)
				}
				continue
			}
			f := fields(t, got)
			if f["PRIORITY"] != "6" || f["SLUICE_USER"] != f["SLUICE_HOST"] || !strings.HasSuffix(f["SLUICE_USER"], `\u000a<0>Jan  1 00:00:00 sluice: `) {
				t.Errorf("%s: %q", name, f)
			}
			oneLine(t, f["SLUICE_USER"]+"\n", 0)
			var user string
			if err := json.Unmarshal([]byte(`"`+strings.ReplaceAll(f["SLUICE_USER"], `"`, `\"`)+`"`), &user); err != nil || user != string([]rune(text)) {
				t.Errorf("%s: %q is read as %q, %v", name, f["SLUICE_USER"], user, err)
			}
		}
		l.Close()
	}
}

func TestSeverityTellsWhoseFaultItIs(t *testing.T) {
	for _, c := range []struct {
		outcome string
		kind    kind
		want    severity
	}{
		{"ok", ended, 6},
		{"client_gone", ended, 6},
		{"rule_denied", ended, 5},
		{"timeout", ended, 5},
		{"server_full", ended, 4},
		{"internal", ended, 3},
		{"", opened, 7},
	} {
		r := record{kind: c.kind}
		r.Outcome = c.outcome
		if got := severityOf(&r); got != c.want {
			t.Errorf("%s: %d, not %d", c.outcome, got, c.want)
		}
	}
}

func TestADaemonThatIsNotThereIsAnErrorAtTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	for i, o := range daemons(path) {
		_, err := Open(o)
		want := []string{"no syslog daemon takes records at ", "no journald takes records at "}[i] + path
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("it says %v", err)
		}
	}
}

func TestADaemonThatIsRestartedMissesNothing(t *testing.T) {
	eachDaemon(t, func(t *testing.T, path string, d listener, l *Log, messages *observer.ObservedLogs) {
		var text strings.Builder
		take := func() { text.WriteString(message(t, d.next())) }
		l.Record(numbered(1))
		take()
		d.Close()
		for i := range 3 {
			l.Record(numbered(2 + i))
		}
		eventually(t, "it is said", func() bool { return messages.FilterMessageSnippet("cannot be written").Len() == 1 })
		d = listen(t, path)
		for range 3 {
			take()
		}
		d.Close()
		d = listen(t, path) // nobody notices
		l.Record(numbered(5))
		take()
		l.Close()
		d.Close()
		if there, lost := account(t, text.String()); there != 5 || lost != 0 {
			t.Errorf("%d records, %d lost: %s", there, lost, text.String())
		}
	})
}

func TestADaemonThatTakesNothingHoldsNobodyUp(t *testing.T) {
	eachDaemon(t, func(t *testing.T, path string, d listener, l *Log, messages *observer.ObservedLogs) {
		const records = 2 * maxWaiting
		began := time.Now()
		for i := range records { // would hang here
			l.Record(numbered(i))
		}
		if l.Lost() == 0 {
			t.Error("a daemon that takes nothing has taken more than there is room for")
		}
		saidOnce(t, began, messages, "records are lost", "records wait") // which one depends on how fast the machine is
		var text strings.Builder
		var wg sync.WaitGroup
		wg.Go(func() { // the daemon wakes up
			for last := ""; !strings.Contains(last, fmt.Sprintf(`"id":"%016x"`, records)); {
				last = message(t, d.next())
				text.WriteString(last)
			}
		})
		eventually(t, "the backlog is written", func() bool { _, n := l.w.losses(); return n == 0 })
		l.Record(numbered(records))
		wg.Wait()
		l.Close()
		d.Close()
		if there, lost := account(t, text.String()); there+lost != records+1 || lost != int(l.Lost()) {
			t.Errorf("%d records are there and %d told as lost (%d counted) of %d", there, lost, l.Lost(), records+1)
		}
	})
}

func TestADaemonThatTakesNothingHoldsUpNoEnd(t *testing.T) {
	eachDaemon(t, func(t *testing.T, path string, d listener, l *Log, messages *observer.ObservedLogs) {
		endsAndSaysSo(t, l, messages)
		d.Close()
	})
}

// cramped is a socket that no long datagram fits through.
type cramped struct {
	net.Conn
	most int
}

func (c cramped) Write(p []byte) (int, error) {
	if len(p) > c.most {
		return 0, &net.OpError{Op: "write", Net: "unixgram", Err: os.NewSyscallError("write", syscall.EMSGSIZE)}
	}
	return c.Conn.Write(p)
}

func TestARecordThatIsTooLongForADatagramIsLostAndTold(t *testing.T) {
	eachDaemon(t, func(t *testing.T, _ string, d listener, l *Log, _ *observer.ObservedLogs) {
		conn := l.w.sink.Load().out.w.(*daemon)
		conn.mu.Lock()
		conn.conn = cramped{conn.conn, 4096}
		conn.mu.Unlock()
		long := numbered(1)
		long.Path = strings.Repeat("x", 4096)
		l.Record(long)
		var lost struct {
			Msg  string
			Lost int
		}
		if err := json.Unmarshal([]byte(message(t, d.next())), &lost); err != nil || lost.Msg != "records lost" || lost.Lost != 1 {
			t.Errorf("%+v, %v", lost, err)
		}
		l.Record(numbered(2))
		if got := message(t, d.next()); !strings.Contains(got, `"id":"0000000000000002"`) || l.Lost() != 1 {
			t.Errorf("%d lost, then %q", l.Lost(), got)
		}
		l.Close()
		d.Close()
	})
}
