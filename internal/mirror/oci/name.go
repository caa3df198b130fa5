// Package oci has the vocabulary of registries that speak the distribution
// specification of the Open Container Initiative: names of repositories, tags,
// digests, descriptors, what a manifest names, and error codes. It reads text and
// makes values of it; what is fetched, stored or refused is decided elsewhere.
//
// All that its Parse functions accept is safe as a part of a file's name and of a
// URL's path: it holds no "..", no empty part, no byte that must be escaped, and is
// written in one way only.
package oci

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// MaxName is the most bytes that a repository's name may have; clients take no more
// for it together with the registry's name.
const MaxName = 255

// maxTag is the length that the specification gives.
const maxTag = 128

// The grammars are those of the section "Pulling manifests". A registry is a host
// as the reference grammar of images has it.
var (
	nameGrammar = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	hostGrammar = regexp.MustCompile(`^(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(?:\.(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]))*$`)
)

// Repository is one repository of one registry.
type Repository struct {
	// Registry is the registry as image names call it: "docker.io", "ghcr.io",
	// "registry.example:5000".
	Registry string
	// Name is the path within the registry: "library/alpine".
	Name string
}

// String returns the name as clients write it: docker.io/library/alpine.
func (r Repository) String() string { return r.Registry + "/" + r.Name }

// ParseName returns the name of a repository within its registry, or an error when
// it is not one or longer than MaxName. Names are in lower case already: a capital
// is an error, as registries have it.
func ParseName(s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("repository name is empty")
	case len(s) > MaxName:
		return "", fmt.Errorf("repository name has %d bytes, the most is %d", len(s), MaxName)
	case !nameGrammar.MatchString(s):
		return "", fmt.Errorf("%q is no repository name", s)
	}
	return s, nil
}

// ParseRegistry returns the host, with port if it has one, by which image names call
// a registry, in lower case. An IPv6 address stands in brackets.
func ParseRegistry(s string) (string, error) {
	if strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", fmt.Errorf("%q is no registry: not ASCII", s) // some letters have an ASCII one for lower case
	}
	lower := strings.ToLower(s)
	host, port := lower, ""
	if i := strings.LastIndexByte(lower, ':'); i > strings.LastIndexByte(lower, ']') {
		host, port = lower[:i], lower[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", fmt.Errorf("%q is no registry: port is not 1 to 65535", s)
		}
		port = ":" + port
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !strings.HasSuffix(inner, "]") || !a.Is6() || a.Zone() != "" {
			return "", fmt.Errorf("%q is no registry: no IPv6 address in its brackets", s)
		}
		return "[" + a.String() + "]" + port, nil
	}
	if len(host) > MaxName || !hostGrammar.MatchString(host) {
		return "", fmt.Errorf("%q is no registry: no host name", s)
	}
	return host + port, nil
}

// ParseTag tells what is wrong with a tag.
func ParseTag(s string) error {
	if s == "" || len(s) > maxTag {
		return fmt.Errorf("tag has %d bytes, it must have 1 to %d", len(s), maxTag)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return fmt.Errorf("%q is no tag", s)
		}
	}
	return nil
}

// Reference names a manifest within its repository: it has a tag or a digest, never
// both.
type Reference struct {
	Tag    string
	Digest Digest
}

// ParseReference reads what stands behind /manifests/ in a path. Text with a colon is
// a digest, as no tag has one.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	if err := ParseTag(s); err != nil {
		return Reference{}, err
	}
	return Reference{Tag: s}, nil
}

// String returns the tag or the digest.
func (r Reference) String() string {
	if r.Digest != "" {
		return string(r.Digest)
	}
	return r.Tag
}
