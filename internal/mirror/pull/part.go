package pull

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
	"sluice/internal/mirror/upstream"
)

// part passes the upstream's answer on to one client: a later part of what is not
// here, or what may not be taken from the store.
func (m *Mirror) part(ctx context.Context, a asking) (*Blob, error) {
	r := a.get("")
	if beginsLater(a.Range) {
		r.Range = a.Range
	}
	resp, _, _, err := reach(ctx, m, a, step[*http.Response]{alone: true, do: func(ctx context.Context, as upstream.Identity, _ who) (*http.Response, error) {
		r.As = as
		return a.up.Registry.Do(ctx, r)
	}})
	if err != nil {
		return nil, err
	}
	return m.pass(a, resp), nil
}

// pass makes an answer of the upstream's own. What turns out to be whole is checked,
// and shows that the repository holds it.
func (m *Mirror) pass(a asking, resp *http.Response) *Blob {
	if resp.StatusCode != http.StatusPartialContent {
		resp.Body = &checked{body: resp.Body, digest: a.Ref.Digest, hash: a.Ref.Digest.New(), whole: func(size int64) {
			if c, ok := m.store.Get(a.Ref.Digest); ok {
				c.Close()
				m.link(a.Repo, a.Ref.Digest, store.Link{Size: size})
			}
		}}
	}
	return &Blob{Digest: a.Ref.Digest, Size: wholeSize(resp), How: Passed, Passed: resp}
}

// Passed asks the upstream for something else below a repository, such as its tags or
// referrers, and returns the answer, which is not kept. Close its body. Errors are
// *oci.Error.
func (m *Mirror) Passed(ctx context.Context, r Request, path, query string) (*http.Response, error) {
	a, err := m.asking(&r)
	if err != nil {
		return nil, err
	}
	q := upstream.Request{Method: http.MethodGet, Repository: r.Repo.Name, Path: path, Query: query}
	if r.Head {
		q.Method = http.MethodHead
	}
	resp, _, _, err := reach(ctx, m, a, step[*http.Response]{alone: true, aside: true, do: func(ctx context.Context, as upstream.Identity, _ who) (*http.Response, error) {
		q.As = as
		return a.up.Registry.Do(ctx, q)
	}})
	if err != nil {
		return nil, a.failure(fmt.Sprintf("%s of %s", path, r.Repo.Name), err)
	}
	return resp, nil
}

// maxLarge is how many large answers are in memory at the same time.
const maxLarge = 4

// EnterLarge waits for a place for what Passed has returned, if that is to be read into
// memory and is large. Call leave when it is no longer there. The error is ctx's.
func (m *Mirror) EnterLarge(ctx context.Context) (leave func(), err error) {
	select {
	case m.large <- struct{}{}:
		return func() { <-m.large }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// wholeSize returns the size of the whole content that an answer is of; -1: not said.
func wholeSize(resp *http.Response) int64 {
	if resp.StatusCode != http.StatusPartialContent {
		return resp.ContentLength
	}
	_, total, _ := strings.Cut(resp.Header.Get("Content-Range"), "/")
	if size, err := strconv.ParseInt(total, 10, 64); err == nil && size >= 0 {
		return size
	}
	return -1
}

// beginsLater tells whether a Range header asks for one part that does not begin at
// the first byte (RFC 9110, section 14.1.2). Other headers are no reason not to fetch
// all.
func beginsLater(header string) bool {
	part, ok := strings.CutPrefix(header, "bytes=")
	first, last, hyphen := strings.Cut(strings.TrimSpace(part), "-")
	if !ok || !hyphen || strings.ContainsRune(part, ',') {
		return false
	}
	if first == "" { // the last so many
		first = last
	}
	n, err := strconv.ParseUint(first, 10, 63)
	return err == nil && n > 0
}

// checked is the body of whole content. Its last byte comes only if the digest is
// right.
type checked struct {
	body   io.ReadCloser
	digest oci.Digest
	hash   hash.Hash
	whole  func(size int64) // called when it is

	last    byte // of what was read, held back
	holding bool
	size    int64 // of what was read
	end     error // how it has ended; nil: it has not
}

func (c *checked) Read(p []byte) (int, error) {
	for len(p) > 0 {
		if c.end != nil {
			return c.rest(p)
		}
		n, err := c.body.Read(p)
		n = c.take(p[:n])
		if err != nil {
			c.finish(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, nil
}

// take takes what was read, and leaves in p what may be passed on, which it counts.
func (c *checked) take(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	c.hash.Write(p)
	c.size += int64(len(p))
	last, n := p[len(p)-1], len(p)-1
	if c.holding {
		n = len(p)
		copy(p[1:], p[:len(p)-1])
		p[0] = c.last
	}
	c.last, c.holding = last, true
	return n
}

func (c *checked) finish(err error) {
	c.end = err
	if !errors.Is(err, io.EOF) {
		return
	}
	if got := oci.FromHash(c.digest.Algorithm(), c.hash); got != c.digest {
		c.end = fmt.Errorf("%w: content with the digest %s for %s", errLie, got, c.digest)
		return
	}
	c.end = io.EOF
	c.whole(c.size)
}

// rest returns the byte that was held back, if it may be passed on, and then the end.
func (c *checked) rest(p []byte) (int, error) {
	if c.end == io.EOF && c.holding {
		p[0], c.holding = c.last, false
		return 1, nil
	}
	return 0, c.end
}

func (c *checked) Close() error { return c.body.Close() }
