package accesslog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestARecordIsThereAtOnceAndAllAreInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(Options{Format: JSON, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 3 {
		l.Record(numbered(i))
		eventually(t, "the record can be read", func() bool {
			text, _ := os.ReadFile(path)
			return bytes.Count(text, []byte("\n")) == i+1
		})
	}
}

func TestNothingIsLostOrCountedTwiceByMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, err := Open(Options{Format: Squid, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 3000
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range each {
				l.Record(numbered(i))
			}
		})
	}
	for range 5 {
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	l.Close()
	text, _ := os.ReadFile(path)
	lines, lost := 0, 0
	for line := range strings.Lines(string(text)) {
		var n int
		if i := strings.Index(line, "records-lost:"); i < 0 {
			lines++
		} else if _, err := fmt.Sscanf(line[i:], "records-lost:%d", &n); err == nil {
			lost += n
		}
	}
	if lines+lost != writers*each || lost != int(l.Lost()) {
		t.Errorf("%d lines and %d lost (%d counted) of %d", lines, lost, l.Lost(), writers*each)
	}
	if _, n := l.w.losses(); n != 0 || l.w.text != 0 {
		t.Errorf("%d places with %d bytes are not free", n, l.w.text)
	}
}

func TestLongTextIsBoundedByItsBytes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(Options{Format: JSON, Stdout: w})
	if err != nil {
		t.Fatal(err)
	}
	long := sample()
	long.Path = strings.Repeat("x", 64<<10)
	for range 3 * maxText / len(long.Path) {
		l.Record(long)
	}
	if l.Lost() == 0 || l.w.text > maxText {
		t.Errorf("%d lost, %d bytes held", l.Lost(), l.w.text)
	}
	l.Close()
	w.Close()
	r.Close()
}

func TestTheProcessLogWaitsForNobody(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := NewWriter(w, JSON, zapcore.InfoLevel)
	log := zap.New(p.Core())
	const lines = 2 * maxWaiting
	for range lines {
		log.Info("said", zap.String("what", "\u009b2J\u2028"))
	}
	var got bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		got.ReadFrom(r)
	}()
	eventually(t, "the backlog is written", func() bool { _, n := p.w.losses(); return n == 0 })
	p.Close()
	w.Close()
	<-read
	r.Close()
	there, lost := 0, 0
	for line := range strings.Lines(got.String()) {
		var m struct {
			Msg, What string
			Lost      int
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lost += m.Lost
		if m.Msg == "said" {
			there++
		}
	}
	if there+lost != lines || lost == 0 || strings.Contains(got.String(), "\u2028") {
		t.Errorf("%d lines and %d lost of %d", there, lost, lines)
	}
}
