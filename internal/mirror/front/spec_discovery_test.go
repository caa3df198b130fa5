package front

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/internal/mirror/oci"
)

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

func TestSpecBackwardsCompatibility_ReferrersByTagWhereThereIsNoList(t *testing.T) {
	x := newRig(t)
	repo := x.hub.repo("a/b")
	d, _ := repo.image("3", []byte("layer"))
	x.want(x.get("/v2/a/b/referrers/"+string(d)), http.StatusNotFound)
	tag := d.Algorithm() + "-" + d.Hex()
	list := repo.manifest(oci.TypeIndex, tag, []byte(`{"schemaVersion":2,"manifests":[]}`))
	x.want(x.get("/v2/a/b/manifests/"+tag), http.StatusOK, "Docker-Content-Digest", string(list), "Content-Type", oci.TypeIndex)
}
