package store

import (
	"context"
	"io"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
)

// Options say where content is kept and how much of it.
type Options struct {
	// Dir is the directory, made with mode 0700 when it does not exist. It must be
	// the process's own, and no other user may write in it.
	Dir string
	// MaxSize is how many bytes of content may be kept, parts of it included. 0 keeps
	// nothing: all is streamed.
	MaxSize int64
	// Idle is how long a transfer may go without a byte before it is tried anew;
	// 0: a minute.
	Idle time.Duration
	// Log is told of corrupt files, and of content that cannot be kept; nil: nobody
	// is.
	Log *zap.Logger
}

// Source fetches content from where it comes from, from an offset on. It returns the
// size of the whole content, whatever the offset; -1 where that is not known. The
// store closes the body, and ends ctx when nothing has come for the idle time.
//
// A Source that cannot begin at an offset above 0 begins at 0 and returns ErrNoRange
// with the body, or ErrNoRange with no body, upon which it is asked for offset 0.
//
// One Source is asked on behalf of all who wait for the content, and may be asked
// again after an interruption; where content cannot be kept, it is asked by several
// readers at a time.
type Source func(ctx context.Context, offset int64) (body io.ReadCloser, size int64, err error)

// How content came to be at hand.
const (
	Hit    = "hit"    // it was kept already
	Miss   = "miss"   // it is being fetched for who asked
	Joined = "joined" // it was being fetched for another
)

// Link is what is known of content that a repository holds.
type Link struct {
	MediaType string
	Size      int64 // bytes
}

// Tag is what a tag named when the upstream was last asked.
type Tag struct {
	Digest    oci.Digest
	MediaType string
	Checked   time.Time
}

// What is known of who may see a repository.
const (
	Public  = "public"  // an anonymous request reached it
	Private = "private" // it was held back from anonymous requests
)

// State is what is known of a repository as a whole. The zero value says that nothing
// is.
type State struct {
	Visibility string // Public, Private or ""
	Checked    time.Time
}

// Stats are the store's figures at one moment, and its counters since it was opened.
type Stats struct {
	Bytes        int64 // on disk: Blobs' and parts' together
	Blobs        int   // files of whole content
	PartialBytes int64 // of content that is being fetched or was interrupted
	Partials     int   // files of such content
	MaxSize      int64

	Downloads int // under way
	Reads     int // under way

	Evictions    uint64 // files that made room for others
	EvictedBytes uint64
	Checked      uint64 // files that were read to see whether they are what they were
	Corrupt      uint64 // files whose content was not what it was
	Mismatches   uint64 // transfers that brought other content than was asked for, or another length
	Uncached     uint64 // contents that were streamed only, for want of room
}

// Kinds of content in a list.
const (
	KindIndex    = "index"
	KindManifest = "manifest"
	KindBlob     = "blob"    // a layer, a config, or whatever else manifests name
	KindPartial  = "partial" // of a blob or a manifest, as far as it was fetched
)

// Item is one file of the store, as operators see it.
type Item struct {
	Digest       oci.Digest
	Size         int64 // bytes on disk
	Kind         string
	MediaType    string // "" when no repository is known to hold it
	LastUsed     time.Time
	Repositories []oci.Repository // that hold it, sorted
	Tags         []string         // that name it, in full ("docker.io/library/alpine:3"), sorted
}

// Freed says what was removed.
type Freed struct {
	Files int
	Bytes int64
}

// Verified is what the check of one file found.
type Verified struct {
	Digest oci.Digest
	Size   int64
	// Err is nil for content that is what its name says. Otherwise the file was
	// removed, unless it could not be read.
	Err error
}
