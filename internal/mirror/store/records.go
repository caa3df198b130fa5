package store

import (
	"encoding/json"
	"fmt"
	"time"

	"sluice/internal/mirror/oci"
)

// maxRecord is the most bytes of a file that says something of a repository. The
// longest that is written has some 600.
const maxRecord = 4 << 10

// record is what such files hold, as JSON; which fields, depends on the file.
type record struct {
	Digest     oci.Digest `json:"digest,omitempty"`
	MediaType  string     `json:"mediaType,omitempty"`
	Size       int64      `json:"size,omitempty"`
	Visibility string     `json:"visibility,omitempty"`
	Checked    time.Time  `json:"checked,omitzero"`
}

// parseRecord reads a record. What it returns can be relied on as what was written by
// the store itself: digest and media type are well-formed or empty, the size is not
// negative, the visibility one that there is.
func parseRecord(text []byte) (record, error) {
	if len(text) > maxRecord {
		return record{}, fmt.Errorf("record has %d bytes, the most is %d", len(text), maxRecord)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, err
	}
	if r.Digest != "" {
		if _, err := oci.ParseDigest(string(r.Digest)); err != nil {
			return record{}, err
		}
	}
	switch {
	case r.MediaType != oci.MediaType(r.MediaType):
		return record{}, fmt.Errorf("%q is no media type", r.MediaType)
	case r.Size < 0:
		return record{}, fmt.Errorf("size is %d", r.Size)
	case !isVisibility(r.Visibility):
		return record{}, fmt.Errorf("%q is no visibility", r.Visibility)
	}
	return r, nil
}

func isVisibility(s string) bool { return s == "" || s == Public || s == Private }
