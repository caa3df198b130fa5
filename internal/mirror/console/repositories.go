package console

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"sluice/internal/admin/site"
	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// Repository is what is kept of one repository. What several hold is counted for each.
type Repository struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"` // within the registry
	Contents   int       `json:"contents"`
	Size       int64     `json:"size"`   // bytes of all that it holds
	Shared     int64     `json:"shared"` // bytes of these that others hold, too
	LastUsed   time.Time `json:"last_used"`
	Tags       []Tag     `json:"tags"`      // by name
	TagCount   int       `json:"tag_count"` // of which Tags may be a part
}

// Tag is a tag whose manifest is kept.
type Tag struct {
	Name     string     `json:"name"`
	Digest   oci.Digest `json:"digest"`
	LastUsed time.Time  `json:"last_used"` // of the manifest
	// Size is how many bytes of it are kept: its manifest and all that this names.
	Size int64 `json:"size"`
}

// Repositories is a list of them, the one used last first.
type Repositories struct {
	Repositories []Repository `json:"repositories"`
	Total        int          `json:"total"` // how many there are that match
}

func (h *Handler) repositories(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	matches, err := filter(q)
	if err != nil {
		return err
	}
	limit, err := limitOf(q, usualItems, mostItems)
	if err != nil {
		return err
	}
	items := h.listing.get()
	list := gather(items, matches, q.Get("registry"))
	answer := Repositories{list[:min(limit, len(list))], len(list)}
	for i := range answer.Repositories {
		one := &answer.Repositories[i]
		slices.SortFunc(one.Tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
		one.Tags = one.Tags[:min(mostNames, len(one.Tags))]
	}
	h.images.measure(items, answer.Repositories)
	return site.Write(w, r, answer)
}

// gather sums items up by repository, of one registry or of all.
func gather(items []store.Item, matches func(*store.Item) bool, registry string) []Repository {
	sums := make(map[oci.Repository]*Repository)
	for i := range items {
		item := &items[i]
		if !matches(item) {
			continue
		}
		for _, r := range item.Repositories {
			if registry != "" && !strings.EqualFold(r.Registry, registry) {
				continue
			}
			sum := sums[r]
			if sum == nil {
				sum = &Repository{Registry: r.Registry, Repository: r.Name, Tags: []Tag{}}
				sums[r] = sum
			}
			sum.add(item)
		}
	}
	list := make([]Repository, 0, len(sums))
	for _, sum := range sums {
		list = append(list, *sum)
	}
	slices.SortFunc(list, func(a, b Repository) int {
		return cmp.Or(b.LastUsed.Compare(a.LastUsed), cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.Repository, b.Repository))
	})
	return list
}

func (sum *Repository) add(item *store.Item) {
	sum.Contents++
	sum.Size += item.Size
	if len(item.Repositories) > 1 {
		sum.Shared += item.Size
	}
	used := item.LastUsed.UTC()
	if used.After(sum.LastUsed) {
		sum.LastUsed = used
	}
	prefix := sum.Registry + "/" + sum.Repository + ":"
	for _, name := range item.Tags {
		if tag, found := strings.CutPrefix(name, prefix); found {
			sum.Tags = append(sum.Tags, Tag{Name: tag, Digest: item.Digest, LastUsed: used})
			sum.TagCount++
		}
	}
}

// repositoriesOf returns the repositories of a registry of which something is kept.
func repositoriesOf(items []store.Item, registry string) []oci.Repository {
	found := make(map[oci.Repository]bool)
	for i := range items {
		for _, r := range items[i].Repositories {
			if r.Registry == registry {
				found[r] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b oci.Repository) int { return cmp.Compare(a.Name, b.Name) })
}
