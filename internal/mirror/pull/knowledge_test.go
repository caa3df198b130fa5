package pull_test

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"sluice/internal/mirror/pull"
)

// That a repository is public holds from when the upstream was asked: who is answered
// from what is known, without a question, does not make it hold any longer.
func TestWhoIsNotAskedAboutMakesNothingPublicForLonger(t *testing.T) {
	hub := newRegistry(t)
	layer := noise(1, 256<<10)
	_, d := hub.image("acme/app", "1", layer)
	gate := make(chan struct{})
	var turned atomic.Bool
	hub.instead(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || turned.Load() {
			return false
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(layer)))
		w.(http.Flusher).Flush()
		<-gate
		_, _ = w.Write(layer)
		return true
	})
	s := newSite(t, hub, false)
	t.Cleanup(func() { close(gate) })
	image := "acme/app@" + string(d)
	first, err := s.Blob(context.Background(), s.request(image))
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	hub.do(func() { hub.repos["acme/app"].private = []string{"alice"} })
	turned.Store(true)
	for range 3 {
		s.pass(ttl / 4)
		b, err := s.Blob(context.Background(), s.request(image))
		if err != nil || b.How != pull.Joined {
			t.Fatalf("within the time: %+v, %v", b, err)
		}
		b.Close()
	}
	s.pass(ttl / 2)
	if b, err := s.Blob(context.Background(), s.request(image)); err == nil {
		b.Close()
		t.Errorf("past the time: %s", b.How)
	} else if got := status(t, err); got != "403 DENIED" {
		t.Errorf("past the time: %s", got)
	}
}
