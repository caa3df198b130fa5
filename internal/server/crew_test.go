package server

import (
	"sync"
	"testing"
	"time"
)

func TestACrewRunsAllAtOnceAndKeepsSome(t *testing.T) {
	var c crew
	for round := range 3 {
		var running, done sync.WaitGroup
		running.Add(3 * crewSize)
		for range 3 * crewSize {
			done.Add(1)
			c.run(func() {
				defer done.Done()
				running.Done()
				running.Wait() // ends when all run, and not before
			})
		}
		done.Wait()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			c.mu.Lock()
			n := len(c.idle)
			c.mu.Unlock()
			if n == crewSize {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("round %d: %d goroutines are kept, want %d", round, n, crewSize)
			}
		}
	}
	c.look() // the first one sees who is not needed since
	c.look()
	c.mu.Lock()
	if n := len(c.idle); n != 0 {
		t.Errorf("%d goroutines stay that nobody needs", n)
	}
	c.mu.Unlock()
	c.close() // that they end, the check for leaked goroutines tells
	ran := make(chan bool)
	c.run(func() { ran <- true })
	<-ran
}
