package pull_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
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

// A client that asks for something and leaves costs nothing; the question would.
func TestClientsThatLeaveDoNotHaveTheUpstreamAskedWithoutEnd(t *testing.T) {
	hub := newRegistry(t)
	hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	s.timeout = 5 * time.Minute
	s.add("docker.io", hub.URL, false)
	s.manifest("alpine:3") // a token is there
	var asked, under atomic.Int64
	answer := make(chan struct{})
	hub.instead(func(_ http.ResponseWriter, r *http.Request) bool {
		asked.Add(1)
		under.Add(1)
		defer under.Add(-1)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		return false
	})
	const clients, mayGoOn = 300, 64
	for i := range int64(clients) {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			if b, err := s.Blob(ctx, s.request("alpine@"+string(oci.FromBytes(fmt.Append(nil, i))))); err == nil {
				b.Close()
			}
		}()
		eventually(t, "it is asked", func() bool { return asked.Load() > i })
		leave()
		<-left
	}
	eventually(t, "only some questions go on", func() bool { return under.Load() <= mayGoOn })
	hub.instead(nil)
	close(answer)
	if _, how := s.manifest("alpine:3"); how != pull.Hit {
		t.Error(how)
	}
}

func TestAManifestThatComesByteByByteIsGivenUp(t *testing.T) {
	hub := newRegistry(t)
	hub.image("library/alpine", "3", noise(1, 1000))
	s := newSite(t, hub, false)
	s.stop()
	s.whole = 300 * time.Millisecond
	s.start()
	s.swap()
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		w.Header().Set("Content-Length", "1000")
		for r.Context().Err() == nil {
			w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := s.Manifest(ctx, s.request("alpine:3")); err == nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
	hub.instead(nil)
	if _, how := s.manifest("alpine:3"); how != pull.Miss {
		t.Error(how)
	}
}
