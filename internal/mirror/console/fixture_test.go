//go:build unix

package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/admin/site"
	"sluice/internal/mirror/metrics"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mirror is a cache with its console, at an address of loopback.
type mirror struct {
	*httptest.Server
	t         *testing.T
	dir       string
	store     *store.Store
	metrics   *metrics.Metrics
	recent    *record.Ring
	handler   *Handler
	upstreams []metrics.UpstreamState
	stopped   atomic.Bool // it answers nothing any more
	asked     atomic.Int64
}

// newMirror returns one with an empty cache. Change may change the options.
func newMirror(t *testing.T, change ...func(*Options)) *mirror {
	t.Helper()
	m := &mirror{t: t, dir: t.TempDir(), recent: record.NewRing(1000)}
	var err error
	if m.store, err = store.Open(store.Options{Dir: m.dir, MaxSize: 20e9}); err != nil {
		t.Fatal(err)
	}
	m.metrics = metrics.New(metrics.Options{Store: m.store.Stats, Upstreams: func() []metrics.UpstreamState { return m.upstreams }})
	o := Options{
		Store: m.store, Directory: m.dir, Metrics: m.metrics, Recent: m.recent, Version: "v1.2.3", Started: time.Now().Add(-time.Hour),
		Config: func() []byte { return []byte(`{"cache":{"max_size":"20GB"}}`) },
		Reload: func(context.Context) ([]string, error) { return nil, nil },
	}
	for _, f := range change {
		f(&o)
	}
	m.handler = New(o)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		if m.stopped.Load() {
			site.Fail(w, r, site.NewFault(http.StatusServiceUnavailable, "this program has stopped"))
			return
		}
		m.handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		m.Server.Close()
		m.handler.Close()
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// image puts an image into the cache, with a layer of so many bytes, and returns the
// digests of its manifest and of the layer. Images with the same bytes have the same
// layer.
func (m *mirror) image(repository, tag string, layerBytes int, own string) (manifest, layer oci.Digest) {
	m.t.Helper()
	registry, name, _ := strings.Cut(repository, "/")
	r := oci.Repository{Registry: registry, Name: name}
	content := []byte(strings.Repeat("x", layerBytes))
	config := fmt.Appendf(nil, `{"config":%q}`, own)
	layer = m.put(r, content, "application/vnd.oci.image.layer.v1.tar+gzip")
	configDigest := m.put(r, config, "application/vnd.oci.image.config.v1+json")
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}]}`,
		oci.TypeManifest, configDigest, len(config), layer, len(content))
	manifest = m.put(r, body, oci.TypeManifest)
	if err := m.store.SetTag(r, tag, store.Tag{Digest: manifest, MediaType: oci.TypeManifest, Checked: time.Now()}); err != nil {
		m.t.Fatal(err)
	}
	return manifest, layer
}

func (m *mirror) put(r oci.Repository, body []byte, mediaType string) oci.Digest {
	m.t.Helper()
	d := oci.FromBytes(body)
	if err := m.store.Put(d, body); err != nil {
		m.t.Fatal(err)
	}
	if err := m.store.Link(r, d, store.Link{MediaType: mediaType, Size: int64(len(body))}); err != nil {
		m.t.Fatal(err)
	}
	return d
}

// path returns where content is on disk.
func (m *mirror) path(d oci.Digest) string {
	return filepath.Join(m.dir, "blobs", d.Algorithm(), d.Hex()[:2], d.Hex())
}

// damage turns a bit of content on disk.
func (m *mirror) damage(d oci.Digest) {
	m.t.Helper()
	body, err := os.ReadFile(m.path(d))
	if err != nil {
		m.t.Fatal(err)
	}
	body[len(body)/2] ^= 1
	if err := os.WriteFile(m.path(d), body, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// ask returns the status and the body of an answer.
func (m *mirror) ask(method, path string, header ...string) (int, string) {
	m.t.Helper()
	req, err := http.NewRequest(method, m.URL+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// get decodes the answer to a GET.
func get[T any](m *mirror, path string) (answer T) {
	m.t.Helper()
	status, body := m.ask("GET", path)
	if status != http.StatusOK {
		m.t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		m.t.Fatalf("%s: %v in %s", path, err, body)
	}
	return answer
}

// limits are those of an upstream that has said something.
func limits(limit, remaining int) upstream.Limits {
	return upstream.Limits{Limit: limit, Remaining: remaining, Window: 6 * time.Hour, Seen: time.Now()}
}
