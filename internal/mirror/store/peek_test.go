//go:build unix

package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/mirror/oci"
)

func TestALookIsNoUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1<<30)
	old, young := []byte(`{"old":1}`), []byte(`{"young":1}`)
	for _, body := range [][]byte{old, young} {
		if err := s.Put(oci.FromBytes(body), body); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if body, ok := s.Peek(oci.FromBytes(old), 1000); !ok || string(body) != string(old) {
		t.Fatalf("%q, %v", body, ok)
	}
	if list := s.List(); list[0].Digest != oci.FromBytes(young) {
		t.Error("a look has made it the one used last")
	}
	if _, ok := s.Peek(oci.FromBytes(old), 3); ok {
		t.Error("more was read than was allowed")
	}
	if _, ok := s.Peek(oci.FromBytes([]byte("nothing")), 1000); ok {
		t.Error("what is not kept was read")
	}
	if err := os.WriteFile(filepath.Join(dir, blobPath(oci.FromBytes(old))), []byte(`{"bad":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if body, ok := s.Peek(oci.FromBytes(old), 1000); ok {
		t.Errorf("damaged content was read: %s", body)
	}
}
