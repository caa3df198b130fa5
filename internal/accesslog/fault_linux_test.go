package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"sluice/internal/track"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbered is a record that can be told from others by its identifier.
func numbered(n int) *track.Record {
	r := sample()
	r.ID = track.ID(n)
	return r
}

// account reads a log back. It returns how many records there are and how many
// are told as lost, and wants the records whole and in order.
func account(t *testing.T, text string) (there, lost int) {
	t.Helper()
	last := -1
	for line := range strings.Lines(text) {
		var m struct {
			Msg  string
			ID   string
			Lost int
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("not a line: %q", line)
		}
		if m.Msg == "records lost" {
			lost += m.Lost
			continue
		}
		var n int
		if _, err := fmt.Sscanf(m.ID, "%x", &n); err != nil || n <= last {
			t.Fatalf("%s comes behind %x", m.ID, last)
		}
		last = n
		there++
	}
	return there, lost
}

// patience is how long a test waits for what must come.
const patience = time.Minute

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// told is a log that remembers what it is told.
func told() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

// saidOnce wants one message with one of these texts; where it was said long ago, it may
// have been said again since (see tellEvery).
func saidOnce(t *testing.T, began time.Time, messages *observer.ObservedLogs, texts ...string) {
	t.Helper()
	took := time.Since(began)
	n := 0
	for _, text := range texts {
		n += messages.FilterMessageSnippet(text).Len()
	}
	if n == 0 || n > 1 && took < tellEvery {
		t.Errorf("in %v, one of %q is said %d times: %v", took, texts, n, messages.All())
	}
}

func TestAReaderThatStopsHoldsNobodyUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	log, messages := told()
	l, err := Open(Options{Format: JSON, Stdout: w, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	const records = 3 * maxWaiting
	began := time.Now()
	for i := range records { // would hang here
		l.Record(numbered(i))
	}
	if l.Lost() == 0 {
		t.Fatal("a pipe took more than there is room for")
	}
	saidOnce(t, began, messages, "records are lost")
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(r)
	}()
	eventually(t, "the backlog is written", func() bool { _, n := l.w.losses(); return n == 0 })
	l.Record(numbered(records))
	l.Close()
	w.Close()
	<-read
	there, lost := account(t, got.String())
	if there+lost != records+1 || lost != int(l.Lost()) || there < maxWaiting {
		t.Errorf("%d records are there and %d told as lost of %d", there, lost, records+1)
	}
	if !strings.Contains(got.String()[strings.LastIndex(got.String(), "records lost"):], fmt.Sprintf(`"id":"%016x"`, records)) {
		t.Error("the loss is told behind the record that follows it")
	}
}

// endsAndSaysSo closes a log whose reader takes nothing.
func endsAndSaysSo(t *testing.T, l *Log, messages *observer.ObservedLogs) {
	t.Helper()
	for i := range 2000 {
		l.Record(numbered(i))
	}
	l.Close() // would hang here
	if messages.FilterMessage("the access log does not take its last records").Len() != 1 {
		t.Errorf("it ends without a word: %v", messages.All())
	}
}

func TestALogThatTakesNothingHoldsUpNoEnd(t *testing.T) {
	for _, format := range []Format{JSON, Squid} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		log, messages := told()
		l, err := Open(Options{Format: format, Stdout: w, Log: log})
		if err != nil {
			t.Fatal(err)
		}
		endsAndSaysSo(t, l, messages)
		w.Close()
		r.Close()
	}
}

func TestAFullDiskIsToldOnceAndSoIsItsEnd(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "access.log")
	if err := os.Symlink("/dev/full", path); err != nil {
		t.Fatal(err)
	}
	log, messages := told()
	l, err := Open(Options{Format: JSON, Path: path, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		l.Record(numbered(i))
		l.w.sync(flushTime) // each is a try
	}
	cannot := messages.FilterMessageSnippet("cannot be written").All()
	if len(cannot) != 1 || !errors.Is(cannot[0].Context[1].Interface.(error), syscall.ENOSPC) {
		t.Errorf("said: %v", cannot)
	}
	os.Remove(path) // somebody makes room
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end is told", func() bool { return messages.FilterMessageSnippet("written again").Len() == 1 })
	l.Record(numbered(10))
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	text, _ := os.ReadFile(path)
	if there, lost := account(t, string(text)); there != 11 || lost != 0 {
		t.Errorf("%d records, %d lost", there, lost)
	}
	if messages.Len() != 2 {
		t.Errorf("said: %v", messages.All())
	}
}

func TestAClosedPipeEndsNothing(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	log, messages := told()
	l, err := Open(Options{Format: JSON, Stdout: w, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		l.Record(numbered(i))
		l.w.sync(flushTime)
	}
	l.Close()
	cannot := messages.FilterMessageSnippet("cannot be written").All()
	if len(cannot) != 1 || !errors.Is(cannot[0].Context[1].Interface.(error), syscall.EPIPE) {
		t.Errorf("said: %v", cannot)
	}
}

// flaky takes part of what it gets, now and then, as a file does on a disk that
// fills up.
type flaky struct {
	bytes.Buffer
	n int
}

func (f *flaky) Write(p []byte) (int, error) {
	f.n++
	if f.n%2 == 0 {
		n, _ := f.Buffer.Write(p[:len(p)/3])
		return n, syscall.EIO
	}
	return f.Buffer.Write(p)
}

func TestALineThatWasWrittenInPartIsCompleted(t *testing.T) {
	var out flaky
	l, err := Open(Options{Format: JSON, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		l.Record(numbered(i))
		l.w.sync(flushTime)
	}
	l.Close()
	if there, lost := account(t, out.String()); there != 8 || lost != 0 {
		t.Errorf("%d records, %d lost", there, lost)
	}
}

func TestANewFileBeginsWithAWholeLine(t *testing.T) {
	var out flaky
	out.n = 1 // the first write takes a third
	l, err := Open(Options{Format: JSON, Stdout: &out})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "access.log")
	change, err := l.Prepare(Options{Format: Squid, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	l.w.failed = func(error, int) { l.use(change.out, change.options) }
	const records = 10
	var slots []slot[record]
	for i := range records {
		slots = append(slots, slot[record]{entry: record{Record: *numbered(i)}})
	}
	slots[1].lost = 7
	l.w.batch(taken[record]{slots: slots})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old, cut := out.String(), ""
	if i := strings.LastIndex(old, "\n"); i >= 0 {
		old, cut = old[:i+1], old[i+1:]
	}
	if there, lost := account(t, old); there+strings.Count(string(text), "CONNECT") != records || there == 0 || cut == "" ||
		lost+7*strings.Count(string(text), "records-lost:7") != 7 {
		t.Errorf("old %q and %q, new %q", old, cut, text)
	}
}

func TestAPanicLosesOneEntryAndTellsTheStack(t *testing.T) {
	var out bytes.Buffer
	var stacks int
	w := &writer[int]{}
	s := &sink[int]{out: newStream(&out)}
	s.encode = func(b []byte, n *int) []byte {
		if *n == 1 {
			panic("a fault")
		}
		return fmt.Appendln(b, *n)
	}
	s.mark = func(b []byte, lost uint64) []byte { return fmt.Appendln(b, "lost", lost) }
	w.fault = func(v any, stack []byte) {
		if v == "a fault" && bytes.Contains(stack, []byte("panic")) {
			stacks++
		}
	}
	w.start(s)
	for i := range 3 {
		w.put(&i, 0)
	}
	if left := w.stop(flushTime); left != 0 || out.String() != "0\nlost 1\n2\n" || stacks != 1 {
		t.Errorf("%d left, wrote %q, %d stacks", left, out.String(), stacks)
	}
}

// panicking is a stream that is broken in another way.
type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("a fault") }

func TestAPanicOfTheStreamIsAFailedWrite(t *testing.T) {
	log, messages := told()
	l, err := Open(Options{Format: JSON, Stdout: panicking{}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	l.Record(sample())
	l.w.sync(flushTime)
	l.Close()
	if messages.FilterMessageSnippet("cannot be written").Len() != 1 {
		t.Errorf("said: %v", messages.All())
	}
}
