package access

import (
	"fmt"
	"strings"

	"sluice/internal/mirror/oci"
)

// pattern is one entry of a rule's list of private repositories.
type pattern struct {
	registry string
	name     string // of the repository; with below: the path above it, "" for the whole registry
	below    bool
}

// dockerHub is the registry whose images have "library/" ahead of a name of one part.
const dockerHub = "docker.io"

func parsePattern(s string) (pattern, error) {
	registry, name, ok := strings.Cut(s, "/")
	if !ok || registry == "" || strings.ContainsRune(registry, '*') {
		return pattern{}, fmt.Errorf("%q names no registry: write as in %q or %q", s, "ghcr.io/acme/app", "ghcr.io/acme/*")
	}
	registry, err := oci.ParseRegistry(registry)
	if err != nil {
		return pattern{}, err
	}
	p := pattern{registry: registry, name: name}
	if name == "*" {
		return pattern{registry: registry, below: true}, nil
	}
	if above, below := strings.CutSuffix(name, "/*"); below {
		p.name, p.below = above, true
	}
	if strings.ContainsRune(p.name, '*') {
		return pattern{}, fmt.Errorf("%q: a wildcard stands only at the end, behind a slash, as in %q", s, "ghcr.io/acme/*")
	}
	if _, err := oci.ParseName(p.name); err != nil {
		return pattern{}, fmt.Errorf("%q is not a repository: %w", s, err)
	}
	if p.registry == dockerHub && !p.below && !strings.Contains(p.name, "/") {
		p.name = "library/" + p.name
	}
	return p, nil
}

// matches tells whether a repository is the one of the pattern, or below its path
// however deep.
func (p pattern) matches(r oci.Repository) bool {
	if r.Registry != p.registry {
		return false
	}
	if !p.below {
		return r.Name == p.name
	}
	if p.name == "" {
		return true
	}
	rest, ok := strings.CutPrefix(r.Name, p.name)
	return ok && strings.HasPrefix(rest, "/")
}
