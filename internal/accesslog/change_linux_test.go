package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/internal/track"
)

// whichRecords wants each line of a text to be a whole record, or to tell of lost
// ones, in one of the formats, and returns how often each record is there.
func whichRecords(t *testing.T, text string, seen map[int]int) (lost int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var n int
		switch {
		case strings.Contains(line, "error:records-lost:"):
			if _, err := fmt.Sscanf(line[strings.Index(line, "records-lost:"):], "records-lost:%d", &n); err != nil {
				t.Fatalf("not a line: %q", line)
			}
			lost += n
			continue
		case strings.HasPrefix(line, "{"):
			var m struct {
				Msg  string
				Port int
				Lost int
			}
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("not a line: %q", line)
			}
			if m.Msg == "records lost" {
				lost += m.Lost
				continue
			}
			n = m.Port
		default:
			fields := strings.Fields(line)
			if len(fields) != 10 || !strings.HasSuffix(line, " -\n") {
				t.Fatalf("not a line: %q", line)
			}
			if _, err := fmt.Sscanf(fields[6], "example.com:%d", &n); err != nil {
				t.Fatalf("not a line: %q", line)
			}
		}
		seen[n]++
	}
	return lost
}

func TestAChangeUnderLoadLosesNoRecordAndTearsNone(t *testing.T) {
	dir := t.TempDir()
	var stream bytes.Buffer
	l, err := Open(Options{Format: JSON, Stdout: &stream})
	if err != nil {
		t.Fatal(err)
	}
	const changes, writers, each = 40, 4, 100
	var wg sync.WaitGroup
	var port atomic.Uint32
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for i := range changes {
		wg.Wait()
		for range writers {
			wg.Go(func() {
				for range each {
					r := sample()
					r.Port = uint16(port.Add(1))
					l.Record(r)
				}
			})
		}
		change, err := l.Prepare(Options{
			Format: []Format{Squid, JSON}[i%2],
			Path:   []string{paths[0], paths[1], "stdout", ""}[i%4],
		})
		if err != nil {
			t.Fatal(err)
		}
		if i%7 == 0 {
			change.Abort()
			continue
		}
		change.Commit()
		if i%5 == 0 {
			if err := l.Reopen(); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	seen := make(map[int]int)
	lost := whichRecords(t, stream.String(), seen)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) == 0 {
			t.Errorf("nothing in %s", path)
		}
		lost += whichRecords(t, string(text), seen)
	}
	for n, times := range seen {
		if times != 1 {
			t.Fatalf("record %d is there %d times", n, times)
		}
	}
	if len(seen)+lost != changes*writers*each || lost != int(l.Lost()) {
		t.Errorf("%d records are there and %d told as lost (%d counted) of %d", len(seen), lost, l.Lost(), changes*writers*each)
	}
}

func TestALogThatCannotBeOpenedChangesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	l, err := Open(Options{Format: JSON, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Prepare(Options{Format: Squid, Path: filepath.Join(dir, "none", "access.log"), Debug: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it says %v", err)
	}
	if l.Opened() != nil {
		t.Error("the level has changed")
	}
	l.Record(sample())
	l.Close()
	text, _ := os.ReadFile(path)
	if n := whichRecords(t, string(text), map[int]int{}); n != 0 || !bytes.HasPrefix(text, []byte("{")) {
		t.Errorf("wrote %q", text)
	}
}

func TestAReloadThatLeavesTheFileAloneDoesNotOpenIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	l, err := Open(Options{Format: JSON, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	change, err := l.Prepare(Options{Format: Squid, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	l.Record(sample())
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(file); err != nil || !strings.Contains(got.String(), "TCP_TUNNEL/200") {
		t.Errorf("wrote %q, %v", got.String(), err)
	}
}

func TestAnAbortedChangeLeavesNoFileOpen(t *testing.T) {
	l, err := Open(Options{Format: JSON, Stdout: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	change, err := l.Prepare(Options{Format: JSON, Path: filepath.Join(t.TempDir(), "access.log")})
	if err != nil {
		t.Fatal(err)
	}
	change.Abort()
	if err := change.out.file.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closing it again says %v", err)
	}
}

func TestALineThatWasBegunIsCompletedBeforeTheFormatChanges(t *testing.T) {
	var out flaky
	out.n = 1 // the first write takes a third
	l, err := Open(Options{Format: JSON, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	l.w.failed = func(error, int) { l.use(l.stdout, Options{Format: Squid}) }
	var slots []slot[record]
	for i := range 10 {
		r := numbered(i)
		r.Port = uint16(i)
		slots = append(slots, slot[record]{entry: record{Record: *r}})
	}
	l.w.batch(taken[record]{slots: slots})
	l.Close()
	seen := make(map[int]int)
	whichRecords(t, out.String(), seen)
	if len(seen) != 10 || !strings.Contains(out.String(), "TCP_TUNNEL") || !strings.Contains(out.String(), `"msg"`) {
		t.Errorf("wrote %q", out.String())
	}
}

func TestTheDebugLevelCanChange(t *testing.T) {
	var out bytes.Buffer
	l, err := Open(Options{Format: JSON, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	set := func(o Options) func(*track.Record) {
		change, err := l.Prepare(o)
		if err != nil {
			t.Fatal(err)
		}
		change.Commit()
		return l.Opened()
	}
	if l.Opened() != nil || set(Options{Format: Squid, Debug: true}) != nil || set(Options{Format: JSON}) != nil {
		t.Error("records of what begins are wanted")
	}
	opened := set(Options{Format: JSON, Debug: true})
	if opened == nil {
		t.Fatal("records of what begins are not wanted")
	}
	opened(sample())
	l.Close()
	if !strings.Contains(out.String(), `"msg":"open"`) {
		t.Errorf("wrote %q", out.String())
	}
}

func TestTheProcessLogChangesItsFormatAndLevel(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out, JSON, zapcore.InfoLevel)
	log := zap.New(w.Core())
	named := log.With(zap.String("listener", ":3128"))
	named.Debug("not said")
	named.Info("first", zap.Int("n", 1))
	w.Change(Console, zapcore.DebugLevel)
	named.Debug("second", zap.Int("n", 2))
	named.With(zap.Bool("more", true)).Info("third")
	w.Change(JSON, zapcore.ErrorLevel)
	named.Warn("not said")
	log.Error("fourth")
	w.Close()
	var got []string
	for line := range strings.Lines(out.String()) {
		line = regexp.MustCompile(`^\S+Z\t|"time":"[^"]*",`).ReplaceAllString(line, "")
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		`{"level":"info","msg":"first","listener":":3128","n":1}`,
		"debug\tsecond\t" + `{"listener": ":3128", "n": 2}`,
		"info\tthird\t" + `{"listener": ":3128", "more": true}`,
		`{"level":"error","msg":"fourth"}`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// takes is a disk with so much room.
type takes struct {
	bytes.Buffer
	room int
}

func (f *takes) Write(p []byte) (int, error) {
	n, _ := f.Buffer.Write(p[:min(len(p), f.room-f.Len())])
	if n < len(p) {
		return n, errors.New("full")
	}
	return n, nil
}

func TestWhereverTheOldPlaceEndsTheNewOneGoesOnFromTheLastWholeLine(t *testing.T) {
	const all = "lost 5\n0\n1\nlost 6\n2\nlost 7\n"
	form := func(out *output) *sink[int] {
		return &sink[int]{
			out:    out,
			encode: func(b []byte, n *int) []byte { return fmt.Appendln(b, *n) },
			mark:   func(b []byte, lost uint64) []byte { return fmt.Appendln(b, "lost", lost) },
		}
	}
	for room := range len(all) {
		for _, chunk := range []int{1, 10, maxChunk} {
			old, next := &takes{room: room}, &bytes.Buffer{}
			w := &writer[int]{}
			w.init()
			w.sink.Store(form(&output{w: old, chunk: chunk, end: lineEnd}))
			w.failed = func(error, int) { w.use(form(newStream(next))) }
			w.batch(taken[int]{slots: []slot[int]{{lost: 5, entry: 0}, {entry: 1}, {lost: 6, entry: 2}}, lost: 7})
			whole := all[:strings.LastIndexByte(all[:room], '\n')+1]
			if old.String() != all[:room] || next.String() != all[len(whole):] {
				t.Errorf("room for %d bytes, %d at once: old %q, new %q", room, chunk, old.String(), next.String())
			}
		}
	}
}

// Opening a pipe that nobody reads would wait for its reader, and with it every reload,
// and every signal to open the log anew, from then on.
func TestAPipeWithoutAReaderIsAnErrorAndNoWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: path}); !errors.Is(err, syscall.ENXIO) || !strings.Contains(err.Error(), "nobody reads") {
		t.Fatalf("at the start: %v", err)
	}
	reader, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	l, err := Open(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Record(&track.Record{Host: "first.example.com"})
	l.w.sync(flushTime)
	var b [4096]byte
	n, err := reader.Read(b[:])
	if err != nil || !strings.Contains(string(b[:n]), "first.example.com") {
		t.Errorf("the reader got %q, %v", b[:n], err)
	}
	reader.Close()
	if err := l.Reopen(); !errors.Is(err, syscall.ENXIO) {
		t.Errorf("opened anew: %v", err)
	}
	if c, err := l.Prepare(Options{Path: path, Format: Squid}); err != nil {
		t.Errorf("a reload that leaves it alone: %v", err)
	} else {
		c.Commit()
		c.Abort()
	}
}

// Commit is called where nothing may wait.
func TestNothingGetsBetweenTheTwoHalvesOfAChange(t *testing.T) {
	l, err := Open(Options{Path: filepath.Join(t.TempDir(), "access.log")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, end := range map[string]func(*Change){"commit": (*Change).Commit, "abort": (*Change).Abort} {
		c, err := l.Prepare(Options{Path: filepath.Join(t.TempDir(), "other.log")})
		if err != nil {
			t.Fatal(err)
		}
		reopened := make(chan error)
		go func() { reopened <- l.Reopen() }()
		if l.changing.TryLock() {
			t.Errorf("%s: the log can be changed", name)
			l.changing.Unlock()
		}
		end(c)
		if err := <-reopened; err != nil {
			t.Error(err)
		}
	}
}
