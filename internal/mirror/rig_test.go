package mirror

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/lab"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin is a registry that answers for one image, "library/app:1", of one layer.
type origin struct {
	*httptest.Server
	layer    []byte
	manifest []byte
	fetched  atomic.Int64  // times that the layer was sent
	gate     chan struct{} // not nil: the layer's second half waits for it
	redirect string        // where to send those who want the layer; "": it is sent
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{layer: bytes.Repeat([]byte("layer "), 100_000)}
	o.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`,
		oci.TypeManifest, oci.FromBytes([]byte("{}")), oci.FromBytes(o.layer), len(o.layer))
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := oci.FromBytes(o.manifest)
	switch r.URL.Path {
	case "/v2/library/app/manifests/1", "/v2/library/app/manifests/" + string(d):
		w.Header().Set("Content-Type", oci.TypeManifest)
		w.Header().Set("Docker-Content-Digest", string(d))
		w.Write(o.manifest)
	case "/v2/library/app/blobs/" + string(oci.FromBytes(o.layer)):
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", fmt.Sprint(len(o.layer)))
			return
		}
		if o.redirect != "" {
			http.Redirect(w, r, o.redirect, http.StatusTemporaryRedirect)
			return
		}
		o.fetched.Add(1)
		w.Header().Set("Content-Length", fmt.Sprint(len(o.layer)))
		w.Write(o.layer[:len(o.layer)/2])
		if o.gate != nil {
			w.(http.Flusher).Flush()
			<-o.gate
		}
		w.Write(o.layer[len(o.layer)/2:])
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// running is a mirror that serves.
type running struct {
	*Server
	t        *testing.T
	file     string
	out, err *lab.Transcript
	stop     context.CancelFunc
	cut      context.CancelFunc
	done     chan error
}

// text is a file whose mirror has an origin on loopback for Docker Hub.
func text(t *testing.T, o *origin, more string) string {
	t.Helper()
	return fmt.Sprintf(`
[[listener]]
address = "127.0.0.1:0"
[[upstream]]
name = "docker.io"
url = %q
[cache]
directory = %q
[admin]
address = "127.0.0.1:0"
[[rule]]
name = "local"
action = "allow"
clients = ["127.0.0.1"]
%s`, o.URL, filepath.Join(t.TempDir(), "cache"), more)
}

func run(t *testing.T, text string) *running {
	t.Helper()
	r := &running{t: t, file: filepath.Join(t.TempDir(), "mirror.toml"), out: new(lab.Transcript), err: new(lab.Transcript), done: make(chan error, 1)}
	r.write(text)
	load := func() (*settings.Config, error) { return settings.Load(settings.Flags{Config: r.file}) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if r.Server, err = New(cfg, Options{Stdout: r.out, Stderr: r.err, Version: "test", Load: load}); err != nil {
		t.Fatal(err)
	}
	var ctx, cut context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	cut, r.cut = context.WithCancel(context.Background())
	go func() { r.done <- r.Serve(ctx, cut) }()
	t.Cleanup(func() {
		r.stop()
		r.cut()
		<-r.done
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

func (r *running) write(text string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) url(path string) string { return "http://" + r.Addrs()[0].String() + path }

// client returns one that trusts the mirror's authority. proxy is the way that it takes;
// nil: none.
func (r *running) client(proxy *url.URL, http2 bool) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2,
	}}
	r.t.Cleanup(client.CloseIdleConnections)
	return client
}

// transparent returns the mirror as a client's proxy.
func (r *running) transparent() *url.URL {
	return &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (o *origin) blob() string { return "/v2/library/app/blobs/" + string(oci.FromBytes(o.layer)) }

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
