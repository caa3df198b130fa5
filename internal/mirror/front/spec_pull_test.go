package front

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
)

func TestSpecPullingManifests_AReferenceIsADigestOrATag(t *testing.T) {
	x := newRig(t)
	d, _ := x.hub.repo("library/alpine").image("3", []byte("layer"))
	for _, ref := range []string{"3", string(d)} {
		x.want(x.get("/v2/library/alpine/manifests/"+ref), http.StatusOK)
	}
	for ref, code := range map[string]oci.Code{
		"3@" + string(d): oci.DigestInvalid, "sha256:abc": oci.DigestInvalid, strings.ToUpper(string(d)): oci.DigestInvalid, "md5:abc": oci.DigestInvalid,
	} {
		x.wantError(x.get("/v2/library/alpine/manifests/"+ref), http.StatusBadRequest, code)
	}
}

func TestSpecPullingManifests_NamesAndTagsMatchTheirGrammar(t *testing.T) {
	x := newRig(t)
	tag := "_" + strings.Repeat("T-.", 42) + "x"
	for _, name := range []string{"a", "a.b_c__d-e--f", "a/b/c/d"} {
		x.hub.repo(strings.TrimPrefix("library/"+name, map[bool]string{true: "library/"}[strings.Contains(name, "/")])).image(tag, []byte(name))
		x.want(x.get("/v2/"+name+"/manifests/"+tag), http.StatusOK)
	}
	x.hub.requests()
	for _, name := range []string{"A", "a..b", "-a", "a_", "a//b", "a/../b", "a%2Fb"} {
		x.wantError(x.get("/v2/"+name+"/manifests/x"), http.StatusBadRequest, oci.NameInvalid)
	}
	for _, tag := range []string{"-x", ".x", "x+y", strings.Repeat("x", 129)} {
		x.wantError(x.get("/v2/a/manifests/"+tag), http.StatusBadRequest, oci.TagInvalid)
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked for what has no right name: %q", asked)
	}
}

func TestSpecPullingManifests_AManifestComesWithItsDigest(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("library/alpine")
	d, _ := repo.image("3", []byte("layer"))
	for _, ref := range []string{"3", "3", string(d), string(d)} { // fetched, kept
		a := x.get("/v2/library/alpine/manifests/" + ref)
		x.want(a, http.StatusOK, "Docker-Content-Digest", string(d))
		if !bytes.Equal(a.body, repo.manifests[d].body) {
			t.Errorf("%s: %s", ref, a.body)
		}
	}
}

func TestSpecPullingManifests_TheTypeIsThatOfThePush(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("a/b")
	for tag, pushed := range map[string]string{
		"oci": oci.TypeManifest, "index": oci.TypeIndex, "docker": oci.TypeDocker, "list": oci.TypeDockerList, "parameter": oci.TypeManifest + "; charset=utf-8",
	} {
		repo.manifest(pushed, tag, []byte(`{"schemaVersion":2,"annotations":{"tag":"`+tag+`"}}`))
		want, _, _ := strings.Cut(pushed, ";")
		for range 2 {
			x.want(x.get("/v2/a/b/manifests/"+tag), http.StatusOK, "Content-Type", want)
		}
		x.want(x.head("/v2/a/b/manifests/"+tag), http.StatusOK, "Content-Type", want)
	}
}

func TestSpecPullingManifests_WhatIsNotThereIs404(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b").image("3", []byte("layer"))
	x.wantError(x.get("/v2/a/b/manifests/4"), http.StatusNotFound, oci.ManifestUnknown)
	x.wantError(x.get("/v2/a/b/manifests/"+string(noDigest)), http.StatusNotFound, oci.ManifestUnknown)
	x.want(x.get("/v2/a/c/manifests/3"), http.StatusNotFound)
	x.wantError(x.get("/v2/quay.io/a/b/manifests/3"), http.StatusNotFound, oci.NameUnknown) // of a registry that is not mirrored
}

func TestSpecPullingBlobs_ABlobComesWithItsDigest(t *testing.T) {
	x := newRig(t)
	layer := noise(3 << 20)
	_, d := x.hub.repo("a/b").image("3", layer)
	for range 2 { // fetched, kept
		a := x.get("/v2/a/b/blobs/" + string(d))
		x.want(a, http.StatusOK, "Docker-Content-Digest", string(d), "Content-Length", fmt.Sprint(len(layer)), "Content-Type", "application/octet-stream")
		if !d.Matches(a.body) || a.err != nil {
			t.Errorf("%d bytes of other content, %v", len(a.body), a.err)
		}
	}
}

func TestSpecPullingBlobs_WhatIsNotThereIs404(t *testing.T) {
	x := newRig(t)
	_, d := x.hub.repo("a/b").image("3", []byte("layer"))
	x.hub.repo("a/c").image("3", []byte("another"))
	x.want(x.get("/v2/a/b/blobs/"+string(d)), http.StatusOK)
	x.wantError(x.get("/v2/a/b/blobs/"+string(noDigest)), http.StatusNotFound, oci.BlobUnknown)
	// It is in the cache, but not in this repository.
	x.wantError(x.get("/v2/a/c/blobs/"+string(d)), http.StatusNotFound, oci.BlobUnknown)
	x.wantError(x.get("/v2/a/b/blobs/latest"), http.StatusBadRequest, oci.DigestInvalid)
}

func TestSpecPullingBlobs_RangesAsInRFC9110(t *testing.T) {
	layer := noise(3 << 20)
	size := len(layer)
	whole := func(a answer) bool { return a.StatusCode == http.StatusOK && bytes.Equal(a.body, layer) }
	part := func(first, last int) func(answer) bool {
		return func(a answer) bool {
			return a.StatusCode == http.StatusPartialContent && bytes.Equal(a.body, layer[first:last+1]) &&
				a.Header.Get("Content-Range") == fmt.Sprintf("bytes %d-%d/%d", first, last, size) && a.ContentLength == int64(last-first+1)
		}
	}
	for name, warm := range map[string]bool{"kept": true, "not kept": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			none := func(a answer) bool { // how long it is, is known of what is kept; the field is a SHOULD
				return a.StatusCode == http.StatusRequestedRangeNotSatisfiable && (!warm || a.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", size))
			}
			for field, right := range map[string]func(answer) bool{
				"bytes=0-0": part(0, 0), "bytes=5-9": part(5, 9), "bytes=2097152-": part(2<<20, size-1), "bytes=-7": part(size-7, size-1),
				"bytes=-99999999": part(0, size-1), "bytes=9-99999999": part(9, size-1), "bytes=0-1,5-6": whole, "bytes=9-5": whole, "lines=1-2": whole,
				fmt.Sprintf("bytes=%d-", size): none, "bytes=99999999-": none,
			} {
				x := newRig(t)
				_, d := x.hub.repo("a/b").image("3", layer)
				path := "/v2/a/b/blobs/" + string(d)
				if warm {
					x.want(x.get(path), http.StatusOK, "Accept-Ranges", "bytes")
				}
				a := x.get(path, "Range", field)
				if !right(a) {
					t.Errorf("%s: %d, %q, %d bytes", field, a.StatusCode, a.Header.Get("Content-Range"), len(a.body))
				}
				if a.StatusCode != http.StatusRequestedRangeNotSatisfiable {
					x.want(a, a.StatusCode, "Docker-Content-Digest", string(d), "ETag", `"`+string(d)+`"`)
				}
			}
		})
	}
	// A range is of what the client has begun with, and of a GET.
	x := newRig(t)
	_, d := x.hub.repo("a/b").image("3", layer)
	path := "/v2/a/b/blobs/" + string(d)
	for range 2 {
		x.want(x.head(path, "Range", "bytes=5-9"), http.StatusOK, "Content-Length", fmt.Sprint(size), "Content-Range", "")
		x.want(x.get(path, "Range", "bytes=5-9", "If-Range", `"`+string(d)+`"`), http.StatusPartialContent)
		x.want(x.get(path, "Range", "bytes=5-9", "If-Range", `"another"`), http.StatusOK)
	}
}

func TestSpecCheckingIfContentExists_DigestAndLengthWithoutABody(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("a/b")
	m, b := repo.image("3", noise(100_000))
	for _, warm := range []bool{false, true} {
		for path, size := range map[string]int{
			"/v2/a/b/manifests/3":            len(repo.manifests[m].body),
			"/v2/a/b/manifests/" + string(m): len(repo.manifests[m].body),
			"/v2/a/b/blobs/" + string(b):     100_000,
		} {
			d := m
			if strings.Contains(path, "/blobs/") {
				d = b
			}
			a := x.head(path)
			x.want(a, http.StatusOK, "Docker-Content-Digest", string(d), "Content-Length", fmt.Sprint(size))
			if len(a.body) > 0 {
				t.Errorf("HEAD %s: a body of %d bytes", path, len(a.body))
			}
			if !warm {
				x.want(x.get(path), http.StatusOK, "Content-Length", fmt.Sprint(size))
			}
		}
	}
}

func TestSpecCheckingIfContentExists_WhatIsNotThereIs404(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b").image("3", []byte("layer"))
	for _, path := range []string{"manifests/4", "manifests/" + string(noDigest), "blobs/" + string(noDigest)} {
		x.want(x.head("/v2/a/b/"+path), http.StatusNotFound, "Docker-Content-Digest", "", "ETag", "")
		x.want(x.head("/v2/a/c/"+path), http.StatusNotFound)
	}
}
