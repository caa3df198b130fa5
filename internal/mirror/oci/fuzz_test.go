package oci

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// What is accepted leads nowhere else as a file's name or in a URL, and reads the
// same to whoever reads it next.
func FuzzNamesAndReferences(f *testing.F) {
	for _, s := range []string{
		"library/alpine", "a/../b", "latest", "..", "%2e%2e", "a//b", "A", "docker.io", "localhost:5000", "[::1]:5000",
		"sha256:" + strings.Repeat("a", 64), "sha256:..", "a\x00", "a__b", "a-b.c_d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if name, err := ParseName(s); err == nil {
			harmless(t, name)
			if name != s || len(name) > MaxName || strings.ToLower(name) != name {
				t.Errorf("%q is the name %q", s, name)
			}
		}
		if r, err := ParseReference(s); err == nil {
			harmless(t, r.String())
			if r.String() != s || (r.Tag == "") == (r.Digest == "") || strings.Contains(s, "/") {
				t.Errorf("%q is the reference %+v", s, r)
			}
			if r.Digest != "" && len(r.Digest.Hex()) != 2*r.Digest.New().Size() {
				t.Errorf("%q has %d digits", s, len(r.Digest.Hex()))
			}
		}
		if host, err := ParseRegistry(s); err == nil {
			harmless(t, host)
			if again, err := ParseRegistry(host); again != host || err != nil || strings.Contains(host, "/") {
				t.Errorf("%q is the registry %q, which is %q, %v", s, host, again, err)
			}
			if u, err := url.Parse("https://" + host + "/v2/"); err != nil || u.Host != host || u.Path != "/v2/" || u.User != nil {
				t.Errorf("%q as a URL is %v, %v", host, u, err)
			}
		}
	})
}

func harmless(t *testing.T, s string) {
	t.Helper()
	if s == "" || path.Clean("/x/"+s) != "/x/"+s || !filepath.IsLocal(s) {
		t.Errorf("%q leads elsewhere as a path", s)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`%\?#"'<>`, r) }) {
		t.Errorf("%q has bytes that need care", s)
	}
}

// Whatever a registry answers is read without harm: children have digests and sizes,
// and the type can stand in a header.
func FuzzManifest(f *testing.F) {
	f.Add(TypeManifest, []byte(`{"schemaVersion":2,"config":{"digest":"sha256:`+strings.Repeat("a", 64)+`","size":1},"layers":[{"digest":"x"}]}`))
	f.Add(TypeIndex+"; a=b", []byte(`{"manifests":[{}],"subject":{}}`))
	f.Add("", []byte(`{"fsLayers":[{"blobSum":"sha256:`+strings.Repeat("0", 64)+`"}],"mediaType":"a/b\r\nc"}`))
	f.Fuzz(func(t *testing.T, mediaType string, body []byte) {
		c, err := Manifest(mediaType, body)
		if err != nil {
			return
		}
		if c.MediaType == "" || MediaType(c.MediaType) != c.MediaType || strings.ContainsAny(c.MediaType, "\r\n;, ") {
			t.Errorf("type %q", c.MediaType)
		}
		list := c.Children
		if c.Subject != nil {
			list = append(list, *c.Subject)
		}
		for _, d := range list {
			if _, err := ParseDigest(string(d.Digest)); err != nil || d.Size < 0 {
				t.Errorf("child %+v: %v", d, err)
			}
		}
	})
}
