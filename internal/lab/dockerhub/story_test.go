//go:build linux

package dockerhub

import (
	"bufio"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// story is the lab that all tests here play in.
type story struct {
	net     *lab.Net
	hub     *Hub
	relay   *lab.Host // reaches everything
	blocked *lab.Host // does not reach the CDN
}

// newStory makes the lab with the image in the hub. part says what is left out
// where the machine cannot have it.
func newStory(t *testing.T, part string, programs ...string) *story {
	t.Helper()
	needed := append([]string{"dockerd", "docker", "containerd", "runc", "docker-registry"}, programs...)
	lab.Need(t, lab.Needs{Root: true, Programs: needed, Part: part})
	n := lab.New(t)
	s := &story{net: n, hub: Start(t, n)}
	s.relay = n.Host(t, "relay", netip.MustParsePrefix("198.18.0.2/15"))
	s.blocked = n.Host(t, "blocked", netip.MustParsePrefix("198.18.0.10/15"))
	// The CDN's answers are lost, so the blocked host waits in vain.
	s.hub.CDN.Blackhole(t, s.blocked.Prefix())
	s.hub.PushHello(t)
	return s
}

// sluice runs the proxy on the relay. The lab's addresses are not public, so it
// is told that they may be dialled.
func (s *story) sluice(t *testing.T, args ...string) *lab.Proxy {
	t.Helper()
	return lab.StartSluice(t, s.relay, append(args, "--allow-private", lab.Range)...)
}

// docker runs the blocked host's dockerd with lines in its environment. Its
// downloads are tried once, so that a failure does not take minutes.
func (s *story) docker(t *testing.T, lines ...string) *Docker {
	t.Helper()
	return StartDocker(t, s.net, s.blocked, s.hub.CA, lines, "--max-download-attempts=1")
}

// sysconfig is the environment that examples/etc-sysconfig-docker gives, as it
// stands; the name of the relay in it is made to mean the lab's relay.
func (s *story) sysconfig(t *testing.T) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(lab.Root(t), "examples", "etc-sysconfig-docker"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		lines = append(lines, line)
		if value, ok := strings.CutPrefix(line, "HTTPS_PROXY="); ok {
			proxy, err := url.Parse(value)
			if err != nil {
				t.Fatal(err)
			}
			s.net.Name(t, proxy.Hostname(), s.relay.Addr())
		}
	}
	return lines
}

// proxied is the environment that sends a daemon through the proxy.
func proxied(p *lab.Proxy, scheme string) []string {
	return []string{"HTTP_PROXY=" + p.URL(scheme), "HTTPS_PROXY=" + p.URL(scheme)}
}

// toCDN picks the records of tunnels from the blocked host to the blobs.
func (s *story) toCDN(r lab.Record) bool {
	return r.Has(map[string]string{"client": s.blocked.Addr().String(), "host": BlobName, "port": "443"})
}
