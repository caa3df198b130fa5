//go:build linux

package dockerhub

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/lab"
)

func TestARateOfTwoMegabytesASecondHoldsDuringAPull(t *testing.T) {
	const (
		rate  = 2e6       // bytes per second
		first = 3_000_000 // well behind the burst, which is let through at once
		last  = 23_500_000
	)
	s := newStory(t, "the rate limit during a pull", "ss")
	p := s.sluice(t, "--allow", s.blocked.Prefix().String(), "--to", "@docker-hub", "--rate", "2MB/s")
	d := s.docker(t, proxied(p, "http")...)

	meter := newMeter(s.blocked, p)
	pulled := make(chan error, 1)
	go func() {
		_, err := d.Docker(t, "pull", "hello-world")
		pulled <- err
	}()
	var from, to sample
	for running := true; running; {
		select {
		case err := <-pulled:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		case <-time.After(50 * time.Millisecond):
		}
		now := meter.read(t)
		if now.bytes >= first && from.bytes == 0 {
			from = now
		}
		if now.bytes <= last {
			to = now
		}
	}
	bytes, seconds := float64(to.bytes-from.bytes), to.at.Sub(from.at).Seconds()
	t.Logf("%.0f bytes in %.2f s: %.3f MB/s", bytes, seconds, bytes/seconds/1e6)
	if bytes < 20e6 {
		t.Fatalf("only %.0f bytes were measured", bytes)
	}
	if off := bytes/seconds/rate - 1; off < -0.05 || off > 0.05 {
		t.Errorf("the rate is %.3f MB/s, %.1f %% off", bytes/seconds/1e6, 100*off)
	}
}

// meter adds up what the TCP connections of a host have received from a proxy.
// The kernel counts it for each socket (tcpi_bytes_received), payload only.
type meter struct {
	host    *lab.Host
	proxy   *lab.Proxy
	sockets map[string]int64 // by local address, for those closed since too
}

type sample struct {
	at    time.Time
	bytes int64
}

func newMeter(h *lab.Host, p *lab.Proxy) *meter {
	return &meter{host: h, proxy: p, sockets: make(map[string]int64)}
}

var received = regexp.MustCompile(`bytes_received:(\d+)`)

func (m *meter) read(t *testing.T) sample {
	t.Helper()
	list := m.host.Output(t, "ss", "--tcp", "--info", "--numeric", "--no-header", "--oneline", "dst", m.proxy.Addr().String())
	now := sample{at: time.Now()}
	for line := range strings.Lines(list) {
		fields, count := strings.Fields(line), received.FindStringSubmatch(line)
		if len(fields) < 4 || count == nil {
			continue
		}
		n, err := strconv.ParseInt(count[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		m.sockets[fields[3]] = n
	}
	for _, n := range m.sockets {
		now.bytes += n
	}
	return now
}
