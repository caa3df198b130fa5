package front

// Every rule of the OCI distribution specification about a registry that is pulled
// from, and the test that holds it. The sections are named as there.
//
//	Pull, Pulling manifests
//	  the reference is a digest or a tag, nothing else       TestSpecPullingManifests_AReferenceIsADigestOrATag
//	  grammar of names and tags                              TestSpecPullingManifests_NamesAndTagsMatchTheirGrammar
//	  200 with the manifest and its digest                   TestSpecPullingManifests_AManifestComesWithItsDigest
//	  Content-Type is the pushed one, without parameters     TestSpecPullingManifests_TheTypeIsThatOfThePush
//	  404 for what is not there                              TestSpecPullingManifests_WhatIsNotThereIs404
//	Pull, Pulling blobs
//	  200 with the blob and a digest that matches it         TestSpecPullingBlobs_ABlobComesWithItsDigest
//	  404 for what is not there                              TestSpecPullingBlobs_WhatIsNotThereIs404
//	  Range, RFC 9110, section 14                            TestSpecPullingBlobs_RangesAsInRFC9110
//	Pull, Checking if content exists
//	  200 with digest and length                             TestSpecCheckingIfContentExists_DigestAndLengthWithoutABody
//	  404 for what is not there                              TestSpecCheckingIfContentExists_WhatIsNotThereIs404
//	Push; Content Management (deleting tags, manifests, blobs)
//	  400 or 405 where it is disabled                        TestSpecPushAndContentManagement_AreRefused
//	Content Discovery, Listing Tags
//	  200, name and tags in order                            TestSpecListingTags_NameAndTagsInOrder
//	  an empty list                                          TestSpecListingTags_AnEmptyListIsNoNull
//	  n, last and both                                       TestSpecListingTags_AsManyAsAskedForAfterTheLast
//	  n is 0: nothing, and no Link                           TestSpecListingTags_NoneIsAskedFor
//	  Link, RFC 5988, rel="next"                             TestSpecListingTags_TheLinkLeadsOnThroughTheMirror
//	Content Discovery, Listing Referrers
//	  200 with an index of its type                          TestSpecListingReferrers_AnIndexOfDescriptors
//	  never 404 where there is such a list                   TestSpecListingReferrers_NoneIsAnEmptyIndex
//	  400 for an invalid digest                              TestSpecListingReferrers_AnInvalidDigestIs400
//	  artifactType and OCI-Filters-Applied                   TestSpecListingReferrers_FilteredByType
//	  Link, RFC 5988, rel="next"                             TestSpecListingReferrers_TheLinkLeadsOnThroughTheMirror
//	Registry Proxying
//	  ns names the registry, OCI-Namespace says so           TestSpecRegistryProxying_NsNamesTheRegistry
//	  no credentials for the upstream without consent        TestSpecRegistryProxying_APasswordForTheMirrorIsNotPassedOn
//	Backwards Compatibility
//	  404 where there is no such list, and the tag instead   TestSpecBackwardsCompatibility_ReferrersByTagWhereThereIsNoList
//	API
//	  HTTP semantics of RFC 9110                             TestSpecAPI_ConditionsOfRFC9110
//	API, Determining Support
//	  /v2/ is 200                                            TestSpecDeterminingSupport_200
//	API, Error Codes
//	  form of the body, codes of the table                   TestSpecErrorCodes_FormAndCodes
//	  429 has Retry-After                                    TestSpecErrorCodes_TooManyRequestsSayWhenToComeBack
//	API, Warnings
//	  299, no agent, no date, 4096 bytes                     TestSpecWarnings_StaleAnswersAreMarked

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

// codes are those of the section's table, and of the paragraph on those of Docker's
// API.
var codes = []oci.Code{
	"BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN",
	"NAME_INVALID", "NAME_UNKNOWN", "SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS", "TAG_INVALID",
}

var noDigest = oci.FromBytes([]byte("there is no such content"))

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

func TestSpecPushAndContentManagement_AreRefused(t *testing.T) {
	x := newRig(t)
	m, b := x.hub.repo("a/b").image("3", []byte("layer"))
	for _, request := range []string{
		"POST /v2/a/b/blobs/uploads/", "POST /v2/a/b/blobs/uploads/?digest=" + string(b), "POST /v2/a/b/blobs/uploads/?mount=" + string(b) + "&from=a/c",
		"PATCH /v2/a/b/blobs/uploads/1", "PUT /v2/a/b/blobs/uploads/1?digest=" + string(b), "GET /v2/a/b/blobs/uploads/1", "DELETE /v2/a/b/blobs/uploads/1",
		"PUT /v2/a/b/manifests/4", "PUT /v2/a/b/manifests/" + string(m) + "?tag=1&tag=2", "DELETE /v2/a/b/manifests/3",
		"DELETE /v2/a/b/manifests/" + string(m), "DELETE /v2/a/b/blobs/" + string(b), "PUT /v2/", "OPTIONS /v2/", "POST /ca.crt",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := x.do(method, path)
		if strings.HasPrefix(path, "/v2/") {
			x.wantError(a, http.StatusMethodNotAllowed, oci.Unsupported)
		}
		if _, ok := a.Header["Allow"]; !ok || a.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d, without Allow", request, a.StatusCode)
		}
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("the upstream was told: %q", asked)
	}
}

func (x *rig) tagList(path string) (name string, tags []string, a answer) {
	x.t.Helper()
	a = x.get(path)
	var list struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(a.body, &list); err != nil || list.Tags == nil || a.StatusCode != http.StatusOK {
		x.t.Fatalf("%s: %d: %s", path, a.StatusCode, a.body)
	}
	return list.Name, list.Tags, a
}

func TestSpecListingTags_NameAndTagsInOrder(t *testing.T) {
	x := newRig(t)
	for _, tag := range []string{"b", "1.0", "a", "_x", "A"} {
		x.hub.repo("library/alpine").image(tag, []byte(tag))
	}
	for path, name := range map[string]string{
		"/v2/library/alpine/tags/list": "library/alpine", "/v2/alpine/tags/list": "alpine", "/v2/docker.io/alpine/tags/list": "docker.io/alpine",
	} {
		got, tags, a := x.tagList(path)
		if got != name || !slices.Equal(tags, []string{"1.0", "A", "_x", "a", "b"}) {
			t.Errorf("%s: %s %q", path, got, tags)
		}
		x.want(a, http.StatusOK, "Content-Type", "application/json", "Link", "")
	}
	// A registry that has them in no order.
	x.hub.failing(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.WriteString(w, `{"name":"x","tags":["c","a","b"]}`)
		return true
	})
	if _, tags, _ := x.tagList("/v2/library/alpine/tags/list"); !slices.Equal(tags, []string{"a", "b", "c"}) {
		t.Errorf("tags %q", tags)
	}
	x.hub.failing(nil)
	x.want(x.get("/v2/library/nothing/tags/list"), http.StatusNotFound)
}

func TestSpecListingTags_AnEmptyListIsNoNull(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b")
	if _, tags, _ := x.tagList("/v2/a/b/tags/list"); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
	x.hub.failing(func(w http.ResponseWriter, r *http.Request) bool {
		_, _ = io.WriteString(w, `{"name":"a/b","tags":null}`)
		return true
	})
	if _, tags, _ := x.tagList("/v2/a/b/tags/list"); len(tags) != 0 {
		t.Errorf("tags %q", tags)
	}
}

func TestSpecListingTags_AsManyAsAskedForAfterTheLast(t *testing.T) {
	x := newRig(t)
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		x.hub.repo("a/b").image(tag, []byte(tag))
	}
	for _, old := range []bool{false, true} { // a registry that knows neither parameter
		x.hub.repo("a/b").old = old
		x.tagPages()
	}
	for _, query := range []string{"n=-1", "n=x", "n=", "n=1&n=2", "n=1%20"} {
		x.wantError(x.get("/v2/a/b/tags/list?"+query), http.StatusBadRequest, oci.Unsupported)
	}
}

func (x *rig) tagPages() {
	x.t.Helper()
	for query, want := range map[string]string{
		"n=2": "a b", "n=99": "a b c d e", "n=2&last=b": "c d", "last=c": "d e", "last=e": "", "n=1&last=d": "e", "n=007": "a b c d e",
	} {
		if _, tags, _ := x.tagList("/v2/a/b/tags/list?" + query); strings.Join(tags, " ") != want {
			x.t.Errorf("%s: %q", query, tags)
		}
	}
}

func TestSpecListingTags_NoneIsAskedFor(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("a/b")
	repo.image("a", []byte("a"))
	repo.page = 1
	repo.image("b", []byte("b"))
	_, tags, a := x.tagList("/v2/a/b/tags/list?n=0")
	if len(tags) != 0 || a.Header.Get("Link") != "" {
		t.Errorf("%q, Link %q", tags, a.Header.Get("Link"))
	}
}

var linkForm = regexp.MustCompile(`^<(/v2/[^<>]*)>; rel="next"$`)

func TestSpecListingTags_TheLinkLeadsOnThroughTheMirror(t *testing.T) {
	x := newRig(t)
	repo := x.ghcr.repo("acme/app")
	var want []string
	for i := range 7 {
		tag := fmt.Sprint("v", i)
		repo.image(tag, []byte(tag))
		want = append(want, tag)
	}
	for _, page := range []int{2, 0} {
		repo.page, repo.old = page, page == 0
		x.follow(want)
	}
}

// follow reads a list page by page.
func (x *rig) follow(want []string) {
	x.t.Helper()
	for _, path := range []string{"/v2/ghcr.io/acme/app/tags/list", "/v2/acme/app/tags/list?ns=ghcr.io", "/v2/ghcr.io/acme/app/tags/list?n=1"} {
		var got []string
		next := path
		for range 20 {
			_, tags, a := x.tagList(next)
			got = append(got, tags...)
			link := a.Header.Get("Link")
			if link == "" {
				break
			}
			m := linkForm.FindStringSubmatch(link)
			if m == nil {
				x.t.Fatalf("%s: Link %q", next, link)
			}
			next = m[1]
		}
		if !slices.Equal(got, want) {
			x.t.Errorf("%s: %q", path, got)
		}
	}
}

func (x *rig) referrersOf(path string) (types []string, a answer) {
	x.t.Helper()
	a = x.get(path)
	x.want(a, http.StatusOK, "Content-Type", oci.TypeIndex)
	var list struct {
		SchemaVersion int
		MediaType     string
		Manifests     []struct {
			ArtifactType string
			Annotations  map[string]string
			Digest       oci.Digest
		}
	}
	if err := json.Unmarshal(a.body, &list); err != nil || list.SchemaVersion != 2 || list.MediaType != oci.TypeIndex || list.Manifests == nil {
		x.t.Fatalf("%s: %s", path, a.body)
	}
	for _, m := range list.Manifests {
		if m.Digest != noDigest || m.Annotations["a"] != "b" {
			x.t.Errorf("%s: descriptor %+v", path, m)
		}
		types = append(types, m.ArtifactType)
	}
	return types, a
}

// referred gives a repository a manifest with two referrers.
func referred(r *repo) oci.Digest {
	d, _ := r.image("3", []byte("layer"))
	of := func(artifactType string) map[string]any {
		return map[string]any{
			"mediaType": oci.TypeManifest, "digest": noDigest, "size": 7, "artifactType": artifactType, "annotations": map[string]string{"a": "b"},
		}
	}
	r.referrers = map[oci.Digest][]map[string]any{d: {of("application/sbom"), of("application/signature+x")}}
	return d
}

func TestSpecListingReferrers_AnIndexOfDescriptors(t *testing.T) {
	x := newRig(t)
	d := referred(x.hub.repo("a/b"))
	types, _ := x.referrersOf("/v2/a/b/referrers/" + string(d))
	if !slices.Equal(types, []string{"application/sbom", "application/signature+x"}) {
		t.Errorf("types %q", types)
	}
}

func TestSpecListingReferrers_NoneIsAnEmptyIndex(t *testing.T) {
	x := newRig(t)
	referred(x.hub.repo("a/b"))
	if types, _ := x.referrersOf("/v2/a/b/referrers/" + string(noDigest)); len(types) != 0 {
		t.Errorf("types %q", types)
	}
}

func TestSpecListingReferrers_AnInvalidDigestIs400(t *testing.T) {
	x := newRig(t)
	referred(x.hub.repo("a/b"))
	for _, s := range []string{"latest", "sha256:abc", "sha256:" + strings.Repeat("G", 64)} {
		x.wantError(x.get("/v2/a/b/referrers/"+s), http.StatusBadRequest, oci.DigestInvalid)
	}
}

func TestSpecListingReferrers_FilteredByType(t *testing.T) {
	for name, byUpstream := range map[string]bool{"by the upstream": true, "by the mirror": false} {
		t.Run(name, func(t *testing.T) {
			x := newRig(t)
			repo := x.hub.repo("a/b")
			d := referred(repo)
			repo.filters = byUpstream
			for query, want := range map[string]string{
				"artifactType=application/sbom": "application/sbom", "artifactType=application%2Fsignature%2Bx": "application/signature+x", "artifactType=x": "",
			} {
				types, a := x.referrersOf("/v2/a/b/referrers/" + string(d) + "?" + query)
				if strings.Join(types, " ") != want {
					t.Errorf("%s: %q", query, types)
				}
				x.want(a, http.StatusOK, "OCI-Filters-Applied", "artifactType")
			}
			if types, a := x.referrersOf("/v2/a/b/referrers/" + string(d)); len(types) != 2 || a.Header.Get("OCI-Filters-Applied") != "" {
				t.Errorf("without a filter: %q", types)
			}
		})
	}
}

func TestSpecListingReferrers_TheLinkLeadsOnThroughTheMirror(t *testing.T) {
	x := newRig(t)
	d := referred(x.ghcr.repo("a/b"))
	x.ghcr.failing(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") && !r.URL.Query().Has("page") {
			w.Header().Set("Link", `<`+x.ghcr.URL+`/v2/a/b/referrers/`+string(d)+`?page=2&ns=evil.example>; rel="next"`)
		}
		return false
	})
	path := "/v2/ghcr.io/a/b/referrers/" + string(d)
	_, a := x.referrersOf(path)
	x.want(a, http.StatusOK, "Link", `<`+path+`?page=2>; rel="next"`)
	_, a = x.referrersOf(path + "?page=2")
	x.want(a, http.StatusOK, "Link", "")
}

func TestSpecRegistryProxying_NsNamesTheRegistry(t *testing.T) {
	x := newRig(t)
	ofHub, _ := x.hub.repo("library/alpine").image("3", []byte("docker's"))
	ofGHCR, _ := x.ghcr.repo("library/alpine").image("3", []byte("github's"))
	x.want(x.get("/v2/library/alpine/manifests/3"), http.StatusOK, "Docker-Content-Digest", string(ofHub), "OCI-Namespace", "")
	x.want(x.get("/v2/library/alpine/manifests/3?ns=ghcr.io"), http.StatusOK, "Docker-Content-Digest", string(ofGHCR), "OCI-Namespace", "ghcr.io")
	x.want(x.get("/v2/library/alpine/manifests/3?ns=docker.io"), http.StatusOK, "Docker-Content-Digest", string(ofHub), "OCI-Namespace", "docker.io")
	x.hub.requests()
	x.wantError(x.get("/v2/library/alpine/manifests/3?ns=quay.io"), http.StatusNotFound, oci.NameUnknown)
	for _, query := range []string{"ns=ghcr.io&ns=docker.io", "ns=%zz", "ns=ghcr.io;x", "ns=a%0d%0ab:c", "ns=../x", "ns="} {
		if a := x.get("/v2/library/alpine/manifests/3?" + query); a.StatusCode != http.StatusBadRequest || a.Header.Get("OCI-Namespace") != "" {
			t.Errorf("%s: %d, OCI-Namespace %q", query, a.StatusCode, a.Header.Get("OCI-Namespace"))
		}
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("docker.io was asked instead: %q", asked)
	}
}

func TestSpecRegistryProxying_APasswordForTheMirrorIsNotPassedOn(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b").image("3", []byte("layer"))
	var seen []string
	x.hub.failing(func(_ http.ResponseWriter, r *http.Request) bool {
		seen = append(seen, r.Header.Values("Authorization")...)
		return false
	})
	x.want(x.get("/v2/a/b/manifests/3", "Authorization", "Basic YTpi"), http.StatusOK)
	if len(seen) > 0 {
		t.Errorf("the upstream was given %q", seen)
	}
}

func TestSpecBackwardsCompatibility_ReferrersByTagWhereThereIsNoList(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("a/b")
	d, _ := repo.image("3", []byte("layer"))
	x.want(x.get("/v2/a/b/referrers/"+string(d)), http.StatusNotFound)
	tag := d.Algorithm() + "-" + d.Hex()
	list := repo.manifest(oci.TypeIndex, tag, []byte(`{"schemaVersion":2,"manifests":[]}`))
	x.want(x.get("/v2/a/b/manifests/"+tag), http.StatusOK, "Docker-Content-Digest", string(list), "Content-Type", oci.TypeIndex)
}

func TestSpecAPI_ConditionsOfRFC9110(t *testing.T) {
	x := newRig(t)
	m, b := x.hub.repo("a/b").image("3", noise(10_000))
	for range 2 {
		for path, d := range map[string]oci.Digest{
			"/v2/a/b/manifests/3": m, "/v2/a/b/manifests/" + string(m): m, "/v2/a/b/blobs/" + string(b): b,
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				x.want(x.do(method, path, "If-None-Match", `"`+string(d)+`"`), http.StatusNotModified, "ETag", `"`+string(d)+`"`)
				x.want(x.do(method, path, "If-None-Match", `"another", W/"`+string(d)+`"`), http.StatusNotModified)
			}
			x.want(x.get(path, "If-None-Match", `"another"`), http.StatusOK, "ETag", `"`+string(d)+`"`)
		}
	}
	x.want(x.get("/v2/a/b/blobs/"+string(noDigest), "If-None-Match", "*"), http.StatusNotFound)
}

func TestSpecDeterminingSupport_200(t *testing.T) {
	x := newRig(t)
	for _, path := range []string{"/v2/", "/v2"} {
		a := x.get(path)
		x.want(a, http.StatusOK, "Content-Type", "application/json", "Docker-Distribution-Api-Version", "registry/2.0")
		if !json.Valid(a.body) {
			t.Errorf("%s: %q", path, a.body)
		}
		x.want(x.head(path), http.StatusOK)
	}
	if asked := x.hub.requests(); len(asked) > 0 {
		t.Errorf("the upstream was asked: %q", asked)
	}
}

func TestSpecErrorCodes_FormAndCodes(t *testing.T) {
	x := newRig(t)
	x.hub.repo("a/b").image("3", []byte("layer"))
	form := regexp.MustCompile(`^[A-Z_]+$`)
	for _, request := range []string{
		"GET /v2/A/manifests/3", "GET /v2/a/b/manifests/-", "GET /v2/a/b/blobs/x", "GET /v2/a/b/manifests/4", "GET /v2/a/b/blobs/" + string(noDigest),
		"GET /v2/a/c/tags/list", "GET /v2/quay.io/a/manifests/3", "PUT /v2/a/b/manifests/3", "GET /v2/_catalog", "GET /v2/a/b/c", "GET /v2/a/b/tags/list?n=x",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := x.do(method, path)
		var body struct {
			Errors []struct {
				Code    oci.Code `json:"code"`
				Message *string  `json:"message"`
			} `json:"errors"`
		}
		d := json.NewDecoder(bytes.NewReader(a.body))
		d.DisallowUnknownFields()
		if err := d.Decode(&body); err != nil || len(body.Errors) == 0 || a.StatusCode/100 != 4 {
			t.Errorf("%s: %d, %v: %s", request, a.StatusCode, err, a.body)
			continue
		}
		for _, e := range body.Errors {
			if !form.MatchString(string(e.Code)) || !slices.Contains(codes, e.Code) || e.Message == nil {
				t.Errorf("%s: %s", request, a.body)
			}
		}
	}
}

func TestSpecErrorCodes_TooManyRequestsSayWhenToComeBack(t *testing.T) {
	x := newRig(t)
	x.hub.failing(answering(http.StatusTooManyRequests, "Retry-After", "17"))
	a := x.get("/v2/a/b/manifests/3")
	x.wantError(a, http.StatusTooManyRequests, oci.TooManyRequests)
	x.want(a, http.StatusTooManyRequests, "Retry-After", "17")
}

func TestSpecWarnings_StaleAnswersAreMarked(t *testing.T) {
	x := newRig(t, func(s *setup) { s.tagTTL = 0 })
	d, _ := x.hub.repo("a/b").image("3", []byte("layer"))
	x.want(x.get("/v2/a/b/manifests/3"), http.StatusOK, "Warning", "")
	x.hub.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := x.do(method, "/v2/a/b/manifests/3")
		x.want(a, http.StatusOK, "Docker-Content-Digest", string(d))
		warnings := a.Header.Values("Warning")
		if len(warnings) != 1 || len(warnings[0]) > 4096 || !regexp.MustCompile(`^299 - "([^"\\]|\\.)*"$`).MatchString(warnings[0]) {
			t.Errorf("Warning %q", warnings)
		}
	}
	if r := x.last(3); r.How != record.Stale || r.StaleReason == "" {
		t.Errorf("record %+v", r)
	}
	// By digest it is what it is: nothing is out of date.
	x.want(x.get("/v2/a/b/manifests/"+string(d)), http.StatusOK, "Warning", "")
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 7)
	}
	return b
}
