package admin

import (
	"net/http"
	"testing"

	"sluice/internal/gate"
	"sluice/internal/lab/endpoints"
	"sluice/internal/track"
)

// handler returns one that has everything.
func handler(t *testing.T) *Handler {
	h := New(Options{Gate: gate.New(&gate.Policy{}, func(*track.Record) {}), Page: http.NotFoundHandler(), Metrics: http.NotFoundHandler()})
	t.Cleanup(h.Close)
	return h
}

func TestTheReferenceHasEveryEndpoint(t *testing.T) {
	endpoints.CheckRoutes(t, "ADMIN.md", handler(t).routes(), endpoints.InWords)
}

func TestTheReferenceHasEveryStatus(t *testing.T) {
	endpoints.CheckStatuses(t, "ADMIN.md", []string{"200"}, ".", "site")
}
