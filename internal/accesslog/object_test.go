package accesslog

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"sluice/internal/track"
)

func decoded(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

// What is shown while a tunnel lives is what the log will say of it.
func TestAnObjectHasTheFieldsOfTheLogsLine(t *testing.T) {
	r := sample()
	line := decoded(t, write(t, JSON, r))
	delete(line, "level")
	delete(line, "msg")
	delete(line, "time")
	e := NewObjectEncoder()
	for range 2 { // it is used again and again
		object := decoded(t, string(e.Append([]byte(" "), r, time.Time{})))
		if len(object) != len(line) {
			t.Errorf("%d fields, and %d in the log", len(object), len(line))
		}
		for name, want := range line {
			if object[name] != want {
				t.Errorf("%s is %v, in the log %v", name, object[name], want)
			}
		}
	}
	if got := decoded(t, string(e.Append(nil, r, r.Start)))["time"]; got != "2026-01-02T03:04:05.006Z" {
		t.Errorf("time %v", got)
	}
}

func TestAnObjectIsOneLineThatATerminalTakesForText(t *testing.T) {
	r := sample()
	r.Path = "/\n\r\x1b[2J\u009b2J\u202e\u2028\xff\"}"
	text := string(NewObjectEncoder().Append(nil, r, time.Time{}))
	if strings.ContainsAny(text, "\n\r\x1b\u009b\u202e\u2028") || !json.Valid([]byte(text)) {
		t.Errorf("%q", text)
	}
}

func BenchmarkObject(b *testing.B) {
	e := NewObjectEncoder()
	r := &track.Record{}
	*r = *sample()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = e.Append(buf[:0], r, time.Time{})
	}
	b.SetBytes(int64(len(buf)))
}
