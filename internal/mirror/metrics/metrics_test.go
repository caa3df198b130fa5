package metrics

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/lab/reference"
	"sluice/internal/metrics/service"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pull is the record of a request for content.
func pull(kind record.Kind, how string, status int, bytes int64) *record.Record {
	return &record.Record{Kind: kind, How: how, Status: status, Bytes: bytes, Registry: "docker.io", Repository: "library/alpine"}
}

func TestWhatIsSavedIsWhatWasSentLessWhatWasFetched(t *testing.T) {
	m := New(Options{})
	m.Count(pull(record.Blob, record.Miss, 200, 1000))
	m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200, Bytes: 1000})
	m.Count(pull(record.Blob, record.Joined, 200, 1000))
	m.Count(pull(record.Blob, record.Hit, 206, 500))
	m.Count(pull(record.Manifest, record.Revalidated, 200, 10))
	m.Count(pull(record.Tags, record.Passed, 200, 7))
	m.Count(pull(record.Manifest, "", 404, 90))
	reference.WantScrape(t, m, "sluice_mirror_saved_bytes", "sluice_mirror_saved_bytes 1517\n")
	reference.WantScrape(t, m, "sluice_mirror_sent_bytes_total", `
sluice_mirror_sent_bytes_total{how=""} 90
sluice_mirror_sent_bytes_total{how="hit"} 500
sluice_mirror_sent_bytes_total{how="joined"} 1000
sluice_mirror_sent_bytes_total{how="miss"} 1000
sluice_mirror_sent_bytes_total{how="passed"} 7
sluice_mirror_sent_bytes_total{how="revalidated"} 10
`)
	reference.WantScrape(t, m, `sluice_mirror_requests_total{class="4xx"`, `
sluice_mirror_requests_total{class="4xx",how="",kind="manifest"} 1
`)
	if hits, all := m.Totals().Hits(); hits != 3 || all != 4 {
		t.Errorf("%d hits of %d", hits, all)
	}
}

func TestAClientThatLeavesEarlyMakesSavingsNegativeForAWhile(t *testing.T) {
	m := New(Options{})
	m.Count(pull(record.Blob, record.Miss, 200, 10))
	m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200, Bytes: 1000})
	reference.WantScrape(t, m, "sluice_mirror_saved_bytes", "sluice_mirror_saved_bytes -990\n")
}

func TestNoClientMakesUpALabel(t *testing.T) {
	m := New(Options{})
	m.Count(&record.Record{Kind: "evil", How: "evil", Status: 9999, Bytes: -5, Method: "evil", Repository: "evil"})
	reference.WantScrape(t, m, "sluice_mirror_requests_total", `
sluice_mirror_requests_total{class="none",how="",kind="other"} 1
`)
	if s := reference.Scrape(t, m, ""); strings.Contains(s, "evil") {
		t.Error(s)
	}
}

// docker is one upstream, "docker.io", with these limits.
func docker(l upstream.Limits) func() []UpstreamState {
	return func() []UpstreamState {
		return []UpstreamState{{Name: "docker.io", URL: "https://registry-1.docker.io", Limits: l}}
	}
}

func TestAnUpstreamIsAwayUntilItAnswersAgain(t *testing.T) {
	m := New(Options{Upstreams: docker(upstream.Limits{})})
	const up = "sluice_mirror_upstream_up"
	reference.WantScrape(t, m, up, "")
	for _, step := range []struct {
		e    upstream.Event
		away string // what is said of it
	}{
		{upstream.Event{Status: 200}, ""},
		{upstream.Event{Failure: upstream.Unreachable}, "it cannot be reached"},
		{upstream.Event{Failure: upstream.Cancelled}, "it cannot be reached"},
		{upstream.Event{Status: 404}, ""},
		{upstream.Event{Status: 503}, "it answers 503"},
		{upstream.Event{Status: 401}, ""},
		{upstream.Event{Status: 503, Kind: "token"}, "its token server: it answers 503"},
		{upstream.Event{Status: 200, Kind: "token"}, ""},
		{upstream.Event{Failure: upstream.Unreachable, Redirect: 1}, "a host that it leads to: it cannot be reached"},
		{upstream.Event{Status: 307}, "a host that it leads to: it cannot be reached"}, // itself answers, its blobs do not come
		{upstream.Event{Status: 200, Redirect: 1}, ""},
		{upstream.Event{Failure: upstream.Refused}, "it may not be asked"},
		{upstream.Event{Failure: upstream.RateLimited}, ""},
	} {
		step.e.Upstream = "docker.io"
		m.Upstream(step.e)
		u := m.Upstreams()[0]
		if u.Why != step.away || u.Away != (step.away != "") || u.Away == u.Since.IsZero() || u.Asked.IsZero() {
			t.Errorf("after %+v: %+v", step.e, u)
		}
		lamp := up + "{upstream=\"docker.io\"} 1\n"
		if step.away != "" {
			lamp = up + "{upstream=\"docker.io\"} 0\n"
		}
		reference.WantScrape(t, m, up, lamp)
	}
	reference.WantScrape(t, m, "sluice_mirror_upstream_failures_total", `
sluice_mirror_upstream_failures_total{failure="rate_limited",upstream="docker.io"} 1
sluice_mirror_upstream_failures_total{failure="refused",upstream="docker.io"} 1
sluice_mirror_upstream_failures_total{failure="unreachable",upstream="docker.io"} 2
`)
}

// What failed once and was not asked again is not held against an upstream for ever.
func TestTheFailureOfOneHostIsForgottenWhileOthersAnswer(t *testing.T) {
	var r reach
	begin := time.Now()
	r.add(upstream.Event{Failure: upstream.Unreachable, Redirect: 1}, begin)
	r.add(upstream.Event{Failure: upstream.Unreachable, Redirect: 1}, begin.Add(time.Minute))
	r.add(upstream.Event{Status: 200}, begin.Add(2*time.Minute))
	for after, away := range map[time.Duration]bool{2 * time.Minute: true, 7 * time.Minute: false} {
		var u Upstream
		r.tell(&u, begin.Add(after))
		if u.Away != away || away && !u.Since.Equal(begin) {
			t.Errorf("after %v: %+v", after, u)
		}
	}
}

func TestTheRateLimitIsWhatTheUpstreamSaid(t *testing.T) {
	for _, step := range []struct {
		name                       string
		limits                     upstream.Limits
		limit, remaining, notPause string
	}{
		{"silent", upstream.Limits{}, "", "", "0"},
		{"some left", upstream.Limits{Limit: 100, Remaining: 76}, "100", "76", "0"},
		{"its window is over", upstream.Limits{Limit: 100, Remaining: 3, Window: time.Hour, Seen: time.Now().Add(-2 * time.Hour)}, "", "", "0"},
		{"used up, a while ago", upstream.Limits{Limit: 100, PausedUntil: time.Now().Add(-time.Minute)}, "100", "0", "0"},
		{"used up", upstream.Limits{Limit: 100, PausedUntil: time.Now().Add(time.Hour)}, "100", "0", ""},
	} {
		m := New(Options{Upstreams: docker(step.limits)})
		line := func(name, value string) {
			if got := reference.Scrape(t, m, name+"{"); value != "" && got != name+`{upstream="docker.io"} `+value+"\n" || value == "" && step.limit == "" && got != "" {
				t.Errorf("%s: %s", step.name, got)
			}
		}
		line("sluice_mirror_upstream_rate_limit", step.limit)
		line("sluice_mirror_upstream_rate_limit_remaining", step.remaining)
		paused := reference.Scrape(t, m, "sluice_mirror_upstream_paused_until_timestamp_seconds")
		if strings.HasSuffix(paused, " 0\n") != (step.notPause == "0") {
			t.Errorf("%s: %s", step.name, paused)
		}
	}
}

func TestTheStateOfServerAndCacheIsAskedAtEachScrape(t *testing.T) {
	s := State{Connections: 1, MaxConnections: 2, Requests: 3, AcceptFailures: 4, RecordsLost: 5, Panics: 6}
	c := store.Stats{Bytes: 11, Blobs: 12, PartialBytes: 13, Partials: 14, MaxSize: 15, Downloads: 16, Reads: 17,
		Evictions: 18, EvictedBytes: 19, Corrupt: 20, Mismatches: 21, Uncached: 22}
	m := New(Options{State: func() State { return s }, Store: func() store.Stats { return c }, Version: "v1.2.3"})
	s.Draining = true
	for _, line := range []string{
		"connections 1", "max_connections 2", "requests_in_progress 3", "accept_failures_total 4", "log_records_lost_total 5",
		"panics_total 6", "draining 1", "cache_bytes 11", "cache_contents 12", "cache_partial_bytes 13", "cache_partials 14",
		"cache_max_bytes 15", "downloads 16", "reads 17", "cache_evictions_total 18", "cache_evicted_bytes_total 19",
		"cache_corrupt_total 20", "cache_mismatches_total 21", "cache_uncached_total 22",
	} {
		line = "sluice_mirror_" + line
		name, _, _ := strings.Cut(line, " ")
		reference.WantScrape(t, m, name+" ", line+"\n")
	}
	if info := reference.Scrape(t, m, "sluice_mirror_build_info"); !strings.Contains(info, `version="v1.2.3"`) {
		t.Errorf("build info %s", info)
	}
}

func TestAFailedReloadShowsUntilOneSucceeds(t *testing.T) {
	m := New(Options{})
	const ok = "sluice_mirror_config_last_reload_successful"
	reference.WantScrape(t, m, ok, ok+" 1\n")
	m.Reloaded(errors.New("line 3: no"))
	reference.WantScrape(t, m, ok, ok+" 0\n")
	m.Reloaded(nil)
	reference.WantScrape(t, m, ok, ok+" 1\n")
	reference.WantScrape(t, m, "sluice_mirror_config_reloads_total", `
sluice_mirror_config_reloads_total{result="failure"} 1
sluice_mirror_config_reloads_total{result="success"} 1
`)
}

// However long the process runs, the whole time is there, in stretches that grow.
func TestTheHistoryReachesBackToTheStart(t *testing.T) {
	var h history
	begin := time.Now()
	h.begin(begin)
	const days = 40
	var asked uint64
	for at := time.Duration(0); at < days*24*time.Hour; at += 10 * time.Minute {
		h.add(begin.Add(at), sample{Requests: 1, Hits: 1, Sent: 3, Fetched: 2})
		asked++
		if len(h.list) > mostStretches || cap(h.list) > mostStretches {
			t.Fatalf("%d stretches", len(h.list))
		}
	}
	var sum sample
	for _, s := range h.list {
		sum.plus(s)
	}
	if (sum != sample{asked, asked, 3 * int64(asked), 2 * int64(asked)}) {
		t.Errorf("of %d: %+v", asked, sum)
	}
	if span := time.Duration(len(h.list)) * h.length; span < days*24*time.Hour || len(h.list) < mostStretches/2 {
		t.Errorf("%d stretches of %v", len(h.list), h.length)
	}
}

func TestManyAreCountedAtOnce(t *testing.T) {
	m := New(Options{Upstreams: docker(upstream.Limits{})})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.Count(pull(record.Blob, record.Hit, 200, 2))
				m.Upstream(upstream.Event{Upstream: "docker.io", Kind: "blob", Status: 200, Bytes: 1})
				m.Totals()
				m.History()
				m.Upstreams()
			}
		})
	}
	wg.Wait()
	if _, list := m.History(); list[0].Requests != 800 || m.Totals().Saved() != 800 {
		t.Errorf("%+v, %d saved", list, m.Totals().Saved())
	}
}

func TestScrapesAreBounded(t *testing.T) {
	reference.CheckScrapesAreBounded(t, service.Scrapes, func(gathering func()) http.Handler {
		return New(Options{State: func() State { gathering(); return State{} }})
	})
}
