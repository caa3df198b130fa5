package server

import (
	"strings"
	"testing"

	"sluice/internal/config"
)

func TestConnectionsCannotUseUpTheDescriptors(t *testing.T) {
	for _, c := range []struct {
		descriptors         uint64
		handshakes, tunnels int // configured
		wantHandshakes      int
		wantTunnels         int
		warn                string
	}{
		{descriptors: 0, wantHandshakes: 4096, wantTunnels: 20000},
		{descriptors: 1 << 20, wantHandshakes: 4096, wantTunnels: 20000},
		{descriptors: 1 << 20, tunnels: 300000, handshakes: 50000, wantHandshakes: 50000, wantTunnels: 300000},
		{descriptors: 1024, wantHandshakes: 128, wantTunnels: 416},
		{descriptors: 1024, tunnels: 100, wantHandshakes: 128, wantTunnels: 100},
		{descriptors: 1024, handshakes: 200, wantHandshakes: 200, wantTunnels: 380},
		{descriptors: 1024, tunnels: 1000, wantHandshakes: 128, wantTunnels: 416, warn: "max_tunnels is 1000, but RLIMIT_NOFILE, which is 1024, has room for 416 only"},
		{descriptors: 1024, handshakes: 900, wantHandshakes: 480, wantTunnels: 240, warn: "max_handshakes is 900"},
		{descriptors: 64, wantHandshakes: 8, wantTunnels: 12},
		{descriptors: 8, wantHandshakes: 1, wantTunnels: 1},
	} {
		cfg := &config.Config{Server: config.Server{MaxHandshakes: c.handshakes, MaxTunnels: c.tunnels}}
		r := roomFor(cfg, c.descriptors)
		if r.handshakes != c.wantHandshakes || r.tunnels != c.wantTunnels {
			t.Errorf("%+v: %d handshakes and %d tunnels", c, r.handshakes, r.tunnels)
		}
		if got := strings.Join(r.warnings, "; "); (got != "") != (c.warn != "") || !strings.Contains(got, c.warn) {
			t.Errorf("%+v: warnings %q", c, got)
		}
		if c.descriptors >= 64 && (r.extra < extraLeast || r.extra > int(c.descriptors/processShare)+extraLeast) {
			t.Errorf("%+v: %d for dials", c, r.extra)
		}
		if n := uint64(r.handshakes + 2*r.tunnels); c.descriptors >= 64 && n > c.descriptors-processLeast {
			t.Errorf("%+v: connections may take %d", c, n)
		}
	}
}
