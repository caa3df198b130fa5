package front

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/mirror/oci"
)

// byteRange is a Range field of one range (RFC 9110, section 14.1.2), before the
// length of what it is of is known. The zero value is no range: all.
type byteRange struct {
	given bool
	// first is where it begins; -1 for the last suffix bytes.
	first int64
	// last is the last byte, included; -1 for the end.
	last int64
	// suffix is how many bytes at the end are asked for, where first is -1.
	suffix int64
}

// span is a part of something.
type span struct{ offset, length int64 }

// parseRange reads the Range field of a request whose answer would have the given
// entity tag. What is no valid range of bytes is as if it was not there (section
// 14.2), and so are several ranges, each of which would have to be made a part of a
// multipart body: a server may answer with all (section 14.2 again), and no client of
// registries asks for more than one.
func parseRange(h http.Header, etag string) byteRange {
	fields := h.Values("Range")
	if len(fields) != 1 {
		return byteRange{}
	}
	// Section 13.1.5: a strong comparison, for which a weak tag never fits. There is
	// no date that it could name.
	if cond := h.Values("If-Range"); len(cond) > 1 || len(cond) == 1 && strings.TrimSpace(cond[0]) != etag {
		return byteRange{}
	}
	unit, set, ok := strings.Cut(fields[0], "=")
	if !ok || !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return byteRange{}
	}
	from, to, ok := strings.Cut(strings.Trim(set, " \t"), "-")
	if !ok {
		return byteRange{}
	}
	if from == "" {
		n, ok := parsePos(to)
		if !ok {
			return byteRange{}
		}
		return byteRange{given: true, first: -1, last: -1, suffix: n}
	}
	r := byteRange{given: true, last: -1}
	if r.first, ok = parsePos(from); !ok {
		return byteRange{}
	}
	if to == "" {
		return r
	}
	if r.last, ok = parsePos(to); !ok || r.last < r.first {
		return byteRange{}
	}
	return r
}

// parsePos reads digits alone: no sign, no blank. A number beyond what is counted is
// the largest there is.
func parsePos(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil { // too large: strconv returns the largest then
		return n, true
	}
	return n, true
}

// String returns the field's value as it is passed on, "" for no range.
func (r byteRange) String() string {
	switch {
	case !r.given:
		return ""
	case r.first < 0:
		return fmt.Sprintf("bytes=-%d", r.suffix)
	case r.last < 0:
		return fmt.Sprintf("bytes=%d-", r.first)
	}
	return fmt.Sprintf("bytes=%d-%d", r.first, r.last)
}

// of returns the part of something that has size bytes. The error is a 416 when there
// is no such part.
func (r byteRange) of(size int64) (span, error) {
	switch {
	case !r.given:
		return span{0, size}, nil
	case r.first < 0 && r.suffix > 0 && size > 0:
		n := min(r.suffix, size)
		return span{size - n, n}, nil
	case r.first < 0 || r.first >= size:
		return span{}, oci.Errorf(http.StatusRequestedRangeNotSatisfiable, oci.SizeInvalid, "the range %q has no byte of the %d that there are", r, size)
	case r.last < 0:
		return span{r.first, size - r.first}, nil
	}
	return span{r.first, min(r.last, size-1) - r.first + 1}, nil
}

// contentRange is the Content-Range of a 206.
func (s span) contentRange(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", s.offset, s.offset+s.length-1, size)
}

// matches tells whether an If-None-Match names the entity tag, by the weak comparison
// that RFC 9110, section 13.1.2, has for it.
func matches(h http.Header, etag string) bool {
	for _, field := range h.Values("If-None-Match") {
		for _, t := range strings.Split(field, ",") {
			t = strings.Trim(t, " \t")
			if t == "*" || strings.TrimPrefix(t, "W/") == etag {
				return true
			}
		}
	}
	return false
}
