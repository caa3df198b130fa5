// Package record is the one record that each request to the mirror leaves: what it
// has, how it is written to the access log, and the latest of them in memory for the
// admin address. Who fills it in is the mirror's HTTP side; metrics are counted from
// it elsewhere. RECORDS.md beside this file documents each field.
package record

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"sluice/internal/track"
)

// Kind is what a request asks for.
type Kind string

const (
	Manifest  Kind = "manifest"
	Blob      Kind = "blob"
	Tags      Kind = "tags"
	Referrers Kind = "referrers"
	Ping      Kind = "ping"  // /v2/ itself
	Other     Kind = "other" // whatever else: paths that nobody serves, /ca.crt, /setup
)

// Kinds lists them, "other" last.
func Kinds() []Kind { return []Kind{Manifest, Blob, Tags, Referrers, Ping, Other} }

// How an answer came about.
const (
	Hit         = "hit"         // from the cache
	Miss        = "miss"        // the first to ask: it was fetched for this request
	Joined      = "joined"      // from a fetch that another request had begun
	Revalidated = "revalidated" // from the cache, after the upstream was asked whether it is still so
	Stale       = "stale"       // from the cache, because the upstream could not be asked
	Passed      = "passed"      // passed on from the upstream, and not kept
)

// Hows lists them. A request that was refused, or answered by the mirror itself, has
// none.
func Hows() []string { return []string{Hit, Miss, Joined, Revalidated, Stale, Passed} }

// Record is what is known of one request at its end. Zero fields are left out where it
// is shown.
type Record struct {
	ID       track.ID
	Start    time.Time // when its header had been read
	Listener string    // configured address
	Client   netip.AddrPort
	User     string // who proved to be it, by htpasswd
	Agent    string // what the client calls itself, in User-Agent
	Method   string
	Path     string // only where no repository could be made out

	Registry   string // as image names call it: "docker.io"
	Repository string // without the registry: "library/alpine"
	Kind       Kind
	Reference  string // as it was asked for: a tag or a digest
	Digest     string // of what was served

	Status      int
	Code        string // of the answer's error: DENIED, MANIFEST_UNKNOWN, ...
	How         string // one of Hows, or ""
	Bytes       int64  // of the answer's body that went out
	Duration    time.Duration
	Rule        string // that decided
	StaleReason string // why the upstream could not be asked, where How is Stale
	Error       string // what went wrong, causes and all; not all of it is told to the client
}

// NewID returns an identifier for a record.
func NewID() track.ID { return track.ID(rand.Uint64()) }

// Bounds of texts that others have chosen, in bytes.
const (
	maxName = 256 // of a user, an agent, a method; a repository has no more anyway
	maxText = 1024
)

// bounded returns a copy whose texts are bounded, and do not hold the header that
// they were cut from in memory.
func (r *Record) bounded() *Record {
	c := *r
	for _, s := range []*string{&c.User, &c.Agent, &c.Method, &c.Registry, &c.Repository, &c.Reference, &c.Digest} {
		*s = cut(*s, maxName)
	}
	for _, s := range []*string{&c.Path, &c.StaleReason, &c.Error} {
		*s = cut(*s, maxText)
	}
	return &c
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return strings.Clone(s)
}

// text returns how many bytes of text the record holds in memory for itself.
func (r *Record) text() int {
	return len(r.User) + len(r.Agent) + len(r.Method) + len(r.Path) + len(r.Registry) + len(r.Repository) +
		len(r.Reference) + len(r.Digest) + len(r.StaleReason) + len(r.Error)
}
