package store

import (
	"io/fs"
	"syscall"
	"time"
)

// usedAt returns when a file was used last, as setUsed wrote it.
func usedAt(info fs.FileInfo) time.Time {
	return time.Unix(info.Sys().(*syscall.Stat_t).Atim.Unix())
}
