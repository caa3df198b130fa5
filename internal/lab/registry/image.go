//go:build linux

package registry

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"time"
)

// mediaTypes are those of an image's parts.
type mediaTypes struct{ manifest, list, config, layer string }

// dockerTypes are those of Docker's image manifest, version 2, schema 2.
func dockerTypes() mediaTypes {
	const docker = "application/vnd.docker."
	return mediaTypes{
		manifest: docker + "distribution.manifest.v2+json",
		list:     docker + "distribution.manifest.list.v2+json",
		config:   docker + "container.image.v1+json",
		layer:    docker + "image.rootfs.diff.tar.gzip",
	}
}

// ociTypes are those of the OCI's image specification.
func ociTypes() mediaTypes {
	const oci = "application/vnd.oci.image."
	return mediaTypes{manifest: oci + "manifest.v1+json", list: oci + "index.v1+json", config: oci + "config.v1+json", layer: oci + "layer.v1.tar+gzip"}
}

// Layer is one layer of an image: its packed bytes and the digest unpacked.
type Layer struct {
	packed []byte
	diffID string
}

// Image is what was pushed.
type Image struct {
	Repository, Tag string
	// Digest is that of the manifest.
	Digest string
	// Config is the digest of its configuration, by which Docker and containerd know it.
	Config string
	// Layers are the digests of the blobs, as they are sent.
	Layers []string
	// Size is the sum of all blobs' bytes, as they are sent.
	Size int64

	manifest []byte
}

// descriptor points from a manifest to a blob, or from a list to a manifest.
type descriptor struct {
	MediaType string    `json:"mediaType"`
	Size      int       `json:"size"`
	Digest    string    `json:"digest"`
	Platform  *platform `json:"platform,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// Push puts an image into the registry, for this machine's processor.
func (r *Registry) Push(t testing.TB, repository, tag string, command []string, layers ...Layer) Image {
	t.Helper()
	return r.push(t, repository, tag, runtime.GOARCH, command, layers)
}

func (r *Registry) push(t testing.TB, repository, tag, processor string, command []string, layers []Layer) Image {
	t.Helper()
	image := Image{Repository: repository, Tag: tag}
	diffIDs := make([]string, 0, len(layers))
	blobs := make([]descriptor, 0, len(layers))
	for _, l := range layers {
		d := r.putBlob(t, repository, r.types.layer, l.packed)
		diffIDs, blobs = append(diffIDs, l.diffID), append(blobs, d)
		image.Layers = append(image.Layers, d.Digest)
		image.Size += int64(d.Size)
	}
	config := r.putBlob(t, repository, r.types.config, marshal(t, map[string]any{
		"architecture": processor, "os": "linux", "created": "2026-01-01T00:00:00Z",
		"config": map[string]any{"Cmd": command},
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	}))
	image.Config, image.Size = config.Digest, image.Size+int64(config.Size)
	image.manifest = marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": r.types.manifest, "config": config, "layers": blobs,
	})
	image.Digest = digest(image.manifest)
	r.send(t, repository, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, r.types.manifest, image.manifest)
	return image
}

// PushList gives the tag to a list of platforms, as images of Docker Hub have it: this
// machine's, for which it names the image, and another. It returns the list's digest.
func (r *Registry) PushList(t testing.TB, image Image, tag string) string {
	t.Helper()
	const foreign = "s390x"
	other := r.push(t, image.Repository, tag+"-"+foreign, foreign, nil, []Layer{Noise(t, 9, 1000)})
	list := marshal(t, map[string]any{
		"schemaVersion": 2, "mediaType": r.types.list,
		"manifests": []descriptor{
			{r.types.manifest, len(other.manifest), other.Digest, &platform{foreign, "linux"}},
			{r.types.manifest, len(image.manifest), image.Digest, &platform{runtime.GOARCH, "linux"}},
		},
	})
	r.send(t, image.Repository, http.MethodPut, "/v2/"+image.Repository+"/manifests/"+tag, r.types.list, list)
	return digest(list)
}

// putBlob uploads a blob in one piece.
func (r *Registry) putBlob(t testing.TB, repository, mediaType string, blob []byte) descriptor {
	t.Helper()
	d := descriptor{MediaType: mediaType, Size: len(blob), Digest: digest(blob)}
	begun := r.send(t, repository, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil)
	location, err := begun.Location()
	if err != nil {
		t.Fatal(err)
	}
	query := location.Query()
	query.Set("digest", d.Digest)
	location.RawQuery = query.Encode()
	r.send(t, repository, http.MethodPut, location.RequestURI(), "application/octet-stream", blob)
	return d
}

// send makes one request to docker-registry, from its own host and past the front,
// with what lets it push.
func (r *Registry) send(t testing.TB, repository, method, path, contentType string, body []byte) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+loopback+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if r.tokens != nil {
		token, err := r.tokens.token(access{"repository", repository, []string{"pull", "push", "delete"}})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for name, password := range r.users {
		req.SetBasicAuth(name, password)
	}
	req.Header.Set("Content-Type", contentType)
	transport := &http.Transport{DialContext: r.Host.DialContext}
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

// Noise is a layer of one file of random bytes that no compression makes smaller. The
// same seed gives the same layer.
func Noise(t testing.TB, seed byte, size int) Layer {
	t.Helper()
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(noise)
	return NewLayer(t, "filler", noise, 0o644)
}

// NewLayer packs one file at the root of the image.
func NewLayer(t testing.TB, name string, content []byte, mode int64) Layer {
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
	return Layer{packed.Bytes(), digest(plain.Bytes())}
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
