//go:build linux

package dockerhub

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"sluice/internal/lab"
)

// Media types of Docker's image manifest, version 2, schema 2.
const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	configType   = "application/vnd.docker.container.image.v1+json"
	layerType    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// FillerSize is the size in bytes of the layer that makes the hello-world image
// long enough to time its pull.
const FillerSize = 24_000_000

// Greeting is the first line that the hello-world image prints.
const Greeting = "Hello from the lab's Docker Hub!"

// layer is one layer of an image: its packed bytes and the digest unpacked.
type layer struct {
	packed []byte
	diffID string
}

// descriptor points from a manifest to a blob.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

// PushHello puts library/hello-world:latest into the registry: a static program
// that greets, and a layer of random bytes that no compression makes smaller.
func (h *Hub) PushHello(t testing.TB) {
	t.Helper()
	filler := make([]byte, FillerSize)
	// Of a fixed seed, so that every run has the same image.
	_, _ = rand.NewChaCha8([32]byte{}).Read(filler)
	h.Push(t, "library/hello-world", "latest", []string{"/hello"},
		newLayer(t, "hello", helloProgram(t), 0o755), newLayer(t, "filler", filler, 0o644))
}

// Push puts an image into the registry. Any pull of it ends at the CDN.
func (h *Hub) Push(t testing.TB, repository, tag string, command []string, layers ...layer) {
	t.Helper()
	diffIDs := make([]string, 0, len(layers))
	blobs := make([]descriptor, 0, len(layers))
	for _, l := range layers {
		diffIDs = append(diffIDs, l.diffID)
		blobs = append(blobs, h.putBlob(t, repository, layerType, l.packed))
	}
	config := marshal(t, map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config": map[string]any{"Cmd": command},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	manifest := marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": h.putBlob(t, repository, configType, config), "layers": blobs,
	})
	h.send(t, repository, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, manifestType, manifest)
}

// putBlob uploads a blob in one piece.
func (h *Hub) putBlob(t testing.TB, repository, mediaType string, blob []byte) descriptor {
	t.Helper()
	d := descriptor{mediaType, len(blob), digest(blob)}
	begun := h.send(t, repository, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil)
	location, err := begun.Location()
	if err != nil {
		t.Fatal(err)
	}
	query := location.Query()
	query.Set("digest", d.Digest)
	location.RawQuery = query.Encode()
	h.send(t, repository, http.MethodPut, location.RequestURI(), "application/octet-stream", blob)
	return d
}

// send makes one request to the registry, from the registry's own host, with a
// token that may push.
func (h *Hub) send(t testing.TB, repository, method, path, contentType string, body []byte) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+RegistryName+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := h.tokens.token(access{"repository", repository, []string{"pull", "push"}})
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", contentType)
	transport := &http.Transport{DialContext: h.Registry.DialContext, TLSClientConfig: &tls.Config{RootCAs: h.CA.Pool()}}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return resp
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

// newLayer packs one file at the root of the image.
func newLayer(t testing.TB, name string, content []byte, mode int64) layer {
	t.Helper()
	var plain, packed bytes.Buffer
	archive := tar.NewWriter(&plain)
	head := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0)}
	if err := archive.WriteHeader(head); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	gz := gzip.NewWriter(&packed)
	if _, err := gz.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return layer{packed.Bytes(), digest(plain.Bytes())}
}

func digest(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
