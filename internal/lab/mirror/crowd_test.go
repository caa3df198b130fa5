//go:build linux

package mirror

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"sluice/internal/lab/registry"
)

func TestSixteenAtOnceAreOneDownload(t *testing.T) {
	s := newSite(t, "a crowd of clients")
	image := s.hub.Images.Push(t, "acme/tool", "1", nil, registry.Noise(t, 1, 8_000_000), registry.Noise(t, 2, 4_000_000))
	// So slow that all of them come while the first is under way.
	s.hub.Blobs.Limit(6_000_000)
	s.serve(t, plain+admits)
	dir := t.TempDir()
	var crowd sync.WaitGroup
	for i := range 16 {
		crowd.Go(func() {
			tarball := filepath.Join(dir, fmt.Sprintf("%d.tar", i))
			if _, err := s.crane(t, s.client, "pull", mirrorName+":5000/acme/tool:1", tarball); err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			if _, err := s.crane(t, s.client, "validate", "--tarball", tarball); err != nil {
				t.Errorf("client %d has got something else: %v", i, err)
			}
		})
	}
	crowd.Wait()
	// Beside the image itself there are TLS and headers.
	if got := s.hub.Blobs.BytesOut(); got < image.Size || got > image.Size+image.Size/10 {
		t.Errorf("the CDN has sent %d bytes for 16 pulls of %d", got, image.Size)
	}
	if got := s.hub.Blobs.Requests(); got != 3 {
		t.Errorf("the CDN was asked %d times for 3 blobs", got)
	}
}
