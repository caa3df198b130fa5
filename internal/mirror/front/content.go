package front

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
)

// manifest answers the sections "Pulling manifests" and "Checking if content exists".
// The Accept field is not looked at: which form a tag has is up to who pushed it.
func (x *exchange) manifest(req pull.Request) error {
	m, err := x.Mirror.Manifest(x.r.Context(), req)
	if err != nil {
		return err
	}
	x.record.How = m.How
	x.identify(m.Digest)
	if m.How == record.Stale {
		x.warnStale(m.StaleSince, m.StaleReason)
	}
	if matches(x.r.Header, etag(m.Digest)) {
		return x.notModified()
	}
	h := x.w.Header()
	h.Set("Content-Type", manifestType(m.MediaType))
	if !req.Head {
		return x.write(m.Body)
	}
	setLength(h, m.Size)
	x.w.WriteHeader(http.StatusOK)
	return nil
}

// manifestType keeps what an upstream calls a manifest from being taken for a page:
// it is JSON whatever it is called, and has no parameters.
func manifestType(given string) string {
	t := oci.MediaType(given)
	if t == "application/json" || strings.HasPrefix(t, "application/vnd.") || strings.HasSuffix(t, "+json") {
		return t
	}
	return "application/json"
}

// blob answers the sections "Pulling blobs" and "Checking if content exists".
func (x *exchange) blob(req pull.Request) error {
	tag := etag(req.Ref.Digest)
	known := matches(x.r.Header, tag)
	var part byteRange
	if !req.Head && !known { // RFC 9110, section 14.2: a range is of a GET, and comes after conditions
		part = parseRange(x.r.Header, tag)
	}
	req.Head, req.Range = req.Head || known, part.String()
	b, err := x.Mirror.Blob(x.r.Context(), req)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // what was read was checked
	x.record.How = b.How
	x.identify(req.Ref.Digest)
	h := x.w.Header()
	h.Set("Content-Type", oci.TypeOctetStream)
	h.Set("Accept-Ranges", "bytes")
	switch {
	case known:
		return x.notModified()
	case b.Passed != nil:
		return x.pass(b.Passed, part)
	}
	return x.send(req, b, part)
}

// send sends what is cached, or is being fetched.
func (x *exchange) send(req pull.Request, b *pull.Blob, part byteRange) error {
	ctx, size := x.r.Context(), b.Size
	if b.Content != nil {
		var err error
		if size, err = b.Content.Size(ctx); err != nil {
			return err
		}
	}
	if size < 0 { // nobody says, nor is it kept: all goes out in chunks
		part = byteRange{}
	}
	out, err := part.of(size)
	if err != nil {
		x.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return err
	}
	x.begin(part, out, size)
	if req.Head {
		return nil
	}
	_, err = b.Content.CopyTo(ctx, x.w, out.offset, out.length, x.r.Context().Err)
	return err
}

// begin writes the header of a blob's answer.
func (x *exchange) begin(part byteRange, out span, size int64) {
	h := x.w.Header()
	if out.length >= 0 {
		setLength(h, out.length)
	}
	if !part.given {
		x.w.WriteHeader(http.StatusOK)
		return
	}
	h.Set("Content-Range", out.contentRange(size))
	x.w.WriteHeader(http.StatusPartialContent)
}

var errNoLength = errors.New("the upstream did not say how long its answer is")

// pass passes on what the upstream answers to a GET: a part, or all.
func (x *exchange) pass(resp *http.Response, part byteRange) error {
	out, size := span{0, resp.ContentLength}, resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var err error
		if out, size, err = parsePart(resp); err != nil {
			return err
		}
		if want, err := part.of(size); err != nil || want != out {
			return fmt.Errorf("the upstream sent bytes %d-%d where %s were asked for", out.offset, out.offset+out.length-1, part)
		}
	} else {
		part = byteRange{} // RFC 9110, section 14.2: all is a right answer too
	}
	if out.length < 0 {
		return errNoLength
	}
	x.begin(part, out, size)
	// Not by ReadFrom, which would take waiting for the upstream for waiting for the client.
	_, err := io.CopyN(struct{ io.Writer }{x.w}, resp.Body, out.length)
	return err
}

// parsePart reads the Content-Range of a 206 (RFC 9110, section 14.4), whose size must
// be known.
func parsePart(resp *http.Response) (out span, size int64, err error) {
	field := resp.Header.Get("Content-Range")
	rest, ok := strings.CutPrefix(field, "bytes ")
	positions, total, ok2 := strings.Cut(rest, "/")
	from, to, ok3 := strings.Cut(positions, "-")
	first, ok4 := parsePos(from)
	last, ok5 := parsePos(to)
	size, ok6 := parsePos(total)
	if !ok || !ok2 || !ok3 || !ok4 || !ok5 || !ok6 || last < first || last >= size {
		return span{}, 0, fmt.Errorf("the upstream's Content-Range is %s", strconv.Quote(field))
	}
	return span{first, last - first + 1}, size, nil
}
