//go:build unix

package cachectl

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/store"
)

// Target names what is to be removed: one of its fields is set, or Registry and
// Repository both.
type Target struct {
	Digest     oci.Digest
	Registry   string
	Repository string // within Registry; "": all of it
}

// ParseTarget reads a digest, a registry ("ghcr.io"), or a repository with its registry
// ("docker.io/library/alpine").
func ParseTarget(s string) (Target, error) {
	if strings.HasPrefix(s, "sha256:") || strings.HasPrefix(s, "sha512:") {
		d, err := oci.ParseDigest(s)
		return Target{Digest: d}, err
	}
	host, name, hasName := strings.Cut(s, "/")
	registry, err := oci.ParseRegistry(host)
	if err != nil || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return Target{}, fmt.Errorf("%q has no registry: write it as \"docker.io/library/alpine\", or \"ghcr.io\" for all of it, or a digest", s)
	}
	t := Target{Registry: registry}
	if !hasName {
		return t, nil
	}
	if strings.ContainsAny(name, ":@") {
		return Target{}, fmt.Errorf("%q has a tag or a digest: name the repository, or the digest alone", s)
	}
	if t.Repository, err = oci.ParseName(name); err != nil {
		return Target{}, err
	}
	return t, nil
}

// Matches tells whether an item is what the target names, or held by it.
func (t Target) Matches(i Item) bool {
	if t.Digest != "" {
		return i.Digest == t.Digest
	}
	return slices.ContainsFunc(i.Repositories, t.takes)
}

// takes tells whether the target takes in a repository, written with its registry.
func (t Target) takes(repository string) bool {
	if t.Repository != "" {
		return repository == t.Registry+"/"+t.Repository
	}
	return strings.HasPrefix(repository, t.Registry+"/")
}

// among returns the repositories of items that the target takes in.
func (t Target) among(list []store.Item) []oci.Repository {
	var found []oci.Repository
	for _, item := range list {
		for _, r := range item.Repositories {
			if t.takes(r.String()) && !slices.Contains(found, r) {
				found = append(found, r)
			}
		}
	}
	return found
}

// query is the target as the admin interface takes it.
func (t Target) query() url.Values {
	switch {
	case t.Digest != "":
		return url.Values{"digest": {string(t.Digest)}}
	case t.Repository != "":
		return url.Values{"repository": {t.Registry + "/" + t.Repository}}
	}
	return url.Values{"registry": {t.Registry}}
}
