package doctor

import (
	"os"
	"syscall"
)

// trusted tells whether a process, by its directory in proc, is root's or this user's:
// what another user's says of itself is not this host's setting.
func trusted(process string) bool {
	info, err := os.Stat(process)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}
