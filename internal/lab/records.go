//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Record is one line of an access log: JSON's names and values.
type Record map[string]any

// String is a value as text; "" where there is none. Whole numbers have no
// decimal point.
func (r Record) String(name string) string {
	switch v := r[name].(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// Int is a number's whole part; 0 where there is none.
func (r Record) Int(name string) int64 {
	v, _ := r[name].(float64)
	return int64(v)
}

// Has says whether all these names have these values, compared as text.
func (r Record) Has(want map[string]string) bool {
	for name, value := range want {
		if r.String(name) != value {
			return false
		}
	}
	return true
}

// recorder is a program that writes its access records to standard output.
type recorder struct {
	*Daemon

	mu      sync.Mutex
	records []Record
}

// read takes one line of standard output; lines that are no JSON are left to
// the transcript.
func (p *recorder) read(line string) {
	var r Record
	if json.Unmarshal([]byte(line), &r) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, r)
}

// Records are the access records that the program has written so far.
func (p *recorder) Records() []Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.records)
}

// WaitRecord waits for the first record that match likes and returns it. A
// tunnel's record comes only when both its sides have closed.
func (p *recorder) WaitRecord(t testing.TB, match func(Record) bool) Record {
	t.Helper()
	return p.WaitRecords(t, 1, match)[0]
}

// WaitRecords waits until at least count records match and returns all that do.
func (p *recorder) WaitRecords(t testing.TB, count int, match func(Record) bool) []Record {
	t.Helper()
	var found []Record
	p.wait(t, 20*time.Second, fmt.Sprintf("writes %d such records", count), func() bool {
		found = found[:0]
		for _, r := range p.Records() {
			if match(r) {
				found = append(found, r)
			}
		}
		return len(found) >= count
	})
	return found
}
