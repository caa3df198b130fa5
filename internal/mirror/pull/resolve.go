package pull

import (
	"net/http"
	"strings"

	"sluice/internal/mirror/oci"
)

// dockerHub is the registry whose images of one name are below library.
const (
	dockerHub = "docker.io"
	library   = "library/"
)

// Resolve returns the repository that a client means. ns is the value of containerd's
// parameter of that name, "" for none; path is what stands between /v2/ and
// /manifests/, /blobs/ and so on. Without ns the path's first part is the registry if
// it is one that is mirrored. A part that looks like a host and is not mirrored is an
// error: the default upstream would give an image of the same name by somebody else.
// Errors are *oci.Error. Nothing is dialled.
func (m *Mirror) Resolve(ns, path string) (oci.Repository, error) {
	p := m.policy.Load()
	first, rest, more := strings.Cut(path, "/")
	prefixed, known := "", false
	if more {
		prefixed, known = p.registry(first)
	}
	if ns != "" {
		registry, ok := p.registry(ns)
		if !ok {
			return oci.Repository{}, notMirrored(printable(ns))
		}
		if known && prefixed == registry { // hosts.toml with a path and override_path
			path = rest
		}
		return repository(registry, path)
	}
	switch {
	case known:
		return repository(prefixed, rest)
	case more && looksLikeHost(first):
		return oci.Repository{}, notMirrored(printable(first))
	case p.Default == "":
		return oci.Repository{}, oci.Errorf(http.StatusNotFound, oci.NameUnknown, "the path names no registry that sluice-mirror mirrors, and there is no default")
	}
	return repository(p.Default, path)
}

// registry returns the upstream that a name or an alias is of.
func (p *Policy) registry(name string) (string, bool) {
	name, err := oci.ParseRegistry(name)
	if err != nil {
		return "", false
	}
	if of, ok := p.Aliases[name]; ok {
		name = of
	}
	_, ok := p.Upstreams[name]
	return name, ok
}

func repository(registry, path string) (oci.Repository, error) {
	if registry == dockerHub && path != "" && !strings.Contains(path, "/") {
		path = library + path
	}
	name, err := oci.ParseName(path)
	if err != nil {
		return oci.Repository{}, oci.Errorf(http.StatusBadRequest, oci.NameInvalid, "this is not a name of a repository").Because(err)
	}
	return oci.Repository{Registry: registry, Name: name}, nil
}

// looksLikeHost tells a registry from a repository's first part as docker does for
// the names of images.
func looksLikeHost(s string) bool {
	return strings.ContainsAny(s, ".:") || s == "localhost" || s != strings.ToLower(s)
}

// printable returns a registry as a sentence may repeat it.
func printable(name string) string {
	if registry, err := oci.ParseRegistry(name); err == nil {
		return registry
	}
	return "that registry"
}
