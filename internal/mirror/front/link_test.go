package front

import (
	"net/http"
	"strings"
	"testing"
)

func TestOnlyTheQueryOfTheNextPageIsTaken(t *testing.T) {
	for field, want := range map[string]string{
		`</v2/a/tags/list?last=b&n=2>; rel="next"`:                       "last=b&n=2",
		`<https://reg.example:5000/v2/a/tags/list?n=2&last=b>; rel=next`: "last=b&n=2",
		`<?last=b>;rel="next"`:                                           "last=b",
		`</x?a=1>; rel="prev", </y?a=2>; title="a, <b>"; rel="x next"`:   "a=2",
		`</x?a=1>; rel="prev"`:                                           "-",
		`</x?a=1>`:                                                       "-",
		``:                                                               "-",
		`<`:                                                              "-",
		`</x?a=1; rel="next"`:                                            "-",
		`</x?a=%zz>; rel="next"`:                                         "-",
		`</x?a=1;b=2>; rel="next"`:                                       "-",
		`</x>; rel="next"`:                                               "",
		`</x?a=%0d%0aSet-Cookie:x>; rel="next"`:                          "a=%0D%0ASet-Cookie%3Ax",
		`</x?a=` + strings.Repeat("a", 5000) + `>; rel="next"`:               "-",
		`</x?a=` + strings.Repeat("a", 9000) + `>; rel="next"`:               "-",
		`</x?a=1>; title="\"; rel=prev"; rel="next"`:                         "a=1",
		"</x?a=1>; REL = NEXT":                                               "a=1",
		`</a?token=` + strings.Repeat("t", 500) + `%3D%3D>; rel="next"; x=y`: "token=" + strings.Repeat("t", 500) + "%3D%3D",
	} {
		h := http.Header{}
		if field != "" {
			h.Set("Link", field)
		}
		q, ok := nextPage(h)
		if got := q.Encode(); ok != (want != "-") || ok && got != want {
			t.Errorf("%s: %q, %t; want %q", field, got, ok, want)
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add(`</v2/a/tags/list?last=b&n=2>; rel="next"`)
	f.Add(`</x?a=1>; rel="prev", </y?a=2>; title="a, <b>"; rel="x next"`)
	f.Fuzz(func(t *testing.T, field string) {
		q, ok := nextPage(http.Header{"Link": {field}})
		if ok && strings.ContainsAny(q.Encode(), "<>\"\r\n ;,") {
			t.Errorf("%q: %q", field, q.Encode())
		}
	})
}
