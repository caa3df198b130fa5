//go:build linux

// Package registry runs registries in the lab, and puts images into them.
//
// Each is Debian's docker-registry behind a small front of this package, which has
// the TLS, counts what comes, and can be told to answer by itself. As the registries
// of the Internet do, it may want tokens, which another host or the front gives out
// ([Tokens]), or a name and a password, and may send those who ask for a blob to
// another host ([Blobs]).
//
// Who pulls, and by what way, is left to the users of the package; dockerhub has one
// that plays Docker Hub.
package registry

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"text/template"

	"golang.org/x/crypto/bcrypt"

	"sluice/internal/lab"
)

// Options say how a registry behaves. The zero value, with a name, gives everything to
// everybody.
type Options struct {
	// Name is what images are called by: the host's name in the lab and on its
	// certificate.
	Name string
	// Blobs has the blobs to which a GET is redirected; nil: the registry sends them.
	Blobs *Blobs
	// Tokens decides who may pull; nil: no token is asked for.
	Tokens *Tokens
	// Realm is the URL at which there are tokens. With the registry's own name in it,
	// the front gives them out.
	Realm string
	// Users have passwords, by name: the registry wants one of them by Basic, for all
	// it has. Not together with Tokens.
	Users map[string]string
	// OCI says that images are in the OCI's own format, and not in Docker's.
	OCI bool
}

// Registry is one that runs.
type Registry struct {
	// Host is where it stands.
	Host *lab.Host
	// Name is what images are called by.
	Name string
	// Front counts what reaches it.
	Front *lab.Origin

	types   mediaTypes
	tokens  *Tokens
	users   map[string]string
	instead atomic.Pointer[Answer]
}

// loopback is where docker-registry listens, for the front alone.
const loopback = "127.0.0.1:5000"

// configuration is what docker-registry is started with. With the redirect middleware it
// answers a GET of a blob by the blob's path in the storage directory below the base
// URL.
var configuration = template.Must(template.New("config.yml").Parse(`
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {{.Storage}}
  delete:
    enabled: true
{{- with .Blobs}}
middleware:
  storage:
    - name: redirect
      options:
        baseurl: https://{{.Name}}/
{{- end}}
http:
  addr: ` + loopback + `
  relativeurls: true
  secret: the lab has no secrets
{{- if .Tokens}}
auth:
  token:
    realm: {{.Realm}}
    service: {{.Tokens.Service}}
    issuer: {{.Tokens.Issuer}}
    rootcertbundle: {{.CA}}
{{- else if .Users}}
auth:
  htpasswd:
    realm: {{.Name}}
    path: {{.Htpasswd}}
{{- end}}
`))

// Start puts a registry on port 443 of the host, with a certificate of ca, and its name
// into the lab.
func Start(t testing.TB, n *lab.Net, host *lab.Host, ca *lab.CA, o Options) *Registry {
	t.Helper()
	dir := filepath.Join(n.Dir(), "registry-"+host.Name())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	storage := filepath.Join(dir, "storage")
	if o.Blobs != nil {
		storage = o.Blobs.dir
	}
	config := filepath.Join(dir, "config.yml")
	f, err := os.Create(config)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = configuration.Execute(f, struct {
		Options
		Storage, CA, Htpasswd string
	}{o, storage, ca.File(), Htpasswd(t, dir, o.Users)})
	if err != nil {
		t.Fatal(err)
	}
	host.Start(t, "docker-registry", "serve", config).WaitListen(t, 5000)

	r := &Registry{Host: host, Name: o.Name, types: dockerTypes(), tokens: o.Tokens, users: o.Users}
	if o.OCI {
		r.types = ociTypes()
	}
	n.Name(t, o.Name, host.Addr())
	r.Front = lab.ServeHTTPS(t, host, ":443", ca, []string{o.Name}, r.front(t, o))
	return r
}

func (r *Registry) front(t testing.TB, o Options) http.Handler {
	t.Helper()
	transport := &http.Transport{DialContext: r.Host.DialContext, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: loopback})
			p.Out.Host = p.In.Host
		},
		Transport: transport,
	})
	if realm, err := url.Parse(o.Realm); err == nil && o.Tokens != nil && realm.Hostname() == o.Name {
		mux.Handle(realm.Path, o.Tokens)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if answer := r.instead.Load(); answer == nil || !(*answer)(w, req) {
			mux.ServeHTTP(w, req)
		}
	})
}

// Answer answers a request, or says that it does not.
type Answer func(http.ResponseWriter, *http.Request) bool

// Instead has the front answer by itself, from now on; nil: no more.
func (r *Registry) Instead(answer Answer) {
	if answer == nil {
		r.instead.Store(nil)
		return
	}
	r.instead.Store(&answer)
}

// Htpasswd writes names and passwords to a file below dir, as bcrypt, and returns its
// path.
func Htpasswd(t testing.TB, dir string, users map[string]string) string {
	t.Helper()
	path := filepath.Join(dir, "htpasswd")
	var lines []byte
	for name, password := range users {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		lines = fmt.Appendf(lines, "%s:%s\n", name, hash)
	}
	if err := os.WriteFile(path, lines, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
