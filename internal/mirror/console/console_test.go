//go:build unix

package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/upstream"
)

func TestWhatIsNotUnderstoodIsAnErrorAndChangesNothing(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 2000, "a")
	for _, step := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/nothing", 404, "nothing at /nothing"},
		{"GET", "/cache/", 404, ""},
		{"GET", "/cache/remove", 405, "does not take GET"},
		{"DELETE", "/cache", 405, ""},
		{"PUT", "/cache/prune", 405, ""},
		{"GET", "/cache?digest=latest", 400, "digest"},
		{"GET", "/cache?digest=sha256:../../etc/passwd", 400, "digest"},
		{"GET", "/cache?repository=alpine", 400, "lacks its registry"},
		{"GET", "/cache?repository=docker.io/../../x", 400, "repository"},
		{"GET", "/cache?registry=%2Fetc", 400, "registry"},
		{"GET", "/cache?limit=0", 400, "limit"},
		{"GET", "/cache?limit=10001", 400, "limit"},
		{"GET", "/cache?limit=many", 400, "limit"},
		{"GET", "/cache?after=x", 400, "after"},
		{"GET", "/cache?tag=x", 400, "no parameter"},
		{"GET", "/cache/repositories?repository=docker.io/x", 400, "no parameter"},
		{"GET", "/requests?refused=yes", 400, "neither true nor false"},
		{"GET", "/requests?limit=1001", 400, "limit"},
		{"POST", "/cache/remove", 400, "remove what"},
		{"POST", "/cache/remove?digest=", 400, "empty"},
		{"POST", "/cache/remove?digest=sha256:1", 400, "digest"},
		{"POST", "/cache/remove?repository=docker.io", 400, "lacks its registry"},
		{"POST", "/cache/remove?repository=docker.io/*", 400, "repository"},
		{"POST", "/cache/remove?registry=docker.io&repository=docker.io/library/alpine", 400, "name one"},
		{"POST", "/cache/remove?all=true", 400, "no parameter"},
		{"POST", "/cache/prune", 400, "to is missing"},
		{"POST", "/cache/prune?to=-1GB", 400, "to"},
		{"POST", "/cache/prune?to=1", 400, "to"},
		{"POST", "/cache/prune?to=1GB&to=2GB", 400, "2 times"},
		{"POST", "/cache/verify?rate=1MB", 400, "rate"},
		{"POST", "/cache/verify?rate=%1b%5b2J", 400, "rate"},
	} {
		status, body := m.ask(step.method, step.path)
		if status != step.status || !strings.Contains(body, step.says) {
			t.Errorf("%s %s: %d, %s", step.method, step.path, status, body)
		}
		var e struct{ Error string }
		if json.Unmarshal([]byte(body), &e) != nil || e.Error == "" || strings.ContainsAny(body, "\x1b\u009b") {
			t.Errorf("%s %s: %q is no error that a terminal can show", step.method, step.path, body)
		}
	}
	if s := m.store.Stats(); s.Blobs != 3 {
		t.Errorf("something was removed: %+v", s)
	}
}

// A page that the operator's browser shows must not empty the cache.
func TestPagesOfOthersAreRefused(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 2000, "a")
	for _, step := range []struct {
		name, method, path, header string
		status                     int
	}{
		{"another origin", "POST", "/cache/prune?to=0", "Origin: https://evil.example", 403},
		{"another port of this machine", "POST", "/cache/remove?registry=docker.io", "Origin: http://127.0.0.1:1", 403},
		{"a browser that says so", "POST", "/reload", "Sec-Fetch-Site: cross-site", 403},
		{"a name of others that leads here", "GET", "/cache", "Host: evil.example", 421},
		{"a name of others that leads here, to change something", "POST", "/cache/prune?to=0", "Host: evil.example", 421},
		{"the page itself", "GET", "/cache", "Origin: " + m.URL, 200},
		{"curl", "GET", "/cache", "X-Nothing: 1", 200},
	} {
		if status, body := m.ask(step.method, step.path, step.header); status != step.status {
			t.Errorf("%s: %d %s", step.name, status, body)
		}
	}
	if s := m.store.Stats(); s.Blobs != 3 {
		t.Errorf("something was removed: %+v", s)
	}
}

func TestHealthSaysThatTheCacheCannotBeWritten(t *testing.T) {
	m := newMirror(t)
	if status, body := m.ask("GET", "/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	left, err := filepath.Glob(filepath.Join(m.dir, ".healthz*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the trial leaves %v", left)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	m = newMirror(t, func(o *Options) { o.Directory = gone })
	status, body := m.ask("GET", "/healthz")
	if status != 200 || !strings.HasPrefix(body, "degraded: the cache cannot be written: ") {
		t.Errorf("%d %q", status, body)
	}
	if trouble := get[seenStatus](m, "/status").Cache.Trouble; trouble == "" {
		t.Error("the status does not tell")
	}
	if err := os.Mkdir(gone, 0o700); err != nil {
		t.Fatal(err)
	}
	m.handler.disk.at = time.Now().Add(-time.Hour)
	if _, body := m.ask("GET", "/healthz"); body != "ok\n" {
		t.Errorf("when it can: %q", body)
	}
}

// seenStatus is what tests read of a status.
type seenStatus struct {
	Version string
	Cache   struct {
		Contents int
		Bytes    int64
		MaxBytes int64 `json:"max_bytes"`
		Trouble  string
	}
	Totals struct {
		Requests, Hits int
		Sent           int64 `json:"bytes_sent"`
		Saved          int64 `json:"bytes_saved"`
	}
	History struct {
		Seconds   float64
		Stretches [][4]int64
	}
	Upstreams []struct {
		Name, State, Why string
		Limit            int
		Remaining        *int
		PausedUntil      *time.Time `json:"paused_until"`
	}
}

func TestADrainingMirrorIsNotReady(t *testing.T) {
	draining := false
	m := newMirror(t, func(o *Options) { o.Draining = func() bool { return draining } })
	if status, body := m.ask("GET", "/readyz"); status != 200 || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	draining = true
	if status, body := m.ask("GET", "/readyz"); status != 503 || body != "draining\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := m.ask("GET", "/healthz"); status != 200 {
		t.Errorf("healthz: %d", status)
	}
	if status, body := m.ask("POST", "/reload"); status != 409 || !strings.Contains(body, "shutting down") {
		t.Errorf("%d %s", status, body)
	}
}

func TestTheStatusTellsWhatWasSavedAndWhoIsAway(t *testing.T) {
	m := newMirror(t)
	m.image("docker.io/library/alpine", "3.22", 2000, "a")
	for _, how := range []string{record.Miss, record.Hit, record.Hit} {
		m.metrics.Count(&record.Record{Kind: record.Blob, How: how, Status: 200, Bytes: 1000})
	}
	m.metrics.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200, Bytes: 1000})
	m.metrics.Upstream(upstream.Event{Upstream: "ghcr.io", Failure: upstream.Unreachable})
	paused := limits(100, 0)
	paused.PausedUntil = time.Now().Add(time.Hour)
	m.upstreams = []metrics.UpstreamState{
		{Name: "docker.io", Limits: limits(100, 76)}, {Name: "ghcr.io"}, {Name: "quay.io"}, {Name: "gcr.io", Limits: paused},
	}
	s := get[seenStatus](m, "/status")
	if s.Version != "v1.2.3" || s.Cache.Contents != 3 || s.Cache.Bytes == 0 || s.Cache.MaxBytes != 20e9 || s.Cache.Trouble != "" {
		t.Errorf("%+v", s.Cache)
	}
	if s.Totals.Requests != 3 || s.Totals.Hits != 2 || s.Totals.Sent != 3000 || s.Totals.Saved != 2000 {
		t.Errorf("%+v", s.Totals)
	}
	var sum [4]int64
	for _, stretch := range s.History.Stretches {
		for i, n := range stretch {
			sum[i] += n
		}
	}
	if sum != [4]int64{3, 2, 3000, 1000} || s.History.Seconds <= 0 {
		t.Errorf("%+v", s.History)
	}
	for i, want := range []string{"up", "away", "unasked", "paused"} {
		if u := s.Upstreams[i]; u.State != want || (u.Why != "") != (want == "away") || (u.PausedUntil != nil) != (want == "paused") {
			t.Errorf("%+v is not %s", u, want)
		}
	}
	if u := s.Upstreams[0]; u.Limit != 100 || u.Remaining == nil || *u.Remaining != 76 {
		t.Errorf("%+v", u)
	}
	if u := s.Upstreams[2]; u.Limit != 0 || u.Remaining != nil {
		t.Errorf("%+v has said nothing of a limit, let alone that none is left", u)
	}
}

func TestTheLatestRequestsAndThoseRefusedAreTold(t *testing.T) {
	m := newMirror(t)
	refused := record.Record{ID: 7, Start: time.Now(), Client: netip.MustParseAddrPort("192.0.2.9:1"), Status: 403, Code: "DENIED", Error: "no rule lets 192.0.2.9 pull\x1b[2J", Kind: record.Manifest, Repository: "library/alpine"}
	m.recent.Add(&refused)
	for range 5 {
		m.recent.Add(&record.Record{Status: 200, How: record.Hit, Kind: record.Blob})
	}
	type answer struct{ Requests []map[string]any }
	if list := get[answer](m, "/requests").Requests; len(list) != 6 || list[0]["how"] != "hit" || list[5]["code"] != "DENIED" {
		t.Errorf("%v", list)
	}
	if list := get[answer](m, "/requests?limit=2").Requests; len(list) != 2 {
		t.Errorf("%v", list)
	}
	list := get[answer](m, "/requests?refused=true").Requests
	if len(list) != 1 || list[0]["client"] != "192.0.2.9" || list[0]["id"] != "0000000000000007" || list[0]["time"] == nil {
		t.Errorf("%v", list)
	}
	if _, body := m.ask("GET", "/requests"); strings.Contains(body, "\x1b") {
		t.Errorf("%q", body)
	}
}

func TestAReloadAndTheConfigurationAreTold(t *testing.T) {
	_, invalid := config.Parse("mirror.toml", []byte("[limits]\ntunels = 1\n"), config.Flags{}, config.Presets{})
	var err error
	m := newMirror(t, func(o *Options) {
		o.Reload = func(context.Context) ([]string, error) { return []string{"mirror.toml:1:1: hardly meant"}, err }
	})
	if status, body := m.ask("POST", "/reload"); status != 200 || !strings.Contains(body, "hardly meant") {
		t.Errorf("%d %s", status, body)
	}
	err = invalid
	if status, body := m.ask("POST", "/reload"); status != 422 || !strings.Contains(body, "mirror.toml:2:1") {
		t.Errorf("%d %s", status, body)
	}
	err = errors.New("listener :5000: in use")
	if status, body := m.ask("POST", "/reload"); status != 422 || !strings.Contains(body, ":5000: in use") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := m.ask("GET", "/config"); status != 200 || body != `{"cache":{"max_size":"20GB"}}`+"\n" {
		t.Errorf("%d %q", status, body)
	}
	bare := newMirror(t, func(o *Options) { o.Reload, o.Config = nil, nil })
	if status, _ := bare.ask("POST", "/reload"); status != http.StatusNotImplemented {
		t.Errorf("without: %d", status)
	}
	if status, _ := bare.ask("GET", "/config"); status != http.StatusNotFound {
		t.Errorf("without: %d", status)
	}
}

func TestMetricsAreServed(t *testing.T) {
	m := newMirror(t)
	if status, body := m.ask("GET", "/metrics"); status != 200 || !strings.Contains(body, "sluice_mirror_cache_max_bytes 2e+10") {
		t.Errorf("%d %.300s", status, body)
	}
}

func TestAHandlerThatIsClosedAnswersNothingMore(t *testing.T) {
	m := newMirror(t)
	m.handler.Close()
	if status, body := m.ask("GET", "/healthz"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
}
