package store

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"strings"

	"sluice/internal/mirror/oci"
)

// What the directory holds. Names that are none of the store's are left alone.
const (
	lockName        = "sluice-mirror.lock" // also tells that the directory is a store's
	blobsDir        = "blobs"
	partialDir      = "partial"
	repositoriesDir = "repositories"
)

// What a repository's directory holds. No part of a repository's name begins with
// "_", and no tag with ".".
const (
	tagsDir   = "_tags"
	linksDir  = "_links"
	stateFile = "_state"
	unwritten = ".new" // a record on its way
)

// shard is how many hexadecimal digits name the directory that a blob is in, so that
// no directory grows long.
const shard = 2

// blobPath is where whole content is: blobs/sha256/ab/abcd….
func blobPath(d oci.Digest) string {
	digits := d.Hex()
	return path.Join(blobsDir, d.Algorithm(), digits[:shard], digits)
}

// partialPath is where content grows: partial/sha256-abcd…, or partial/sha256-abcd…@12ef…
// with the mark of where it comes from, or partial/sha256-abcd…@12ef…+7 if it grows apart.
func partialPath(d oci.Digest, mark string) string {
	if mark != "" {
		mark = "@" + mark
	}
	return path.Join(partialDir, digestFile(d)+mark)
}

// parsePartial reads a name that partialPath gives.
func parsePartial(name string) (d oci.Digest, mark string, ok bool) {
	name, mark, marked := strings.Cut(name, "@")
	d, ok = parseDigestFile(name)
	digits, n, apart := strings.Cut(mark, apartSign)
	if apart {
		_, err := strconv.ParseUint(n, 10, 64)
		ok = ok && err == nil
	}
	return d, mark, ok && (!marked || len(digits) == hex.EncodedLen(markSize) && strings.Trim(digits, "0123456789abcdef") == "")
}

// markSize is how many bytes of a hash tell one origin from another.
const markSize = 8

// markOf is an origin as a part of a file's name, whatever its length.
func markOf(origin string) string {
	if origin == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:markSize])
}

// apartSign is in the mark of a part that grows apart.
const apartSign = "+"

// apartMark is markOf for what grows apart. The process gives each such file another
// number: who reads one to its end does so by its name, when the origin's next is there.
func apartMark(origin string, n uint64) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:markSize]) + apartSign + strconv.FormatUint(n, 10)
}

// isApart tells the mark of a part that grew apart, which is of no use to a later process.
func isApart(mark string) bool { return strings.Contains(mark, apartSign) }

// digestFile is a digest as a file's name: no file system minds a colon less than
// the tools that people use on it.
func digestFile(d oci.Digest) string { return d.Algorithm() + "-" + d.Hex() }

// parseDigestFile reads what digestFile writes.
func parseDigestFile(name string) (oci.Digest, bool) {
	algorithm, digits, ok := strings.Cut(name, "-")
	if !ok {
		return "", false
	}
	d, err := oci.ParseDigest(algorithm + ":" + digits)
	return d, err == nil
}

// repositoryPath is the directory of a repository, and whether there can be one: its
// names must be what oci's Parse functions return, which no path can leave the
// directory by.
func repositoryPath(r oci.Repository) (string, bool) {
	if registry, err := oci.ParseRegistry(r.Registry); err != nil || registry != r.Registry {
		return "", false
	}
	if _, err := oci.ParseName(r.Name); err != nil {
		return "", false
	}
	return path.Join(repositoriesDir, r.Registry, r.Name), true
}
