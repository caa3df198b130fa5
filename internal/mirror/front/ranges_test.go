package front

import (
	"math"
	"net/http"
	"strings"
	"testing"
)

const tagA = `"sha256:a"`

func TestRangesAreReadAsRFC9110HasThem(t *testing.T) {
	all := span{0, 100}
	for field, want := range map[string]span{
		"bytes=0-0": {0, 1}, "bytes=0-9": {0, 10}, "bytes=90-": {90, 10}, "bytes=-10": {90, 10}, "bytes=-1000": {0, 100},
		"bytes=0-": {0, 100}, "bytes=50-1000": {50, 50}, "bytes=99-99": {99, 1}, "Bytes=1-2": {1, 2}, "bytes= 1-2 ": {1, 2},
		"bytes=0-99999999999999999999999": {0, 100},
		// What is no range of bytes, or more than one, is as if it was not there.
		"": all, "bytes": all, "bytes=": all, "bytes=-": all, "bytes=5": all, "bytes=9-5": all, "bytes=a-b": all, "bytes=+1-2": all, "bytes=1--2": all,
		"bytes=0-1,5-6": all, "bytes=0-1,": all, "lines=1-2": all, "bytes 1-2": all, "bytes=1 -2": all, "bytes=0x1-2": all, "bytes=-+5": all,
	} {
		h := http.Header{}
		if field != "" {
			h.Set("Range", field)
		}
		got, err := parseRange(h, tagA).of(100)
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", field, got, err, want)
		}
	}
	for _, field := range []string{"bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"} {
		if got, err := parseRange(http.Header{"Range": {field}}, tagA).of(100); err == nil || !strings.Contains(err.Error(), "416 SIZE_INVALID") {
			t.Errorf("%q: %+v, %v", field, got, err)
		}
	}
	if got, err := parseRange(http.Header{"Range": {"bytes=0-"}}, tagA).of(0); err == nil {
		t.Errorf("a part of nothing: %+v", got)
	}
	if got, err := parseRange(http.Header{"Range": {"bytes=-5"}}, tagA).of(0); err == nil {
		t.Errorf("the end of nothing: %+v", got)
	}
	if r := parseRange(http.Header{"Range": {"bytes=0-1", "bytes=5-6"}}, tagA); r.given {
		t.Errorf("two fields: %+v", r)
	}
}

func TestARangeIsOfTheContentThatTheClientHasBegun(t *testing.T) {
	for cond, want := range map[string]bool{
		tagA: true, " " + tagA + " ": true, `"sha256:b"`: false, "W/" + tagA: false, "*": false, "": false,
		"Sun, 22 Nov 2026 15:00:00 GMT": false, tagA + "," + tagA: false,
	} {
		if r := parseRange(http.Header{"Range": {"bytes=1-2"}, "If-Range": {cond}}, tagA); r.given != want {
			t.Errorf("If-Range %q: %t", cond, r.given)
		}
	}
}

func TestWhenTheClientHasItAlready(t *testing.T) {
	for field, want := range map[string]bool{
		tagA: true, "W/" + tagA: true, "*": true, `"x", ` + tagA: true, `"x"`: false, "": false, "sha256:a": false, `W/"x",W/` + tagA: true,
	} {
		if got := matches(http.Header{"If-None-Match": {field}}, tagA); got != want {
			t.Errorf("%q: %t", field, got)
		}
	}
	if matches(http.Header{}, tagA) {
		t.Error("nothing matches")
	}
}

// A range lies within what it is of, and is the same when it is passed on.
func FuzzRange(f *testing.F) {
	for _, s := range []string{"bytes=0-0", "bytes=-5", "bytes=5-", "bytes=9-5", "bytes=1-2,3-4", "bytes=99999999999999999999-"} {
		f.Add(s, int64(100))
	}
	f.Add("bytes=1-", int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, field string, size int64) {
		if size < 0 {
			return
		}
		r := parseRange(http.Header{"Range": {field}}, tagA)
		s, err := r.of(size)
		if err != nil {
			return
		}
		if s.offset < 0 || s.length < 0 || s.offset > size-s.length || r.given && s.length == 0 {
			t.Errorf("%q of %d: %+v", field, size, s)
		}
		if again := parseRange(http.Header{"Range": {r.String()}}, tagA); again != r {
			t.Errorf("%q is passed on as %q: %+v, then %+v", field, r, r, again)
		}
		if !r.given {
			return
		}
		resp := &http.Response{Header: http.Header{"Content-Range": {s.contentRange(size)}}}
		if part, total, err := parsePart(resp); err != nil || part != s || total != size {
			t.Errorf("%q: %+v of %d, %v", s.contentRange(size), part, total, err)
		}
	})
}
