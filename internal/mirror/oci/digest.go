package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

// Names of the algorithms that the image specification registers and every
// registry takes.
const (
	SHA256 = "sha256"
	SHA512 = "sha512"
)

// Digest is the name of content: "sha256:" with 64 hexadecimal digits, or "sha512:"
// with 128, in lower case. The zero value names nothing; other values come out of
// ParseDigest, FromHash and FromBytes.
type Digest string

// ParseDigest returns a digest, or an error for text that is none or of another
// algorithm. Capitals are an error: the same content has one name.
func ParseDigest(s string) (Digest, error) {
	algorithm, digits, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("%q is no digest: it has no algorithm", s)
	}
	var want int
	switch algorithm {
	case SHA256:
		want = hex.EncodedLen(sha256.Size)
	case SHA512:
		want = hex.EncodedLen(sha512.Size)
	default:
		return "", fmt.Errorf("%q is no digest by sha256 or sha512", s)
	}
	if len(digits) != want {
		return "", fmt.Errorf("digest by %s has %d digits, it must have %d", algorithm, len(digits), want)
	}
	for _, c := range []byte(digits) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%q is no digest: its digits are not 0 to 9 and a to f", s)
		}
	}
	return Digest(s), nil
}

// FromHash returns the digest of what was written to a hash that New returned for
// the same algorithm.
func FromHash(algorithm string, h hash.Hash) Digest {
	return Digest(algorithm + ":" + hex.EncodeToString(h.Sum(nil)))
}

// FromBytes returns the digest of content by sha256.
func FromBytes(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest(SHA256 + ":" + hex.EncodeToString(sum[:]))
}

// Algorithm returns what stands ahead of the colon.
func (d Digest) Algorithm() string {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return algorithm
}

// Hex returns what stands behind the colon.
func (d Digest) Hex() string {
	_, digits, _ := strings.Cut(string(d), ":")
	return digits
}

// New returns an empty hash of the digest's algorithm. Both kinds implement
// encoding.BinaryMarshaler and encoding.BinaryUnmarshaler.
func (d Digest) New() hash.Hash {
	if d.Algorithm() == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Matches tells whether the digest names the content.
func (d Digest) Matches(content []byte) bool {
	h := d.New()
	h.Write(content)
	return FromHash(d.Algorithm(), h) == d
}
