package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/internal/mirror/oci"
)

// A power cut leaves no file under a digest's name that has not all its bytes: what has
// got its name has been written.
func TestWhatHasItsNameIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	if pages, err := cachedPages(written(t, dir)); err != nil || pages.Dirty == 0 {
		t.Skipf("left out: whether content is on disk, for the system does not tell of files here (%v)", err)
	}
	s := open(t, dir+"/cache", 100<<20)
	for _, size := range []int{500, 8 << 20} {
		content := noise(uint64(size), size)
		mustFetch(t, s, content)
		pages, err := cachedPages(filepath.Join(dir, "cache", filepath.FromSlash(blobPath(oci.FromBytes(content)))))
		if err != nil {
			t.Fatal(err)
		}
		if pages.Dirty > 0 || pages.Writeback > 0 {
			t.Errorf("of %d bytes, %d pages are not on disk, and %d on their way", size, pages.Dirty, pages.Writeback)
		}
	}
}

// written returns a file that the kernel has been given, and no more.
func written(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "written")
	if err := os.WriteFile(name, noise(1, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// cachedPages is what the kernel has of a file in memory (cachestat(2), Linux 6.5).
func cachedPages(name string) (pages unix.Cachestat_t, err error) {
	f, err := os.Open(name)
	if err != nil {
		return pages, err
	}
	err = unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &pages, 0)
	return pages, errors.Join(err, f.Close())
}
