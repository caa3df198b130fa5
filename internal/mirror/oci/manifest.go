package oci

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"
)

// MaxManifest is the most bytes of a manifest that is taken, as in the section
// "Pushing manifests": no client may rely on more.
const MaxManifest = 4 << 20

// Media types of manifests that are fetched.
const (
	TypeManifest    = "application/vnd.oci.image.manifest.v1+json"
	TypeIndex       = "application/vnd.oci.image.index.v1+json"
	TypeDocker      = "application/vnd.docker.distribution.manifest.v2+json"
	TypeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
	TypeOctetStream = "application/octet-stream"
	typeJSON        = "application/json"
	typePlain       = "text/plain"
)

// ManifestTypes returns what to ask a registry for: both kinds of manifest and of
// index. Docker's first schema is left out, because registries made it up anew for
// each request, so that its digest was not that of a file.
func ManifestTypes() []string {
	return []string{TypeManifest, TypeIndex, TypeDocker, TypeDockerList}
}

// Descriptor names content by type, digest and size in bytes.
type Descriptor struct {
	MediaType string
	Digest    Digest
	Size      int64
}

// Content is what a manifest says of itself and of other content.
type Content struct {
	// MediaType is the type that the registry gave, without parameters, or where it
	// gave none or a general one, the type that the manifest gives itself.
	MediaType string
	// Children are the manifests of an index, or the config and layers of a
	// manifest, in their order. That a manifest names content is no proof that its
	// repository holds it, or may show it: whoever pushes writes what he likes.
	Children []Descriptor
	// Subject is the manifest that this one refers to, or nil.
	Subject *Descriptor
}

// IsIndex tells whether the children are manifests.
func (c Content) IsIndex() bool { return c.MediaType == TypeIndex || c.MediaType == TypeDockerList }

// document has what is read of any kind of manifest.
type document struct {
	MediaType string       `json:"mediaType"`
	Config    *descriptor  `json:"config"`
	Layers    []descriptor `json:"layers"`
	Manifests []descriptor `json:"manifests"`
	Subject   *descriptor  `json:"subject"`
	FSLayers  []struct {
		BlobSum string `json:"blobSum"`
	} `json:"fsLayers"` // Docker's first schema
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// Manifest reads a manifest of the given Content-Type. It takes any JSON object, as
// a registry may keep what nobody has thought of yet; what in it is no descriptor
// with a digest of a known algorithm and a size is passed over. The error says that
// the body is too large or no JSON object.
func Manifest(mediaType string, body []byte) (Content, error) {
	if len(body) > MaxManifest {
		return Content{}, fmt.Errorf("manifest has %d bytes, the most is %d", len(body), MaxManifest)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil {
		return Content{}, fmt.Errorf("manifest is no JSON object")
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		d = document{} // an object of some other kind, which has no children
	}
	c := Content{MediaType: typeOf(mediaType, &d)}
	if d.Config != nil {
		c.add(*d.Config)
	}
	for _, list := range [][]descriptor{d.Layers, d.Manifests} {
		for _, x := range list {
			c.add(x)
		}
	}
	for _, x := range d.FSLayers {
		c.add(descriptor{MediaType: TypeOctetStream, Digest: x.BlobSum})
	}
	if d.Subject != nil {
		if s, ok := d.Subject.parse(); ok {
			c.Subject = &s
		}
	}
	return c, nil
}

func (c *Content) add(x descriptor) {
	if d, ok := x.parse(); ok {
		c.Children = append(c.Children, d)
	}
}

func (x descriptor) parse() (Descriptor, bool) {
	d, err := ParseDigest(x.Digest)
	return Descriptor{MediaType: x.MediaType, Digest: d, Size: x.Size}, err == nil && x.Size >= 0
}

// typeOf prefers what the registry said: a client compares both, and shall see what
// it would see without a mirror.
func typeOf(header string, d *document) string {
	given := MediaType(header)
	switch given {
	case "", typeJSON, typePlain, TypeOctetStream:
	default:
		return given
	}
	switch {
	case MediaType(d.MediaType) != "":
		return MediaType(d.MediaType)
	case d.Manifests != nil:
		return TypeIndex
	case d.Config != nil || d.Layers != nil:
		return TypeManifest
	case given == "":
		return typeJSON
	}
	return given
}

// maxMediaType is the most bytes of a media type that is taken: RFC 6838, section
// 4.2, allows 127 for each of its two halves.
const maxMediaType = 255

// MediaType returns the type and subtype of a Content-Type, in lower case and without
// parameters, or "" if it is not of that form. What it returns can stand in a header.
func MediaType(header string) string {
	t, _, err := mime.ParseMediaType(header)
	if err != nil || len(t) > maxMediaType || strings.Count(t, "/") != 1 {
		return ""
	}
	return t
}
