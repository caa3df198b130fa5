package pull_test

import (
	"bytes"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/mirror/pull"
)

// A registry that has vanished behind an open connection says nothing, and no dial fails.
func TestARegistryThatSaysNothingHoldsUpNobodyWhoCanBeGivenWhatIsKept(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 100_000)
	m, d := hub.image("library/alpine", "3", layer)
	s := newSite(t, hub, false)
	s.stop()
	s.patience = 50 * time.Millisecond
	s.start()
	s.swap()
	s.manifest("alpine:3")
	s.blob("alpine@" + string(d))
	s.keeps(d)
	s.pass(2 * ttl)
	answer := make(chan struct{})
	var givenUp atomic.Bool
	hub.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		<-answer
		select {
		case <-r.Context().Done():
			givenUp.Store(true)
		case <-time.After(100 * time.Millisecond): // the server is told a moment later
		}
		return false
	})
	for range 3 {
		if got, how := s.manifest("alpine:3"); how != pull.Stale || got.Digest != m || got.StaleReason != "unreachable" {
			t.Errorf("by tag: %s %+v", how, got)
		}
	}
	if content, how := s.blob("alpine@" + string(d)); how != pull.Hit || !bytes.Equal(content, layer) {
		t.Errorf("blob: %s", how)
	}
	// What was asked meanwhile is answered in the end, and known then.
	close(answer)
	eventually(t, "the answer is known", func() bool {
		_, how := s.manifest("alpine:3")
		return how == pull.Hit
	})
	if givenUp.Load() {
		t.Error("they have waited until the registry was given up")
	}
}
