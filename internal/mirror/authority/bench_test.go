package authority

import (
	"testing"
	"time"

	"sluice/acl"
)

func BenchmarkLeaf(b *testing.B) {
	a := openIn(b, b.TempDir(), configured...)
	h := host(b, "ghcr.io")
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Leaf(h); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.mint([]acl.Host{h}, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
