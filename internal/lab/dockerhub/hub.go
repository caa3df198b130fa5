//go:build linux

// Package dockerhub plays Docker Hub in the lab, for the story that Sluice is
// made for: a Docker host that reaches the registry and cannot reach the blobs.
//
// As on Docker Hub, three names take part in a pull: registry-1.docker.io has
// the manifests and wants a token, auth.docker.io gives it, and every blob is a
// redirect to production.cloudflare.docker.com, which stands on another address.
// The registry is Debian's docker-registry; token and blob servers are small
// servers of this package. All have certificates of the lab's own CA, which a
// client gets by SSL_CERT_FILE.
//
// [Docker] runs a dockerd on a host of the lab. The tests of this package are
// the story.
package dockerhub

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"text/template"

	"sluice/internal/lab"
)

// The names that a pull from Docker Hub asks for.
const (
	RegistryName = "registry-1.docker.io"
	AuthName     = "auth.docker.io"
	BlobName     = "production.cloudflare.docker.com"
)

// Hub is a running Docker Hub.
type Hub struct {
	// Registry, Auth and CDN are the hosts behind the three names.
	Registry, Auth, CDN *lab.Host
	// CA signed the certificates of all three.
	CA *lab.CA
	// Blobs is the CDN's web server.
	Blobs *lab.Origin

	tokens *tokenServer
}

// registryConfig is what docker-registry is started with. With the redirect
// middleware it answers a GET of a blob by the blob's path in the storage
// directory below the base URL, and the CDN serves that very directory.
var registryConfig = template.Must(template.New("config.yml").Parse(`
version: 0.1
log:
  level: warn
storage:
  filesystem:
    rootdirectory: {{.Storage}}
middleware:
  storage:
    - name: redirect
      options:
        baseurl: https://{{.BlobName}}/
http:
  addr: {{.Addr}}:443
  secret: the lab has no secrets
  tls:
    certificate: {{.Pair.CertFile}}
    key: {{.Pair.KeyFile}}
auth:
  token:
    realm: https://{{.AuthName}}/token
    service: {{.Service}}
    issuer: {{.AuthName}}
    rootcertbundle: {{.CA}}
`))

// Start puts a Docker Hub on the wire, at 198.18.1.1 (registry), 198.18.1.2
// (tokens) and 198.18.2.1 (blobs), under its real names.
func Start(t testing.TB, n *lab.Net) *Hub {
	t.Helper()
	h := &Hub{
		Registry: n.Host(t, "registry", netip.MustParsePrefix("198.18.1.1/15")),
		Auth:     n.Host(t, "auth", netip.MustParsePrefix("198.18.1.2/15")),
		CDN:      n.Host(t, "cdn", netip.MustParsePrefix("198.18.2.1/15")),
		CA:       lab.NewCA(t),
	}
	n.Name(t, RegistryName, h.Registry.Addr())
	n.Name(t, AuthName, h.Auth.Addr())
	n.Name(t, BlobName, h.CDN.Addr())

	h.tokens = newTokenServer(h.CA.Leaf(t, "token signer"))
	lab.ServeHTTPS(t, h.Auth, ":443", h.CA, []string{AuthName}, h.tokens)

	storage := filepath.Join(n.Dir(), "registry")
	if err := os.MkdirAll(storage, 0o755); err != nil {
		t.Fatal(err)
	}
	h.Blobs = lab.ServeHTTPS(t, h.CDN, ":443", h.CA, []string{BlobName}, http.FileServer(http.Dir(storage)))

	config := filepath.Join(n.Dir(), "registry.yml")
	f, err := os.Create(config)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	err = registryConfig.Execute(f, map[string]any{
		"Storage": storage, "BlobName": BlobName, "AuthName": AuthName, "Service": service,
		"Addr": h.Registry.Addr(), "Pair": h.CA.Leaf(t, RegistryName), "CA": h.CA.File(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Registry.Start(t, "docker-registry", "serve", config).WaitListen(t, 443)
	return h
}
