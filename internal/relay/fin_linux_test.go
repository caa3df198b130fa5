package relay

import (
	"io"
	"net"
	"sync"
	"testing"

	"sluice/internal/lab"
)

// Both sides send their FIN at the same time: neither is a reset, which would let
// the other lose what it has not read yet.
func TestTwoEndsAtOnceAreNoReset(t *testing.T) {
	inBothModes(t, func(t *testing.T, p *Poller) {
		for i := range 500 {
			tun := &tunnel{result: make(chan Result, 1)}
			near, client := lab.Connected(t)
			out, origin := lab.Connected(t)
			tun.Start(near, out, Options{Poller: p}, func(r Result) { tun.result <- r })
			var ends sync.WaitGroup
			for _, c := range []*net.TCPConn{client, origin} {
				ends.Go(func() {
					c.CloseWrite()
					if _, err := io.Copy(io.Discard, c); err != nil {
						t.Errorf("tunnel %d: %v", i, err)
					}
					c.Close()
				})
			}
			ends.Wait()
			if r := tun.ended(t); r.How != ByFIN {
				t.Fatalf("tunnel %d: %+v", i, r)
			}
		}
	})
}
