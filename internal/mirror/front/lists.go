package front

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/pull"
	"sluice/internal/mirror/record"
)

// maxList is the most bytes of a list of tags that are read: those of some hundred
// thousand. Registries give their longer lists in pages.
const maxList = 16 << 20

// smallList is what is read of a list without a place among the large ones: more than a
// thousand tags, which is what pages have.
const smallList = 128 << 10

// tags answers tags/list. Lists are passed on, never kept.
func (x *exchange) tags(req pull.Request) error {
	n, err := x.numberOfTags()
	if err != nil {
		return err
	}
	var list struct {
		Tags []string `json:"tags"`
	}
	body, err := x.list(req, "tags/list", maxList, &list, func(upstream http.Header) any {
		tags, cut := x.pageOf(list.Tags, n)
		switch {
		case n == 0:
		case cut:
			x.setLink("tags/list", url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}})
		default:
			x.linkOn(upstream, "tags/list")
		}
		// The name is the one that was asked for: clients compare.
		return struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}{x.route.name, tags}
	})
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", "application/json")
	return x.write(body)
}

// numberOfTags returns how many tags are asked for, or -1 for all.
func (x *exchange) numberOfTags() (int, error) {
	given := x.values["n"]
	if len(given) == 0 {
		return -1, nil
	}
	n, ok := parsePos(given[0])
	if !ok || len(given) > 1 {
		return 0, oci.Errorf(http.StatusBadRequest, oci.Unsupported, "n is not a number of tags")
	}
	return int(min(n, maxList)), nil
}

// pageOf puts tags in order, and does what registries do not that know neither "n" nor
// "last", as docker-registry 2.8: the section "Listing Tags" has both. cut says that
// there are more.
func (x *exchange) pageOf(tags []string, n int) (page []string, cut bool) {
	page = slices.Clone(tags)
	if page == nil {
		page = []string{} // some registries say null
	}
	if !slices.IsSorted(page) && !slices.IsSortedFunc(page, lexical) {
		slices.Sort(page)
	}
	// What "last" names is never on the page behind it. Where it is not in the list, it
	// may be no tag, and the registry's order one of its own.
	if i := slices.Index(page, x.values.Get("last")); i >= 0 {
		page = page[i+1:]
	}
	if n < 0 || len(page) <= n {
		return page, false
	}
	return page[:n], true
}

func lexical(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// index is an image index with its descriptors as they are.
type index struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	Manifests     []json.RawMessage `json:"manifests"`
	Annotations   json.RawMessage   `json:"annotations,omitempty"`
}

// referrers answers with the list of what refers to a manifest. Where the upstream has
// not filtered it by type, it is done here.
func (x *exchange) referrers(req pull.Request) error {
	path := "referrers/" + string(req.Ref.Digest)
	var list index
	body, err := x.list(req, path, oci.MaxManifest, &list, func(upstream http.Header) any {
		list.SchemaVersion, list.MediaType = 2, oci.TypeIndex
		if list.Manifests == nil {
			list.Manifests = []json.RawMessage{}
		}
		if types := x.values["artifactType"]; len(types) == 1 && types[0] != "" {
			if !applied(upstream, "artifactType") {
				list.Manifests = slices.DeleteFunc(list.Manifests, func(d json.RawMessage) bool { return artifactType(d) != types[0] })
			}
			x.w.Header().Set("OCI-Filters-Applied", "artifactType")
		}
		x.linkOn(upstream, path)
		return list
	})
	if err != nil {
		return err
	}
	x.w.Header().Set("Content-Type", oci.TypeIndex)
	return x.write(body)
}

func applied(h http.Header, filter string) bool {
	return slices.ContainsFunc(strings.Split(h.Get("OCI-Filters-Applied"), ","), func(s string) bool { return strings.TrimSpace(s) == filter })
}

func artifactType(descriptor json.RawMessage) string {
	var d struct {
		ArtifactType string `json:"artifactType"`
	}
	_ = json.Unmarshal(descriptor, &d) // what is no descriptor has no type
	return d.ArtifactType
}

// list fetches a JSON object of at most limit bytes, and returns the body of the answer
// that is made of it. Only so many large ones are taken apart at the same time: each
// takes several times its length of memory, and any client may ask for them.
func (x *exchange) list(req pull.Request, path string, limit int64, into any, answer func(upstream http.Header) any) ([]byte, error) {
	req.Head = false // the length of the answer is only known when it has been made
	ctx := x.r.Context()
	resp, err := x.Mirror.Passed(ctx, req, path, x.passedQuery().Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	x.record.How = record.Passed
	body, err := io.ReadAll(io.LimitReader(resp.Body, smallList))
	if err == nil && len(body) == smallList {
		leave, full := x.Mirror.EnterLarge(ctx)
		if full != nil {
			return nil, full
		}
		defer leave()
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(resp.Body, limit+1-smallList))
		body = append(body, rest...)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s of %s: %w", path, req.Repo, err)
	case int64(len(body)) > limit:
		return nil, oci.Errorf(http.StatusBadGateway, oci.Unknown, "the registry's answer has more than %d bytes", limit)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, oci.Errorf(http.StatusBadGateway, oci.Unknown, "the registry's answer is not what it should be").Because(err)
	}
	made, err := json.Marshal(answer(resp.Header))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, req.Repo, err)
	}
	return made, nil
}
