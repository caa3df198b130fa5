package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/settings"
	"sluice/internal/mirror/trust"
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
	out, err *buffer
	stop     context.CancelFunc
	cut      context.CancelFunc
	done     chan error
}

// buffer is what a log is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
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
	r := &running{t: t, file: filepath.Join(t.TempDir(), "mirror.toml"), out: &buffer{}, err: &buffer{}, done: make(chan error, 1)}
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

func TestAnImageIsPulledTwiceAndFetchedOnce(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, ""))
	for range 2 {
		if status, body := get(t, r.url("/v2/app/manifests/1")); status != 200 || body != string(o.manifest) {
			t.Fatalf("manifest: %d %s", status, body)
		}
		if status, body := get(t, r.url(o.blob())); status != 200 || body != string(o.layer) {
			t.Fatalf("layer: %d, %d bytes", status, len(body))
		}
	}
	if n := o.fetched.Load(); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
	_, metrics := get(t, "http://"+r.AdminAddr().String()+"/metrics")
	for _, want := range []string{"sluice_mirror_cache_bytes", "sluice_mirror_requests_total"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	r.stop()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if n := strings.Count(r.out.String(), `"repository":"library/app"`); n != 4 {
		t.Errorf("%d records:\n%s", n, r.out.String())
	}
}

func TestARestartFindsWhatWasKeptWithTheUpstreamAway(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	get(t, r.url("/v2/app/manifests/1"))
	get(t, r.url(o.blob()))
	r.stop()
	<-r.done
	r.done <- nil
	o.Close()
	r = run(t, file)
	if status, body := get(t, r.url(o.blob())); status != 200 || body != string(o.layer) {
		t.Errorf("layer: %d, %d bytes", status, len(body))
	}
	if status, body := get(t, r.url("/v2/app/manifests/1")); status != 200 || body != string(o.manifest) {
		t.Errorf("manifest: %d %s", status, body)
	}
}

func TestAReloadChangesWhoMayPull(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	if status, _ := get(t, r.url("/v2/")); status != 200 {
		t.Fatalf("status %d", status)
	}
	r.write(strings.Replace(file, `clients = ["127.0.0.1"]`, `clients = ["192.0.2.1"]`, 1))
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, body := get(t, r.url("/v2/")); status != 403 || !strings.Contains(body, "127.0.0.1") {
		t.Errorf("status %d: %s", status, body)
	}
}

func TestAReloadThatCannotBeDoneChangesNothing(t *testing.T) {
	o := newOrigin(t)
	file := text(t, o, "")
	r := run(t, file)
	busy := httptest.NewServer(http.NotFoundHandler())
	defer busy.Close()
	for name, c := range map[string]struct{ with, want string }{
		"a file with an error":    {file + "[cach]\n", "cache"},
		"an address that is busy": {file + "[[listener]]\naddress = \"" + busy.Listener.Addr().String() + "\"\n", "in use"},
		"another cache":           {strings.Replace(file, "/cache\"", "/other\"", 1), "restart"},
		"users that are nowhere":  {file + "[users]\nfile = \"/nowhere/users\"\n", "/nowhere/users"},
		"no certificate":          {file + "[[listener]]\naddress = \"127.0.0.1:0\"\ntls = \"files\"\ncertificate = \"/nowhere/cert\"\nkey = \"/nowhere/key\"\n", "/nowhere"},
	} {
		r.write(c.with)
		if _, err := r.Reload(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if status, _ := get(t, r.url("/v2/")); status != 200 || len(r.Addrs()) != 1 {
			t.Errorf("%s: status %d, addresses %v", name, status, r.Addrs())
		}
	}
}

// A reload opens and closes listeners; what is pulled meanwhile is whole.
func TestAReloadMovesAListenerUnderAPull(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	file := text(t, o, "")
	r := run(t, file)
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	before := r.Addrs()[0]
	r.write(strings.Replace(file, `address = "127.0.0.1:0"`, `address = "127.0.0.2:0"`, 1))
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if r.Addrs()[0].Addr() == before.Addr() {
		t.Fatalf("it still listens on %v", before)
	}
	close(o.gate)
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	waitFor(t, func() bool {
		_, err := http.Get("http://" + before.String() + "/v2/")
		return err != nil
	})
}

func TestADrainLetsAPullEnd(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	r := run(t, text(t, o, ""))
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.stop()
	waitFor(t, r.draining.Load)
	close(o.gate)
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if _, err := r.Reload(context.Background()); !errors.Is(err, ErrEnding) {
		t.Errorf("a reload in the drain: %v", err)
	}
}

func TestACutDrainLeavesRecords(t *testing.T) {
	o := newOrigin(t)
	o.gate = make(chan struct{})
	defer close(o.gate)
	r := run(t, text(t, o, ""))
	resp, err := http.Get(r.url(o.blob()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	r.stop()
	r.cut()
	if err := <-r.done; err != nil {
		t.Error(err)
	}
	r.done <- nil
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the client takes what it has for the whole")
	}
	if !strings.Contains(r.out.String(), `"kind":"blob"`) {
		t.Errorf("no record:\n%s", r.out.String())
	}
}

func TestAListenerWithACertificateOfItsOwn(t *testing.T) {
	o := newOrigin(t)
	file := strings.Replace(text(t, o, ""), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1)
	r := run(t, file)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + r.Addrs()[0].String() + o.blob())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(body, o.layer) || resp.ProtoMajor != 2 {
		t.Errorf("%s: %d bytes, %v", resp.Proto, len(body), err)
	}
}

// A reload that changes what is spoken at an address is heeded by the next connection.
func TestAReloadTakesTLSAwayFromAnAddress(t *testing.T) {
	o := newOrigin(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	plain := strings.Replace(text(t, o, ""), `address = "127.0.0.1:0"`, `address = "`+free.Addr().String()+`"`, 1)
	r := run(t, strings.Replace(plain, "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1))
	if status, _ := get(t, r.url("/v2/")); status != 400 { // as net/http answers plain HTTP
		t.Fatalf("status %d", status)
	}
	r.write(plain)
	if _, err := r.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, r.url("/v2/")); status != 200 {
		t.Errorf("status %d", status)
	}
}

// The transparent way: a client that knows nothing but a proxy, and trusts the mirror's
// authority, asks the registry by its own name.
func TestTheTransparentWayServesARegistryUnderItsOwnName(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
	proxy := &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for range 2 {
		resp, err := client.Get("https://registry-1.docker.io" + o.blob())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(body, o.layer) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
	}
	if n := o.fetched.Load(); n != 1 {
		t.Errorf("the layer was fetched %d times", n)
	}
	if _, err := client.Get("https://169.254.169.254/latest/meta-data/"); err == nil {
		t.Error("it tunnels anywhere")
	}
}

// What is no pull goes to the registry itself, and blobs to their hosts: only for those
// who may pull from that registry, whatever else they may pull.
func TestTheTransparentWayLeadsToTheHostsOfNoRegistryThatIsDenied(t *testing.T) {
	o := newOrigin(t)
	r := run(t, strings.Replace(text(t, o, `
[transparent]
address = "127.0.0.1:0"
[egress]
resolver = ["127.0.0.1:9"] # nothing is reached: who may go there learns that
`), "[cache]", `[[upstream]]
name = "one.example"
blob_hosts = ["blobs.example", "both.example"]
[[upstream]]
name = "two.example"
blob_hosts = ["both.example"]
[cache]`, 1))
	before, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ denied, host, want string }{
		{`"docker.io"`, "blobs.example", "502"},
		{`"docker.io"`, "one.example", "502"},
		{`"one.example"`, "blobs.example", "403"},
		{`"one.example"`, "one.example", "403"},
		{`"one.example"`, "both.example", "502"},
		{`"one.example", "two.example"`, "both.example", "403"},
	} {
		rule := fmt.Sprintf("[[rule]]\nname = \"no\"\naction = \"deny\"\nto = [%s]\nclients = [\"127.0.0.1\"]\n[[rule]]", x.denied)
		r.write(strings.Replace(string(before), "[[rule]]", rule, 1))
		if _, err := r.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
		proxy := &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}
		client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}}}
		resp, err := client.Get("https://" + x.host + "/token")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		client.CloseIdleConnections()
		if !strings.HasPrefix(resp.Status, x.want) {
			t.Errorf("with %s denied %s is answered %s, want %s", x.denied, x.host, resp.Status, x.want)
		}
	}
}

func TestNothingIsOpenedWhenSomethingCannotBe(t *testing.T) {
	o := newOrigin(t)
	busy := httptest.NewServer(http.NotFoundHandler())
	defer busy.Close()
	file := text(t, o, "[transparent]\naddress = \""+busy.Listener.Addr().String()+"\"\n")
	cfg, err := settings.Parse("mirror.toml", []byte(file), settings.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("error %v", err)
	}
	// The lock of the cache is free again.
	cfg.Transparent = nil
	s, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestTheConfigurationInForceIsShown(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, ""))
	status, body := get(t, "http://"+r.AdminAddr().String()+"/config")
	var shown map[string]any
	if err := json.Unmarshal([]byte(body), &shown); err != nil || status != 200 || !strings.Contains(body, o.URL) {
		t.Errorf("%d, %v: %s", status, err, body)
	}
}

func TestAClientHasSoManyConnectionsAndNoMore(t *testing.T) {
	o := newOrigin(t)
	r := run(t, text(t, o, "[limits]\nconnections = 2\n"))
	var kept []*http.Client
	refused := 0
	for range 4 {
		c := &http.Client{Transport: &http.Transport{}}
		kept = append(kept, c)
		resp, err := c.Get(r.url("/v2/"))
		if err != nil {
			refused++
			continue
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if refused != 2 {
		t.Errorf("%d of 4 were refused", refused)
	}
	for _, c := range kept {
		c.CloseIdleConnections()
	}
	waitFor(t, func() bool {
		resp, err := http.Get(r.url("/v2/"))
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

func TestRequestsOverOneConnectionTakePlacesToo(t *testing.T) {
	for name, way := range map[string]func(r *running) (proxy *url.URL, at string){
		"to the mirror": func(r *running) (*url.URL, string) { return nil, r.Addrs()[0].String() },
		"transparent": func(r *running) (*url.URL, string) {
			return &url.URL{Scheme: "http", Host: r.TransparentAddr().String()}, "registry-1.docker.io"
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			o.gate = make(chan struct{})
			file := strings.Replace(text(t, o, "[limits]\nconnections = 2\n[transparent]\naddress = \"127.0.0.1:0\"\n"), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1)
			r := run(t, file)
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(r.force.Load().authority.PEM())
			proxy, at := way(r)
			client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
			defer client.CloseIdleConnections()
			var bodies []io.ReadCloser
			for i, want := range []int{200, 200, 429, 429} {
				resp, err := client.Get("https://" + at + o.blob())
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if resp.StatusCode != want || resp.ProtoMajor != 2 {
					t.Errorf("request %d: %s %s", i, resp.Proto, resp.Status)
				}
				if resp.StatusCode == http.StatusOK {
					bodies = append(bodies, resp.Body)
				}
			}
			close(o.gate)
			for _, b := range bodies {
				if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, o.layer) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
			waitFor(t, func() bool {
				resp, err := client.Get("https://" + at + o.blob())
				if err == nil {
					resp.Body.Close()
				}
				n, _ := r.places.Len()
				return err == nil && resp.StatusCode == http.StatusOK && n <= 1
			})
		})
	}
}

// An address that the file names is meant; one that a registry sends its clients to, or
// that a name turns out to have, is not.
func TestOnlyTheAddressThatWasWrittenIsDialledThoughItIsNotPublic(t *testing.T) {
	for name, address := range map[string]string{"another address": "127.0.0.2:0", "another port": "127.0.0.1:0"} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t)
			var asked atomic.Int64
			inside := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Write(o.layer)
			}))
			inside.Listener.Close()
			var err error
			if inside.Listener, err = net.Listen("tcp", address); err != nil {
				t.Fatal(err)
			}
			inside.Start()
			defer inside.Close()
			o.redirect = inside.URL + "/secret"
			r := run(t, text(t, o, ""))
			if status, body := get(t, r.url(o.blob())); status < 500 || asked.Load() != 0 {
				t.Errorf("%d, and the address inside was asked %d times: %.100s", status, asked.Load(), body)
			}
			if status, _ := get(t, r.url("/v2/app/manifests/1")); status != 200 {
				t.Errorf("the address that was written is not dialled: %d", status)
			}
		})
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}

// What curl fetches from a mirror that it does not trust yet is held against a sum that
// the mirror's own host has told.
func TestAScriptIsServedAsItsSumSays(t *testing.T) {
	o := newOrigin(t)
	r := run(t, strings.Replace(text(t, o, "[transparent]\naddress = \"127.0.0.1:0\"\n"), "[[upstream]]", "tls = \"self\"\n[[upstream]]", 1))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	f, host := r.force.Load(), r.Addrs()[0].String()
	told := Told(f.cfg, f.cfg.Listeners[0], host, f.authority.PEM())
	for _, name := range trust.Names(told) {
		resp, err := client.Get("https://" + host + "/setup/" + name + ".sh")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		sum := sha256.Sum256(body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(told.Command(name), hex.EncodeToString(sum[:])) {
			t.Errorf("%s: %d, %v, %s\n%s", name, resp.StatusCode, err, told.Command(name), body)
		}
	}
	if len(trust.Names(told)) != 6 {
		t.Errorf("there are %v", trust.Names(told))
	}
}

func TestTheTransparentWayIsToldAsItsClientsReachIt(t *testing.T) {
	for _, x := range [][3]string{
		{":3128", "mirror.example.com:5000", "mirror.example.com:3128"},
		{"0.0.0.0:3128", "192.0.2.7", "192.0.2.7:3128"},
		{"[::]:3128", "[2001:db8::7]:5000", "[2001:db8::7]:3128"},
		{":3128", "[2001:db8::7]", "[2001:db8::7]:3128"},
		{"192.0.2.9:3128", "mirror.example.com:5000", "192.0.2.9:3128"},
		{"127.0.0.1:3128", "mirror.example.com:5000", ""},
		{"127.0.0.1:3128", "localhost:5000", "127.0.0.1:3128"},
		{"proxy.example.com:3128", "mirror.example.com:5000", "proxy.example.com:3128"},
	} {
		if got := transparentAt(x[0], x[1]); got != x[2] {
			t.Errorf("of %s, clients of %s are told %q, want %q", x[0], x[1], got, x[2])
		}
	}
}
