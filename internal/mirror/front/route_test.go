package front

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

var (
	sha256A = "sha256:" + strings.Repeat("a", 64)
	sha512B = "sha512:" + strings.Repeat("0b", 64)
)

func TestWhatAPathAsksFor(t *testing.T) {
	for path, want := range map[string]route{
		"/v2/":                            {kind: record.Ping},
		"/v2":                             {kind: record.Ping},
		"/v2/alpine/manifests/latest":     {kind: record.Manifest, name: "alpine", ref: oci.Reference{Tag: "latest"}},
		"/v2/a/b/c/manifests/" + sha256A:  {kind: record.Manifest, name: "a/b/c", ref: oci.Reference{Digest: oci.Digest(sha256A)}},
		"/v2/a/blobs/" + sha512B:          {kind: record.Blob, name: "a", ref: oci.Reference{Digest: oci.Digest(sha512B)}},
		"/v2/a/b/tags/list":               {kind: record.Tags, name: "a/b"},
		"/v2/a/referrers/" + sha256A:      {kind: record.Referrers, name: "a", ref: oci.Reference{Digest: oci.Digest(sha256A)}},
		"/v2/a/blobs/uploads/":            {kind: record.Blob, name: "a", push: true},
		"/v2/a/blobs/uploads/1-2/3":       {kind: record.Blob, name: "a", push: true},
		"/v2/manifests/manifests/blobs":   {kind: record.Manifest, name: "manifests", ref: oci.Reference{Tag: "blobs"}},
		"/v2/a/blobs/uploads2/tags/list":  {kind: record.Tags, name: "a/blobs/uploads2"},
		"/v2/tags/list/tags/list":         {kind: record.Tags, name: "tags/list"},
		"/v2/ghcr.io/a/manifests/1.0_x-y": {kind: record.Manifest, name: "ghcr.io/a", ref: oci.Reference{Tag: "1.0_x-y"}},
		"/":                               {kind: record.Other, page: "/"},
		"/ca.crt":                         {kind: record.Other, page: "/ca.crt"},
		"/v1/repositories/a":              {kind: record.Other, page: "/v1/repositories/a"},
		"/v20/a/tags/list":                {kind: record.Other, page: "/v20/a/tags/list"},
	} {
		if got, err := parseRoute(path); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
}

func TestTricksWithPathsAreRefused(t *testing.T) {
	for path, want := range map[string]oci.Code{
		"/v2/../etc/passwd/manifests/latest":                     oci.NameInvalid,
		"/v2/a/../b/manifests/latest":                            oci.NameInvalid,
		"/v2/a/./b/manifests/latest":                             oci.NameInvalid,
		"/v2/a//b/manifests/latest":                              oci.NameInvalid,
		"/v2//manifests/latest":                                  oci.NameInvalid,
		"/v2/manifests/latest":                                   oci.NameInvalid,
		"//v2/a/manifests/latest":                                "",
		"/v2/a/manifests//latest":                                oci.Unsupported,
		"/v2/a%2fb/manifests/latest":                             oci.NameInvalid,
		"/v2/a/%2e%2e/b/manifests/latest":                        oci.NameInvalid,
		"/v2/%61/manifests/latest":                               oci.NameInvalid,
		"/v2/a/manifests/lates%74":                               oci.NameInvalid,
		"/v2/a/blobs/sha256%3A" + strings.Repeat("a", 64):        oci.NameInvalid,
		"/v2/A/manifests/latest":                                 oci.NameInvalid,
		"/v2/a_/manifests/latest":                                oci.NameInvalid,
		"/v2/" + strings.Repeat("a", 256) + "/manifests/latest":  oci.NameInvalid,
		"/v2/" + strings.Repeat("a/", 2000) + "manifests/latest": oci.NameInvalid,
		"/v2/a/manifests/-x":                                     oci.TagInvalid,
		"/v2/a/manifests/":                                       oci.TagInvalid,
		"/v2/a/manifests/" + strings.Repeat("a", 129):            oci.TagInvalid,
		"/v2/a/manifests/sha256:x":                               oci.DigestInvalid,
		"/v2/a/manifests/a@" + sha256A:                           oci.DigestInvalid,
		"/v2/a/blobs/latest":                                     oci.DigestInvalid,
		"/v2/a/blobs/" + strings.ToUpper(sha256A):                oci.DigestInvalid,
		"/v2/a/blobs/" + sha256A + "0":                           oci.DigestInvalid,
		"/v2/a/blobs/md5:" + strings.Repeat("a", 32):             oci.DigestInvalid,
		"/v2/a/referrers/latest":                                 oci.DigestInvalid,
		"/v2/../blobs/uploads/":                                  oci.NameInvalid,
		"/v2/_catalog":                                           oci.Unsupported,
		"/v2/a/tags":                                             oci.Unsupported,
		"/v2/a":                                                  oci.Unsupported,
		"/v2/a/tags/list/":                                       oci.Unsupported,
	} {
		got, err := parseRoute(path)
		var e *oci.Error
		switch {
		case want == "":
			if got.page != path || err != nil {
				t.Errorf("%s: %+v, %v", path, got, err)
			}
		case !errors.As(err, &e) || e.Code != want:
			t.Errorf("%s: %+v, %v; want %s", path, got, err, want)
		case want != oci.Unsupported && e.Status != http.StatusBadRequest:
			t.Errorf("%s: status %d", path, e.Status)
		}
	}
}

// Whatever a client writes as its path, what is taken for a name or a reference has
// one spelling, leads nowhere else, and the path is that which it would be asked for
// under again.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{
		"/v2/", "/v2/a/manifests/latest", "/v2/a/../b/manifests/x", "/v2/a%2fb/tags/list", "/v2/a/blobs/" + sha256A,
		"http://mirror:5000/v2/a/tags/list", "/v2/a/referrers/" + sha512B + "?x=y", "/v2/a/blobs/uploads/", "*", "/v2/a\\b/tags/list", "/v2/é/tags/list",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		raw := (&http.Request{URL: u}).URL.EscapedPath()
		r, err := parseRoute(raw)
		if err != nil {
			var e *oci.Error
			if !errors.As(err, &e) || e.Status < 400 || e.Status > 499 {
				t.Errorf("%q: %v", target, err)
			}
			return
		}
		if r.kind == record.Ping || r.page != "" {
			return
		}
		if path.Clean(raw) != strings.TrimSuffix(raw, "/") && !r.push {
			t.Errorf("%q is taken, though it is %q", raw, path.Clean(raw))
		}
		if name, err := oci.ParseName(r.name); err != nil || name != r.name {
			t.Errorf("%q has the name %q: %v", raw, r.name, err)
		}
		if r.push {
			return
		}
		again := map[record.Kind]string{
			record.Manifest: "manifests/" + r.ref.String(), record.Blob: "blobs/" + r.ref.String(),
			record.Referrers: "referrers/" + r.ref.String(), record.Tags: "tags/list",
		}[r.kind]
		if api+r.name+"/"+again != raw || u.Path != raw {
			t.Errorf("%q is taken for %s of %s", raw, again, r.name)
		}
		if req := httptest.NewRequest(http.MethodGet, "http://x"+raw, nil); req.URL.EscapedPath() != raw {
			t.Errorf("%q becomes %q", raw, req.URL.EscapedPath())
		}
	})
}
