package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"sluice/internal/admin"
	"sluice/internal/config"
	"sluice/internal/gate"
	"sluice/internal/track"
)

// alone answers a request without a server.
func alone(o admin.Options, method, path string) *httptest.ResponseRecorder {
	o.Gate = gate.New(&gate.Policy{}, func(*track.Record) {})
	h := admin.New(o)
	defer h.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestWhatIsNotThereIsAnErrorOrLeftOut(t *testing.T) {
	for _, step := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/", 200, "GET /tunnels\twhat is live"},
		{"GET", "/metrics", 404, "no metrics"},
		{"GET", "/page/page.js", 404, "nothing at /page/page.js"},
		{"POST", "/reload", 501, "cannot be reloaded"},
	} {
		if w := alone(admin.Options{}, step.method, step.path); w.Code != step.status || !strings.Contains(w.Body.String(), step.says) {
			t.Errorf("%s %s: %d, %s", step.method, step.path, w.Code, w.Body)
		}
	}
}

func TestAReloadTellsWhatCameOfIt(t *testing.T) {
	_, invalid := config.Parse("sluice.toml", []byte("[limits]\ntunels = 1\nburst = 1\n"), config.Flags{}, config.Presets{})
	for _, step := range []struct {
		name     string
		warnings []string
		err      error
		status   int
		body     string
	}{
		{"all well", nil, nil, 200, `{"reloaded":true,"warnings":[]}`},
		{"with a warning", []string{"sluice.toml:1:1: hardly meant"}, nil, 200, `{"reloaded":true,"warnings":["sluice.toml:1:1: hardly meant"]}`},
		{"an invalid file", nil, fmt.Errorf("reload: %w", invalid), 422,
			`{"error":"the configuration is not valid, and nothing was changed","problems":["sluice.toml:2:1:`},
		{"an address that is taken", nil, errors.New("listener :3128: in use"), 422, `{"error":"listener :3128: in use"}`},
	} {
		w := alone(admin.Options{Reload: func(context.Context) ([]string, error) { return step.warnings, step.err }}, "POST", "/reload")
		if w.Code != step.status || !strings.HasPrefix(w.Body.String(), step.body) {
			t.Errorf("%s: %d, %s", step.name, w.Code, w.Body)
		}
		if step.err != nil && errors.Is(step.err, invalid) {
			if n := len(parse(t, w.Body.String())["problems"].([]any)); n != 2 {
				t.Errorf("%d problems", n)
			}
		}
	}
}

func TestAHandlerThatIsClosedAnswersNothingMore(t *testing.T) {
	h := admin.New(admin.Options{Gate: gate.New(&gate.Policy{}, func(*track.Record) {})})
	h.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d, %s", w.Code, w.Body)
	}
}

func TestAPanicEndsItsAnswerAndNoMore(t *testing.T) {
	told := make(chan any, 1)
	h := admin.New(admin.Options{
		Gate:     gate.New(&gate.Policy{}, func(*track.Record) {}),
		Metrics:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }),
		Panicked: func(v any, _ []byte) { told <- v },
	})
	defer h.Close()
	s := httptest.NewServer(h)
	defer s.Close()
	if resp, err := http.Get(s.URL + "/metrics"); err == nil {
		resp.Body.Close()
		t.Errorf("it was answered by %s", resp.Status)
	}
	if v := <-told; v != "a fault" {
		t.Errorf("told of %v", v)
	}
	resp, err := http.Get(s.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// The feed's goroutine is its own: nobody else would catch what it panics with.
func TestAPanicOfTheFeedEndsItsSubscriptionsAndNoMore(t *testing.T) {
	told := make(chan any, 1)
	var broken atomic.Bool
	h := admin.New(admin.Options{
		Gate: gate.New(&gate.Policy{}, func(*track.Record) {}),
		Totals: func() (int64, int64, map[string]uint64) {
			if broken.Load() {
				panic("a fault")
			}
			return 0, 0, nil
		},
		Panicked: func(v any, _ []byte) { told <- v },
	})
	defer h.Close()
	s := httptest.NewServer(h)
	defer s.Close()
	resp, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	broken.Store(true)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
	if v := <-told; v != "a fault" {
		t.Errorf("told of %v", v)
	}
	http.DefaultClient.CloseIdleConnections()
}
