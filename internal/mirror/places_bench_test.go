package mirror

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"sluice/internal/limit"
	"sluice/internal/mirror/settings"
)

// BenchmarkARequestWithoutAPlace is what one costs that comes over HTTP/2 beyond its
// client's places.
func BenchmarkARequestWithoutAPlace(b *testing.B) {
	cfg, err := settings.Parse("mirror.toml", []byte("[[listener]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"\"\n"), settings.Flags{Cache: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(cfg, Options{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	l := s.force.Load().listeners[0]
	conn, err := net.Dial("tcp", l.net.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	p := &placed{TCPConn: conn.(*net.TCPConn)}
	p.streams.Store(1)
	for reason := limit.Admitted; reason == limit.Admitted; {
		_, reason = s.places.Enter(netip.MustParseAddr("127.0.0.1"))
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/library/alpine/blobs/sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", http.NoBody)
	r.RemoteAddr, r.ProtoMajor = "127.0.0.1:5555", 2
	r.Header.Set("User-Agent", "containerd/2.0.0")
	r = r.WithContext(context.WithValue(r.Context(), placedKey{}, p))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		l.server.(*pullServer).ServeHTTP(w, r)
		if w.Code != http.StatusTooManyRequests {
			b.Fatal(w.Code)
		}
	}
}
