//go:build linux

package mirror

import (
	"net/netip"
	"testing"

	"sluice/internal/lab"
	"sluice/internal/lab/dockerhub"
	"sluice/internal/lab/registry"
)

// The mirror's host is blocked too, and Sluice is its only way out.
func TestAMirrorThatIsBlockedItselfFetchesThroughSluice(t *testing.T) {
	for _, scheme := range []string{"http", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			s := newSite(t, "a mirror behind Sluice by "+scheme, "skopeo")
			relay := s.net.Host(t, "relay", netip.MustParsePrefix("198.18.0.3/15"))
			for _, h := range []*lab.Host{s.hub.Registry, s.hub.Auth, s.hub.CDN} {
				s.mirror.Prohibit(t, h.Prefix())
			}
			image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 1_000_000))
			sluice := lab.StartSluice(t, relay, "--allow", s.mirror.Prefix().String(), "--to", "@docker-hub", "--allow-private", lab.Range)

			blocked := s.serve(t, plain+admits)
			if out, err := s.pull(t, s.client, "acme/tool:1"); err == nil {
				t.Fatalf("the mirror is not blocked:\n%s", out)
			}
			blocked.Stop()

			m := s.serve(t, plain+admits+"[[upstream]]\nname = \"docker.io\"\ndefault = true\nproxy = \""+sluice.URL(scheme)+"\"\n")
			if got, err := s.pull(t, s.client, "acme/tool:1"); err != nil || got != image.Digest {
				t.Fatalf("it is %s, %v, want %s", got, err, image.Digest)
			}
			m.Stop() // its connections, kept for the next pull, are tunnels until then
			record := sluice.WaitRecord(t, func(r lab.Record) bool {
				return r.String("host") == dockerhub.BlobName && r.Int("bytes_down") > 1_000_000
			})
			if !record.Has(map[string]string{"client": s.mirror.Addr().String(), "decision": "allow", "outcome": "ok"}) {
				t.Errorf("Sluice's record of the layer is %v", record)
			}
		})
	}
}
