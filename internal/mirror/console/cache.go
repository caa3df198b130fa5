package console

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/admin/site"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// Bounds of lists.
const (
	usualItems = 1000
	mostItems  = 10_000
	// mostNames is how many repositories and tags of one item, and tags of one
	// repository, are told.
	mostNames = 100
)

// Item is one content that is kept.
type Item struct {
	Digest       oci.Digest `json:"digest"`
	Kind         string     `json:"kind"` // as store has it: index, manifest, blob, partial
	MediaType    string     `json:"media_type,omitempty"`
	Size         int64      `json:"size"` // bytes
	LastUsed     time.Time  `json:"last_used"`
	Repositories []string   `json:"repositories"` // that hold it: "docker.io/library/alpine"
	Tags         []string   `json:"tags"`         // that name it: "docker.io/library/alpine:3.22"
}

// Items is a list of what is kept, or a part of one.
type Items struct {
	Items []Item `json:"items"` // in the order of their digests
	// After is what to give as "after" for the next part; "" when this is the last.
	After string `json:"after,omitempty"`
	Total int    `json:"total"` // how many there are that match
}

func (h *Handler) items(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	matches, err := filter(q)
	if err != nil {
		return err
	}
	limit, err := limitOf(q, usualItems, mostItems)
	if err != nil {
		return err
	}
	after := oci.Digest(q.Get("after"))
	if _, err := oci.ParseDigest(string(after)); after != "" && err != nil {
		return site.BadRequest("after: %v", err)
	}
	answer := Items{Items: []Item{}}
	for _, i := range h.listing.sorted() {
		if !matches(&i) {
			continue
		}
		answer.Total++
		switch {
		case i.Digest <= after:
		case len(answer.Items) < limit:
			answer.Items = append(answer.Items, itemOf(&i))
		default:
			answer.After = string(answer.Items[limit-1].Digest)
		}
	}
	return site.Write(w, r, answer)
}

func itemOf(i *store.Item) Item {
	item := Item{i.Digest, i.Kind, i.MediaType, i.Size, i.LastUsed.UTC(), []string{}, append([]string{}, i.Tags[:min(mostNames, len(i.Tags))]...)}
	for _, r := range i.Repositories[:min(mostNames, len(i.Repositories))] {
		item.Repositories = append(item.Repositories, r.String())
	}
	return item
}

// filter returns which items a query asks for.
func filter(q url.Values) (func(*store.Item) bool, error) {
	var tests []func(*store.Item) bool
	if text := q.Get("digest"); text != "" {
		digest, err := oci.ParseDigest(text)
		if err != nil {
			return nil, site.BadRequest("digest: %v", err)
		}
		tests = append(tests, func(i *store.Item) bool { return i.Digest == digest })
	}
	if text := q.Get("repository"); text != "" {
		repository, err := parseRepository(text)
		if err != nil {
			return nil, err
		}
		tests = append(tests, func(i *store.Item) bool { return slices.Contains(i.Repositories, repository) })
	}
	if text := q.Get("registry"); text != "" {
		registry, err := oci.ParseRegistry(text)
		if err != nil {
			return nil, site.BadRequest("registry: %v", err)
		}
		tests = append(tests, func(i *store.Item) bool {
			return slices.ContainsFunc(i.Repositories, func(r oci.Repository) bool { return r.Registry == registry })
		})
	}
	return func(i *store.Item) bool {
		for _, test := range tests {
			if !test(i) {
				return false
			}
		}
		return true
	}, nil
}

// parseRepository reads a repository as it is listed, registry first.
func parseRepository(s string) (oci.Repository, error) {
	host, name, found := strings.Cut(s, "/")
	if !found {
		return oci.Repository{}, site.BadRequest("repository: %q lacks its registry: docker.io/library/alpine", s)
	}
	registry, err := oci.ParseRegistry(host)
	if err == nil {
		name, err = oci.ParseName(name)
	}
	if err != nil {
		return oci.Repository{}, site.BadRequest("repository: %v", err)
	}
	return oci.Repository{Registry: registry, Name: name}, nil
}

func limitOf(q url.Values, usual, most int) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, site.BadRequest("limit: %q is not a number from 1 to %d", text, most)
	}
	return n, nil
}
