package front

import (
	"net/http"
	"strings"

	"sluice/internal/mirror/oci"
	"sluice/internal/mirror/record"
)

// route is what a path asks for. The name is as it was asked for, prefix and all;
// which registry it belongs to is found out by package pull.
type route struct {
	kind record.Kind
	name string
	ref  oci.Reference // of a manifest; a digest of a blob or of referrers' subject
	// page is the path of what is no registry's: "/ca.crt", "/setup/docker.sh".
	page string
	// push says that only requests which change something go there.
	push bool
}

// maxPath is the most bytes of a path: those of a name, a digest, and what stands
// between them, generously.
const maxPath = 1024

const api = "/v2/"

// parseRoute reads a path as it stood in the request, before anything was unescaped:
// what a path of the registry may hold needs no escape, so that each has one spelling
// only and what was checked is what is used. Errors are *oci.Error.
func parseRoute(raw string) (route, error) {
	if raw == api || raw == strings.TrimSuffix(api, "/") {
		return route{kind: record.Ping}, nil
	}
	rest, ok := strings.CutPrefix(raw, api)
	if !ok {
		return route{kind: record.Other, page: "/" + strings.TrimPrefix(raw, "/")}, nil // the path may be empty, RFC 9112, section 3.2.2
	}
	if len(raw) > maxPath || strings.Contains(raw, "%") {
		return route{kind: record.Other}, oci.Errorf(http.StatusBadRequest, oci.NameInvalid,
			"the path is not one of a registry: no escapes, and %d bytes at the most", maxPath)
	}
	if rest == "_catalog" {
		return route{kind: record.Other}, oci.Errorf(http.StatusNotFound, oci.Unsupported,
			"this mirror lists no repositories: what it could list is what others have pulled")
	}
	if i := strings.LastIndex(rest, "/blobs/uploads"); i >= 0 && (rest[i+len("/blobs/uploads"):] == "" || rest[i+len("/blobs/uploads")] == '/') {
		return named(route{kind: record.Blob, name: rest[:i], push: true})
	}
	head, last := cutLast(rest)
	name, what := cutLast(head)
	r := route{name: name}
	var err error
	switch {
	case what == "manifests":
		r.kind = record.Manifest
		r.ref, err = reference(last)
	case what == "blobs":
		r.kind = record.Blob
		r.ref, err = digest(last)
	case what == "referrers":
		r.kind = record.Referrers
		r.ref, err = digest(last)
	case what == "tags" && last == "list":
		r.kind = record.Tags
	default:
		return route{kind: record.Other}, oci.Errorf(http.StatusNotFound, oci.Unsupported,
			"there is nothing here: paths of a registry end in /manifests/REFERENCE, /blobs/DIGEST, /tags/list or /referrers/DIGEST")
	}
	if err != nil {
		return r, err
	}
	return named(r)
}

// Serves tells whether a request is one of the registry's API that a Handler answers.
// What is not, on the transparent way, the registry itself has to answer: its token
// server may be at the same host, below /v2/ even.
func Serves(r *http.Request) bool {
	parsed, err := parseRoute(r.URL.EscapedPath())
	return parsed.kind != record.Other || err != nil && strings.Contains(r.URL.EscapedPath(), "%")
}

// cutLast splits at the last slash. Without one, all is behind it.
func cutLast(s string) (head, last string) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+1:]
}

func named(r route) (route, error) {
	if _, err := oci.ParseName(r.name); err != nil {
		return r, oci.Errorf(http.StatusBadRequest, oci.NameInvalid, "%s", err)
	}
	return r, nil
}

func reference(s string) (oci.Reference, error) {
	if strings.Contains(s, ":") {
		return digest(s)
	}
	ref, err := oci.ParseReference(s)
	if err != nil {
		return ref, oci.Errorf(http.StatusBadRequest, oci.TagInvalid, "%s", err)
	}
	return ref, nil
}

func digest(s string) (oci.Reference, error) {
	d, err := oci.ParseDigest(s)
	if err != nil {
		return oci.Reference{}, oci.Errorf(http.StatusBadRequest, oci.DigestInvalid, "%s", err)
	}
	return oci.Reference{Digest: d}, nil
}
