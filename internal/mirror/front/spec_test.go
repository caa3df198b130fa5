package front

// Every rule of the OCI distribution specification about a registry that is pulled
// from, and the test that holds it, here, in spec_pull_test.go or in
// spec_discovery_test.go. The sections are named as there.
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
