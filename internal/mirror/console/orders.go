package console

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"sluice/internal/admin/site"
	"sluice/internal/config/strict"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// Freed says what an order has removed.
type Freed struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func (f *Freed) add(other store.Freed) { f.Files += other.Files; f.Bytes += other.Bytes }

// remove removes what the one parameter names.
func (h *Handler) remove(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if len(q) != 1 {
		return site.BadRequest("remove what? name one: /cache/remove?repository=docker.io/library/alpine, or a registry, or a digest")
	}
	defer h.listing.forget()
	var sum Freed
	switch {
	case q.Has("digest"):
		digest, err := oci.ParseDigest(q.Get("digest"))
		if err != nil {
			return site.BadRequest("digest: %v", err)
		}
		freed, err := h.o.Store.Remove(digest)
		if err != nil {
			return orderFault(err)
		}
		sum.add(freed)
	case q.Has("repository"):
		repository, err := parseRepository(q.Get("repository"))
		if err != nil {
			return err
		}
		freed, err := h.o.Store.RemoveRepository(repository)
		if err != nil {
			return orderFault(err)
		}
		sum.add(freed)
	default:
		registry, err := oci.ParseRegistry(q.Get("registry"))
		if err != nil {
			return site.BadRequest("registry: %v", err)
		}
		if err := h.removeRegistry(w, registry, &sum); err != nil {
			return err
		}
	}
	return site.Write(w, r, sum)
}

func (h *Handler) removeRegistry(w http.ResponseWriter, registry string, sum *Freed) error {
	defer lasting(w)()
	list := repositoriesOf(h.o.Store.List(), registry)
	if len(list) == 0 {
		return site.NotFound("nothing of %s is kept", registry)
	}
	for _, repository := range list {
		freed, err := h.o.Store.RemoveRepository(repository)
		if err != nil && !errors.Is(err, store.ErrNotCached) { // gone meanwhile
			return orderFault(err)
		}
		sum.add(freed)
	}
	return nil
}

// orderFault is why an order was not carried out.
func orderFault(err error) error {
	switch {
	case errors.Is(err, store.ErrNotCached), errors.Is(err, fs.ErrNotExist):
		return site.NotFound("%v", err)
	case errors.Is(err, store.ErrBusy):
		return site.NewFault(http.StatusConflict, err.Error())
	case errors.Is(err, store.ErrClosed):
		return site.NewFault(http.StatusServiceUnavailable, err.Error())
	}
	return err
}

// lasting takes the deadline off an answer that takes as long as it takes, until the
// function that it returns is called.
func lasting(w http.ResponseWriter) (over func()) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Time{})
	return func() { _ = c.SetWriteDeadline(time.Now().Add(site.AnswerTime)) }
}

func (h *Handler) prune(w http.ResponseWriter, r *http.Request) error {
	text := r.URL.Query().Get("to")
	size, err := strict.ParseSize(text)
	switch {
	case text == "":
		return site.BadRequest("to is missing: /cache/prune?to=10GB; 0 removes all that is not in use")
	case text == "0":
		size = 0
	case err != nil:
		return site.BadRequest("to: %v", err)
	}
	defer h.listing.forget()
	over := lasting(w)
	freed := h.o.Store.Prune(size)
	over()
	return site.Write(w, r, Freed{freed.Files, freed.Bytes})
}

// Checked is a line of a verification: what was found of one content, or, in the last
// line, Done.
type Checked struct {
	Digest oci.Digest `json:"digest,omitempty"`
	Size   int64      `json:"size,omitempty"`
	Error  string     `json:"error,omitempty"` // "": it is what its name says
	Done   *Done      `json:"done,omitempty"`
}

// Done is the sum of a verification that has come to its end.
type Done struct {
	Contents int    `json:"contents"`
	Bytes    int64  `json:"bytes"`
	Failed   int    `json:"failed"`
	Error    string `json:"error,omitempty"` // why it has ended early
}

const (
	// usualRate is how fast content is read, in bytes per second, so that pulls have
	// the disk.
	usualRate = 50e6
	// takeTime is how long a client may take for what it is sent.
	takeTime = 10 * time.Second
	// toldEvery is how often a client is sent what there is for it.
	toldEvery = 250 * time.Millisecond
)

// verify sends a line for each content while it goes on. It ends when its client
// leaves.
func (h *Handler) verify(w http.ResponseWriter, r *http.Request) error {
	rate := strict.Rate(usualRate)
	if text := r.URL.Query().Get("rate"); text != "" {
		var err error
		if rate, err = strict.ParseRate(text); err != nil {
			return site.BadRequest("rate: %v", err)
		}
	}
	select {
	case h.verifying <- struct{}{}:
		defer func() { <-h.verifying }()
	default:
		return site.NewFault(http.StatusConflict, "a verification is under way already")
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(h.ctx, func() { cancel(errStopped) })()
	defer h.listing.forget()
	w.Header().Set("Content-Type", "application/x-ndjson")
	v := verification{w: w, c: http.NewResponseController(w), rate: rate, ctx: ctx, leave: cancel}
	err := h.o.Store.Verify(ctx, v.found)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	if err != nil {
		v.sum.Error = err.Error()
	}
	v.write(Checked{Done: &v.sum})
	v.flush()
	return nil
}

// verification is one that goes on.
type verification struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	rate  strict.Rate
	ctx   context.Context
	leave context.CancelCauseFunc
	sum   Done
	told  time.Time // when the client was last sent something
}

// found tells of one content, and waits as long as the rate wants.
func (v *verification) found(one store.Verified) {
	line := Checked{Digest: one.Digest, Size: one.Size}
	v.sum.Contents++
	v.sum.Bytes += one.Size
	if one.Err != nil {
		v.sum.Failed++
		line.Error = one.Err.Error()
	}
	v.write(line)
	wait := time.Duration(float64(one.Size) / float64(v.rate) * float64(time.Second))
	if time.Since(v.told) >= toldEvery || wait >= toldEvery || one.Err != nil {
		v.flush()
	}
	if v.rate == strict.Unlimited {
		return
	}
	pause := time.NewTimer(wait)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-v.ctx.Done():
	}
}

func (v *verification) write(line Checked) {
	text, err := json.Marshal(line)
	if err != nil { // not reached: all values are of types that JSON has
		return
	}
	_ = v.c.SetWriteDeadline(time.Now().Add(takeTime))
	if _, err := v.w.Write(append(site.Escaped(text), '\n')); err != nil {
		v.leave(err)
	}
}

func (v *verification) flush() {
	v.told = time.Now()
	if err := v.c.Flush(); err != nil {
		v.leave(err)
	}
}
