//go:build linux

// Package dockerhub plays Docker Hub in the lab, for the story that Sluice is
// made for: a Docker host that reaches the registry and cannot reach the blobs.
//
// As on Docker Hub, three names take part in a pull: registry-1.docker.io has
// the manifests and wants a token, auth.docker.io gives it, and every blob is a
// redirect to production.cloudflare.docker.com, which stands on another address.
// All have certificates of the lab's own CA, which a client gets by SSL_CERT_FILE.
//
// [Docker] runs a dockerd on a host of the lab. The tests of this package are
// the story.
package dockerhub

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/registry"
)

// The names that a pull from Docker Hub asks for.
const (
	RegistryName = "registry-1.docker.io"
	AuthName     = "auth.docker.io"
	BlobName     = "production.cloudflare.docker.com"
)

// service is what the registry calls itself to the token server.
const service = "registry.docker.io"

// Hub is a running Docker Hub.
type Hub struct {
	// Registry, Auth and CDN are the hosts behind the three names.
	Registry, Auth, CDN *lab.Host
	// CA signed the certificates of all three.
	CA *lab.CA
	// Blobs is the CDN's web server.
	Blobs *registry.Blobs
	// Images has the images.
	Images *registry.Registry
	// Tokens decides who may pull.
	Tokens *registry.Tokens
	// TokenServer counts who asks it.
	TokenServer *lab.Origin
}

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
	n.Name(t, AuthName, h.Auth.Addr())
	h.Tokens = registry.NewTokens(t, h.CA, service, AuthName)
	h.TokenServer = lab.ServeHTTPS(t, h.Auth, ":443", h.CA, []string{AuthName}, h.Tokens)
	h.Blobs = registry.ServeBlobs(t, n, h.CDN, h.CA, BlobName)
	h.Images = registry.Start(t, n, h.Registry, h.CA, registry.Options{
		Name: RegistryName, Blobs: h.Blobs, Tokens: h.Tokens, Realm: "https://" + AuthName + "/token",
	})
	return h
}

// FillerSize is the size in bytes of the layer that makes the hello-world image
// long enough to time its pull.
const FillerSize = 24_000_000

// Greeting is the first line that the hello-world image prints.
const Greeting = "Hello from the lab's Docker Hub!"

// PushHello puts library/hello-world:latest into the registry: a static program
// that greets, and a layer of random bytes that no compression makes smaller. Any
// pull of it ends at the CDN.
func (h *Hub) PushHello(t testing.TB) registry.Image {
	t.Helper()
	return h.Images.Push(t, "library/hello-world", "latest", []string{"/hello"},
		registry.NewLayer(t, "hello", helloProgram(t), 0o755), registry.Noise(t, 0, FillerSize))
}

// helloProgram compiles testdata/hello as a static binary.
func helloProgram(t testing.TB) []byte {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "-ldflags=-s -w", "./internal/lab/dockerhub/testdata/hello")
	cmd.Dir = lab.Root(t)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	text, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
