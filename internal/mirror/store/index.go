package store

import (
	"container/list"
	"time"

	"sluice/internal/mirror/oci"
)

// entry is the content of one digest: whole, a part of it, or on its way. Its fields
// are the index's, whose lock guards them.
type entry struct {
	digest   oci.Digest
	stored   int64 // bytes on disk
	whole    bool
	mark     string        // of where the part that is here comes from, see markOf
	users    int           // open Contents and checks
	download *download     // under way, or streamed only; nil otherwise
	used     time.Time     // last
	saved    time.Time     // when used was last written to disk
	place    *list.Element // in index.unused; nil: in use

	apart *apartKey // in the Store's apart, not in entries: see FetchFrom; nil: in entries
	spent bool      // of no use but for the readers that it has

	trusted  identity      // of the file whose content was checked; zero: of none
	checking chan struct{} // closed when the check under way has ended; nil: none is
}

// downloading tells whether there is a download that has the content kept.
func (e *entry) downloading() bool { return e.download != nil && !e.download.streamed() }

// verified tells whether there is a download that has all and has checked it.
func (e *entry) verified() bool { return e.downloading() && e.download.progress().verified }

// index knows what is on disk, to the byte, and what may go from it. It does no I/O.
// The Store's mu guards it.
type index struct {
	entries map[oci.Digest]*entry
	// leaving has what was taken out of entries and is being removed from disk; the
	// channel is closed when it has been.
	leaving map[oci.Digest]chan struct{}
	unused  *list.List // of *entry, least recently used first: all that may be evicted

	blobs, partials         int
	blobBytes, partialBytes int64
	unusedBytes             int64 // of unused
	reserved                int64 // bytes that downloads under way have yet to write
}

func newIndex() index {
	return index{entries: make(map[oci.Digest]*entry), leaving: make(map[oci.Digest]chan struct{}), unused: list.New()}
}

func (x *index) bytes() int64 { return x.blobBytes + x.partialBytes }

// resize says how many bytes of an entry are on disk.
func (x *index) resize(e *entry, stored int64) {
	x.count(e, -1)
	e.stored = stored
	x.count(e, 1)
}

// complete says that an entry's file has become a blob.
func (x *index) complete(e *entry) {
	x.count(e, -1)
	e.whole = true
	x.count(e, 1)
}

func (x *index) count(e *entry, sign int) {
	switch {
	case e.whole:
		x.blobs += sign
		x.blobBytes += int64(sign) * e.stored
	case e.stored > 0:
		x.partials += sign
		x.partialBytes += int64(sign) * e.stored
	}
}

// hold keeps an entry from being evicted until it is let go as often.
func (x *index) hold(e *entry) {
	e.users++
	if e.place != nil {
		x.unused.Remove(e.place)
		e.place = nil
		x.unusedBytes -= e.stored
	}
}

// letGo takes back one hold. An entry that nobody uses any more, and that has
// something on disk, can be evicted from then on.
func (x *index) letGo(e *entry) {
	e.users--
	x.settle(e)
}

// settle puts an entry where it belongs after its users or its download are gone.
func (x *index) settle(e *entry) {
	switch {
	case e.users > 0 || e.download != nil || e.place != nil || x.entries[e.digest] != e:
	case e.stored == 0 && !e.whole:
		delete(x.entries, e.digest)
	default:
		x.unusedBytes += e.stored
		for at := x.unused.Back(); at != nil; at = at.Prev() {
			if !at.Value.(*entry).used.After(e.used) {
				e.place = x.unused.InsertAfter(e, at)
				return
			}
		}
		e.place = x.unused.PushFront(e)
	}
}

// take removes an entry, whose file is then removed from disk: who wants the same
// content meanwhile waits for the channel.
func (x *index) take(e *entry) chan struct{} {
	if e.place != nil {
		x.unused.Remove(e.place)
		e.place = nil
		x.unusedBytes -= e.stored
	}
	x.count(e, -1)
	delete(x.entries, e.digest)
	gone := make(chan struct{})
	x.leaving[e.digest] = gone
	return gone
}
