//go:build linux

package clients

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
)

// imageNoise is the size in bytes of the part of the image's layer that does
// not compress.
const imageNoise = 8 << 20

// descriptor is OCI's content descriptor.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// imageLayout writes an image of one layer as an OCI layout into a new
// directory and returns it with the manifest's digest.
func imageLayout(t *testing.T) (dir, digest string) {
	t.Helper()
	dir = t.TempDir()
	put := func(kind string, body []byte) descriptor {
		d := descriptor{"application/vnd.oci.image." + kind, "sha256:" + sum256(body), len(body)}
		write(t, filepath.Join(dir, "blobs/sha256", d.Digest[len("sha256:"):]), string(body))
		return d
	}
	plain := tarball(t, []file{
		{"greeting", greeting},
		{"noise", string(noiseBytes(3, imageNoise))},
	})
	layer := put("layer.v1.tar+gzip", gzipped(t, plain))
	config := put("config.v1+json", fmt.Appendf(nil,
		`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}`, sum256(plain)))
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     "application/vnd.oci.image.manifest.v1+json",
		"config":        config,
		"layers":        []descriptor{layer},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := put("manifest.v1+json", manifest)
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{m}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "index.json"), string(index))
	write(t, filepath.Join(dir, "oci-layout"), `{"imageLayoutVersion":"1.0.0"}`)
	return dir, m.Digest
}
