// Package pull is what makes a mirror of a client and a cache: how long a tag is
// taken for current, that one request to the upstream serves all who ask at the same
// time, what is answered while the upstream is away, and who may have what is
// private.
//
// A repository is public if an anonymous request has reached it, which is asked anew
// after the time that tags are current. What is not public goes to two kinds of
// clients: those whom a rule names for the repository, which the mirror fetches it
// for with its own credentials, and those with credentials of their own, which the
// upstream has accepted for this repository. Content is served for a repository that
// is known to hold it and for no other: it came from that repository, or another one
// of the same registry gave it and the registry says that this one holds it too. What
// a registry says of content that came from another registry counts for nothing: it
// has to deliver it.
//
// Rules about clients are package access's, HTTP is package front's, registries are
// asked by package upstream, and content is kept by package store.
package pull

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// Policy is which registries are mirrored. It is immutable; a reload swaps in
// another.
type Policy struct {
	Upstreams map[string]Upstream // by the name that image names have
	Aliases   map[string]string   // other names, and whose they are
	Default   string              // the upstream of paths that name none; "": there is none
}

// Upstream is one registry.
type Upstream struct {
	Registry *upstream.Registry
	// TagTTL is how long a tag, and that a repository is public, is taken for
	// current; 0: every request asks.
	TagTTL time.Duration
}

// Options are what a Mirror may be given.
type Options struct {
	Log *zap.Logger      // nil: nothing is logged
	Now func() time.Time // nil: time.Now
	// Patience is how long a client waits for an upstream to say whether something that
	// is kept is still so. A host that has vanished without a word, behind a connection
	// that was open, is not known to be away for far longer. 0: 3 s.
	Patience time.Duration
	// Whole is how long a manifest may take to come. All who want it wait for the same
	// answer, and one that comes byte by byte would keep it from them for good. 0: a
	// minute.
	Whole time.Duration
}

// Request is what a client asks for.
type Request struct {
	Repo  oci.Repository // as Resolve returned it
	Ref   oci.Reference  // of a manifest; a blob has a digest
	Head  bool
	Range string // of a blob: the Range header, "" for none
	// Private says that a rule names this client for the repository, should it be
	// private.
	Private bool
	// Authorization is the client's own header for the upstream, and goes nowhere
	// else; "" for none, and on listeners where clients log in to the mirror.
	Authorization string
	// Bearer and Basic say which challenges of the upstream's may be passed on to the
	// client. Bearer: not on listeners where clients log in, for they would send the
	// mirror's password to the upstream's token server. Basic: where the client takes
	// the mirror for the upstream alone, for it sends what it has for that host.
	Bearer, Basic bool
}

// How an answer came about.
const (
	Hit         = store.Hit     // it was kept already, and is current
	Miss        = store.Miss    // it is fetched for this client
	Joined      = store.Joined  // it was being fetched for another
	Revalidated = "revalidated" // the upstream says that the tag still names what is kept
	Stale       = "stale"       // what the tag named when the upstream was last asked: it is away
	Passed      = "passed"      // the upstream's answer, which is not kept
)

// Manifest is the answer to a request for one.
type Manifest struct {
	Digest    oci.Digest
	MediaType string
	Size      int64
	Body      []byte // nil: a HEAD request, whose answer is the upstream's
	How       string
	// StaleSince is when the upstream was last asked for what is Stale, and
	// StaleReason why it does not answer now, in one or two words; zero otherwise.
	StaleSince  time.Time
	StaleReason string
}

// Blob is the answer to a request for one: Content, or Passed, or for a HEAD request
// neither. Close it.
type Blob struct {
	Digest  oci.Digest
	Size    int64 // of the whole
	How     string
	Content *store.Content
	// Passed is the upstream's answer: 206, or 200 with the whole. What is whole is
	// held against its digest while it is read, and the last byte comes only if it is
	// right. Its Content-Range and Content-Length are to be passed on.
	Passed *http.Response

	source *source // of Content, if it has an answer of its own
}

// Close gives back what the answer holds.
func (b *Blob) Close() error {
	switch {
	case b.Content != nil:
		if b.source != nil {
			b.source.close()
		}
		return b.Content.Close()
	case b.Passed != nil:
		return b.Passed.Body.Close()
	}
	return nil
}

// Mirror answers pulls. It is safe for concurrent use.
type Mirror struct {
	store  *store.Store
	log    *zap.Logger
	now    func() time.Time
	policy atomic.Pointer[Policy]

	ctx   context.Context // of what goes on without the client that began it
	end   context.CancelFunc
	work  sync.WaitGroup
	asked flights // questions to upstreams under way

	knowledge knowledge
	transfers transfers
	patience  time.Duration
	whole     time.Duration
	large     chan struct{} // a place for each large answer
	slow      slow
}

var _ io.Closer = (*Mirror)(nil)
