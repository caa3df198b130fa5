//go:build linux

package registry

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/time/rate"

	"sluice/internal/lab"
)

// Blobs is a host that registries redirect to for blobs, as CDNs are: whoever has the
// URL gets the blob.
type Blobs struct {
	*lab.Origin
	// Name is the host's in the redirects.
	Name string

	dir   string
	limit *rate.Limiter
}

// piece is what the limit of a rate is asked for at a time.
const piece = 64 << 10

// ServeBlobs serves on port 443 of the host, with a certificate of ca.
func ServeBlobs(t testing.TB, n *lab.Net, host *lab.Host, ca *lab.CA, name string) *Blobs {
	t.Helper()
	b := &Blobs{Name: name, dir: filepath.Join(n.Dir(), "blobs-"+host.Name()), limit: rate.NewLimiter(rate.Inf, piece)}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n.Name(t, name, host.Addr())
	files := http.FileServer(http.Dir(b.dir))
	b.Origin = lab.ServeHTTPS(t, host, ":443", ca, []string{name}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// As S3 does to a request that is signed in its URL and has credentials in
		// its header, too. It also shows who gives them to a host that they are not for.
		if r.Header.Get("Authorization") != "" {
			http.Error(w, "one way of authentication only", http.StatusBadRequest)
			return
		}
		files.ServeHTTP(&slow{w, r, b.limit}, r)
	}))
	return b
}

// Limit slows the host down to some bytes per second, for all clients together.
func (b *Blobs) Limit(bytesPerSecond int) { b.limit.SetLimit(rate.Limit(bytesPerSecond)) }

// Unlimit ends that.
func (b *Blobs) Unlimit() { b.limit.SetLimit(rate.Inf) }

type slow struct {
	http.ResponseWriter
	r     *http.Request
	limit *rate.Limiter
}

func (s *slow) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), piece)
		if err := s.limit.WaitN(s.r.Context(), n); err != nil {
			return written, err
		}
		m, err := s.ResponseWriter.Write(p[:n])
		written += m
		if err != nil {
			return written, err
		}
		p = p[n:]
	}
	return written, nil
}
