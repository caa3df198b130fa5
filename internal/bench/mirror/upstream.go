//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// manifestType is the media type of the image's manifest.
const manifestType = "application/vnd.docker.distribution.manifest.v2+json"

// layers is how many layers the image has.
const layers = 4

// upstream is a registry that has one image in memory, as bench/image:latest, and counts
// what it sends. Anybody may pull, and blobs are not elsewhere.
type upstream struct {
	port     int
	manifest []byte
	blobs    map[string][]byte // by digest
	order    []string          // the digests as the manifest has them
	size     int64             // bytes of all blobs

	sent   atomic.Int64
	server *http.Server
}

const repository = "/v2/bench/image/"

// newUpstream starts one on loopback, whose image has layers of some bytes of noise.
func newUpstream(layer int) (*upstream, error) {
	u := &upstream{blobs: make(map[string][]byte)}
	noise := rand.NewChaCha8([32]byte{1})
	var list []map[string]any
	for i := range layers + 1 {
		blob := make([]byte, layer)
		kind := "application/vnd.docker.image.rootfs.diff.tar.gzip"
		if i == 0 {
			blob, kind = make([]byte, 4000), "application/vnd.docker.container.image.v1+json"
		}
		_, _ = noise.Read(blob)
		digest := digestOf(blob)
		u.blobs[digest], u.order, u.size = blob, append(u.order, digest), u.size+int64(len(blob))
		list = append(list, map[string]any{"mediaType": kind, "size": len(blob), "digest": digest})
	}
	var err error
	if u.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": list[0], "layers": list[1:],
	}); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u.port = l.Addr().(*net.TCPAddr).Port
	u.server = &http.Server{Handler: u}
	go u.server.Serve(l)
	return u, nil
}

func digestOf(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

func (u *upstream) close() { u.server.Close() }

// ServeHTTP answers the pull side of the distribution specification.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.URL.Path == "/v2/" {
		return
	}
	path, _ := strings.CutPrefix(r.URL.Path, repository)
	kind, reference, _ := strings.Cut(path, "/")
	body := u.blobs[reference]
	w.Header().Set("Content-Type", "application/octet-stream")
	if kind == "manifests" && (reference == "latest" || reference == digestOf(u.manifest)) {
		body, reference = u.manifest, digestOf(u.manifest)
		w.Header().Set("Content-Type", manifestType)
	}
	if body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Docker-Content-Digest", reference)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	http.ServeContent(&counted{w, &u.sent}, r, "", time.Time{}, bytes.NewReader(body))
}

// counted counts what is written of a body.
type counted struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.sent.Add(int64(n))
	return n, err
}
