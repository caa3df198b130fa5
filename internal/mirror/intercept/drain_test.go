package intercept

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/track"
)

func TestADrainLetsARequestEndAndTakesNothingNew(t *testing.T) {
	f := newFixture(t)
	begun, end := make(chan struct{}), make(chan struct{})
	f.reply = func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-end
		io.WriteString(w, "whole")
	}
	got := make(chan string)
	go func() {
		_, body := f.get(f.client(false), "https://"+hub+"/v2/x/blobs/y")
		got <- body
	}()
	<-begun
	waiting, _ := f.connect(ghcr + ":443") // TLS has not begun
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		f.proxy.Drain(ctx)
	}()
	for !f.proxy.gate.Draining() {
		time.Sleep(time.Millisecond)
	}
	if _, status := f.connect(hub + ":443"); !strings.HasPrefix(status, "503 ") {
		t.Errorf("a new one is told %q", status)
	}
	waiting.Close()
	close(end)
	if body := <-got; body != "whole" {
		t.Errorf("it ended with %q", body)
	}
	select {
	case <-drained:
	case <-time.After(patience):
		t.Error("the drain does not end")
	}
}

func TestWhatDoesNotEndInADrainIsCutWithARecord(t *testing.T) {
	f := newFixture(t)
	begun := make(chan struct{})
	f.reply = func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}
	failed := make(chan error)
	go func() {
		_, err := f.client(false).Get("https://" + hub + "/v2/x/blobs/y")
		failed <- err
	}()
	<-begun
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f.proxy.Drain(ctx)
	if err := <-failed; err == nil {
		t.Error("the client takes it for whole")
	}
	if r := f.tunnel(); r.How != "drain" || r.ClosedBy != track.Sluice {
		t.Errorf("record %+v", r)
	}
}

func TestATunnelThatIsKilledEndsAtOnce(t *testing.T) {
	f := newFixture(t)
	conn, _ := f.connect(hub + ":443")
	f.proxy.Live().KillAll("killed")
	ended(t, conn)
	if r := f.tunnel(); r.How != "killed" || r.ClosedBy != track.Sluice {
		t.Errorf("record %+v", r)
	}
}
