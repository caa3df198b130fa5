//go:build !linux

package store

import (
	"io/fs"
	"time"
)

// usedAt returns when a file was changed last: where the time of its last use stands
// differs from system to system.
func usedAt(info fs.FileInfo) time.Time { return info.ModTime() }
