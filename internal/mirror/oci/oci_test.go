package oci

import (
	"crypto/sha512"
	"encoding"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	digestA = Digest("sha256:" + strings.Repeat("a", 64))
	digestB = Digest("sha512:" + strings.Repeat("0b", 64))
)

func TestNamesAreThoseOfTheSpecification(t *testing.T) {
	for _, s := range []string{
		"a", "0", "library/alpine", "a/b/c/d", "a.b", "a_b", "a__b", "a-b", "a---b", "a--b/c.d_e__f-g", strings.Repeat("a", 255),
		"manifests/blobs/tags", "v2/v2",
	} {
		if got, err := ParseName(s); got != s || err != nil {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "/", "a/", "/a", "a//b", "..", "a/..", "a/../b", ".", "a/.", ".a", "a.", "a..b", "_a", "a_", "a___b", "a._b", "a-_b", "-a", "a-",
		"A", "a/B", "a b", "a%2fb", "a\\b", "a\x00", "a\n", "é", "a/_tags", "a:b", "a@b", "a?b", "a#b", strings.Repeat("a", 256),
	} {
		if got, err := ParseName(s); err == nil || got != "" {
			t.Errorf("%q is taken for a name", s)
		}
	}
}

func TestRegistriesAreHostsWithOrWithoutPort(t *testing.T) {
	for s, want := range map[string]string{
		"docker.io": "docker.io", "GHCR.io": "ghcr.io", "localhost:5000": "localhost:5000", "192.0.2.7": "192.0.2.7",
		"[2001:DB8::1]": "[2001:db8::1]", "[::1]:5000": "[::1]:5000", "a-b.example:65535": "a-b.example:65535",
	} {
		if got, err := ParseRegistry(s); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", ".", "..", "a..b", ".a", "a.", "a/b", "../a", "a:", "a:0", "a:65536", "a:080", "a:-1", "a:b", ":5000", "a:1:2", "-a", "a-",
		"a_b", "user@a", "a%2e", "[::1", "::1", "[192.0.2.7]", "[fe80::1%eth0]", "[]", "[::1]x", "é.example", "\u212a.example", "a\x00b", strings.Repeat("a.", 200) + "a",
	} {
		if got, err := ParseRegistry(s); err == nil || got != "" {
			t.Errorf("%q is taken for a registry: %q", s, got)
		}
	}
}

func TestAReferenceIsATagOrADigest(t *testing.T) {
	for s, want := range map[string]Reference{
		"latest": {Tag: "latest"}, "V1.0_x-y": {Tag: "V1.0_x-y"}, "_": {Tag: "_"}, "0": {Tag: "0"},
		strings.Repeat("t", 128): {Tag: strings.Repeat("t", 128)},
		string(digestA):          {Digest: digestA}, string(digestB): {Digest: digestB},
	} {
		if got, err := ParseReference(s); got != want || err != nil || got.String() != s {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", ".", "..", "-a", ".a", "a/b", "a b", "a%2e", "a+b", "é", "a\n", strings.Repeat("t", 129),
		":", "sha256:", "sha256:" + strings.Repeat("a", 63), "sha256:" + strings.Repeat("a", 65), "sha256:" + strings.Repeat("A", 64),
		"sha256:" + strings.Repeat("g", 64), "SHA256:" + strings.Repeat("a", 64), "sha512:" + strings.Repeat("a", 64),
		"sha384:" + strings.Repeat("a", 96), "md5:" + strings.Repeat("a", 32), "sha256:../" + strings.Repeat("a", 61), "tag@" + string(digestA),
	} {
		if got, err := ParseReference(s); err == nil || got != (Reference{}) {
			t.Errorf("%q is taken for a reference: %+v", s, got)
		}
	}
}

func TestADigestIsThatOfItsContent(t *testing.T) {
	content := []byte("abc") // with the digests that FIPS 180-4's examples give
	small := Digest("sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
	h := sha512.New()
	h.Write(content)
	large := FromHash(SHA512, h)
	if got := FromBytes(content); got != small {
		t.Errorf("digest %s", got)
	}
	if large.Algorithm() != SHA512 || !strings.HasPrefix(large.Hex(), "ddaf35a193617aba") {
		t.Errorf("digest %s", large)
	}
	for _, d := range []Digest{small, large} {
		if !d.Matches(content) || d.Matches([]byte("abd")) {
			t.Errorf("%s does not tell its content from other", d)
		}
		if _, err := ParseDigest(string(d)); err != nil {
			t.Error(err)
		}
		if d.Algorithm()+":"+d.Hex() != string(d) {
			t.Errorf("%s is %s and %s", d, d.Algorithm(), d.Hex())
		}
		if _, ok := d.New().(encoding.BinaryMarshaler); !ok {
			t.Errorf("the state of a hash for %s cannot be kept", d)
		}
	}
}

func TestWhatAManifestNames(t *testing.T) {
	d := func(x Digest) string { return `{"mediaType":"t/x","digest":"` + string(x) + `","size":7}` }
	child := func(x Digest) Descriptor { return Descriptor{MediaType: "t/x", Digest: x, Size: 7} }
	for name, x := range map[string]struct {
		mediaType, body string
		want            Content
	}{
		"a manifest": {
			TypeDocker, `{"config":` + d(digestA) + `,"layers":[` + d(digestB) + `]}`,
			Content{MediaType: TypeDocker, Children: []Descriptor{child(digestA), child(digestB)}},
		},
		"an index": {
			TypeIndex + "; charset=utf-8", `{"manifests":[` + d(digestA) + `,` + d(digestB) + `]}`,
			Content{MediaType: TypeIndex, Children: []Descriptor{child(digestA), child(digestB)}},
		},
		"one with a subject": {
			TypeManifest, `{"config":` + d(digestA) + `,"subject":` + d(digestB) + `}`,
			Content{MediaType: TypeManifest, Children: []Descriptor{child(digestA)}, Subject: &Descriptor{"t/x", digestB, 7}},
		},
		"Docker's first schema": {
			"application/vnd.docker.distribution.manifest.v1+json", `{"fsLayers":[{"blobSum":"` + string(digestA) + `"}]}`,
			Content{MediaType: "application/vnd.docker.distribution.manifest.v1+json", Children: []Descriptor{{MediaType: TypeOctetStream, Digest: digestA}}},
		},
		"a type of its own where none was given": {"", `{"mediaType":"` + TypeDockerList + `"}`, Content{MediaType: TypeDockerList}},
		"a type of its own where a general one was given": {
			"application/json", `{"mediaType":"` + TypeDocker + `"}`, Content{MediaType: TypeDocker},
		},
		"no type, but layers":        {"text/plain", `{"layers":[]}`, Content{MediaType: TypeManifest}},
		"no type, but manifests":     {"", `{"manifests":[]}`, Content{MediaType: TypeIndex}},
		"a type that is no type":     {"a\r\nb: c", `{}`, Content{MediaType: "application/json"}},
		"what nobody has thought of": {"application/x.new+json", `{"a":[1]}`, Content{MediaType: "application/x.new+json"}},
		"layers that are no list":    {TypeManifest, `{"layers":7}`, Content{MediaType: TypeManifest}},
		"a digest that is none, and a size below nothing": {
			TypeManifest, `{"layers":[{"digest":"sha256:../../x"},{"digest":"` + string(digestA) + `","size":-1},` + d(digestB) + `],"subject":{"digest":"x"}}`,
			Content{MediaType: TypeManifest, Children: []Descriptor{child(digestB)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Manifest(x.mediaType, []byte(x.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, body := range map[string]string{
		"nothing": "", "null": "null", "a list": "[]", "text": "<html>", "an object and more": "{}{}",
		"too much": `{"a":"` + strings.Repeat("a", MaxManifest) + `"}`,
	} {
		if got, err := Manifest(TypeManifest, []byte(body)); err == nil {
			t.Errorf("%s is taken for a manifest: %+v", name, got)
		}
	}
}

func TestAnIndexIsToldFromAManifest(t *testing.T) {
	for _, m := range ManifestTypes() {
		if got, want := (Content{MediaType: m}).IsIndex(), strings.Contains(m, "index") || strings.Contains(m, "list"); got != want {
			t.Errorf("%s: index %t", m, got)
		}
	}
}

func TestTheCauseOfAnErrorIsNotForTheClient(t *testing.T) {
	cause := errors.New("dial 192.0.2.1:443: refused")
	e := Errorf(http.StatusBadGateway, "", "the registry %s cannot be reached", "ghcr.io").Because(cause)
	if e.Message != "the registry ghcr.io cannot be reached" || !errors.Is(e, cause) {
		t.Errorf("message %q", e.Message)
	}
	if got := e.Error(); got != "502 UNKNOWN: the registry ghcr.io cannot be reached: dial 192.0.2.1:443: refused" {
		t.Errorf("for the log: %s", got)
	}
	if got := (&Error{Status: http.StatusServiceUnavailable}).Error(); got != "503 UNAVAILABLE" {
		t.Errorf("without message: %s", got)
	}
}
