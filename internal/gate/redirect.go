package gate

import (
	"net/netip"
	"sync"
	"time"

	"sluice/acl"
	"sluice/internal/presets"
)

// redirects remembers which clients have lately reached a host that sends its
// clients on to others of the same preset, as a registry does to where its blobs
// are. Inside TLS no redirect is seen, so that is all that can be known. The zero
// value is empty.
type redirects struct {
	mu   sync.Mutex
	last map[visitor]visit
}

// visitor is a client, with the user that it was authenticated as, at a preset.
type visitor struct {
	client netip.Addr
	user   string
	preset string
}

type visit struct {
	host string
	at   time.Time
}

const (
	// maxVisits bounds what is remembered; past it all is forgotten at once.
	maxVisits = 1024
	// visitAge is for how long it says something: a client follows a redirect at
	// once, and names the next one a layer later.
	visitAge = time.Minute
)

// reached remembers that a request's destination was reached, if it redirects.
func (r *redirects) reached(req acl.Request) {
	names := presets.Redirecting(req.Host.Name())
	if len(names) == 0 {
		return
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil || len(r.last) > maxVisits-len(names) {
		r.last = make(map[visitor]visit)
	}
	for _, name := range names {
		r.last[visitor{req.Client, req.User, name}] = visit{req.Host.Name(), now}
	}
}

// from returns the host of a preset that the client of a request has reached
// lately and that redirects, or "".
func (r *redirects) from(req acl.Request, preset string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.last[visitor{req.Client, req.User, preset}]
	if time.Since(v.at) > visitAge {
		return ""
	}
	return v.host
}

// refusal is the sentence about a request that the rules deny. Where they admit the
// client elsewhere, it names the preset that has the host.
func (t *Transaction) refusal(d acl.Decision) string {
	sentence := t.policy.ACL.Sentence(t.req, d)
	if t.req.Host.IsAddr() || !t.policy.ACL.Elsewhere(t.req, d) {
		return sentence
	}
	return both(sentence, presets.Hint(t.req.Host.Name(), t.req.Port, func(preset string) string {
		return t.gate.redirects.from(t.req, preset)
	}))
}
