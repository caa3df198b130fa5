package relay

import (
	"io"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/lab"
)

func TestWriteChargesCountsAndTellsItsErrors(t *testing.T) {
	near, far := lab.Connected(t)
	data := random(100_000)
	b := bucket(t, 1_000_000, 50_000)
	got := make(chan int)
	go func() {
		n, _ := io.Copy(io.Discard, far)
		got <- int(n)
	}()
	var count atomic.Int64
	start := time.Now()
	if err := Write(near, data, Meter{Budget: b, Count: &count}); err != nil {
		t.Fatal(err)
	}
	// The burst goes at once and the rest at the budget's rate; half of that
	// time leaves room for a coarse clock.
	if took := time.Since(start); took < 25*time.Millisecond {
		t.Errorf("100 kB within a budget of 1 MB/s and a burst of 50 kB took %v", took)
	}
	near.CloseWrite()
	if n := <-got; n != len(data) || count.Load() != int64(len(data)) {
		t.Errorf("sent %d bytes, counted %d of %d", n, count.Load(), len(data))
	}
	near.Close()
	if err := Write(near, data, Meter{Count: &count}); !IsWriteError(err) {
		t.Errorf("an error of writing is not told as one: %v", err)
	}
	if err := CopyN(far, near, 1, Meter{Count: &count}); err == nil || IsWriteError(err) {
		t.Errorf("an error of reading is told as one of writing: %v", err)
	}
}
