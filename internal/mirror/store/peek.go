//go:build unix

package store

import (
	"io"
	"os"

	"sluice/internal/mirror/oci"
)

// Peek reads small content, such as a manifest, for whoever looks at what is kept: it
// is no use of it. False: it is not kept whole, has more bytes than most, or is not
// what its name says.
func (s *Store) Peek(d oci.Digest, most int64) ([]byte, bool) {
	s.mu.Lock()
	e := s.index.entries[d]
	kept := e != nil && e.whole && e.stored <= most && !s.closed
	s.mu.Unlock()
	if !kept {
		return nil, false
	}
	f, err := s.root.OpenFile(blobPath(d), os.O_RDONLY|nonblocking, 0)
	if err != nil { // gone meanwhile
		return nil, false
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, most))
	return body, err == nil && d.Matches(body)
}
