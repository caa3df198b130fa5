package process

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// lowDescriptors is a limit under which a busy host of a few hundred clients
// runs out.
const lowDescriptors = 4096

// maxUsefulDescriptors bounds what is asked for: a container's limit may be a
// billion, which needs no table but confuses what is derived from it.
const maxUsefulDescriptors = 1 << 20

// Descriptors raises RLIMIT_NOFILE to its hard limit and returns what is in force; 0:
// that is not known. The warning is "" where it will do.
func Descriptors() (limit uint64, warning string) {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return 0, ""
	}
	want := min(l.Max, maxUsefulDescriptors)
	if l.Cur < want {
		raised := unix.Rlimit{Cur: want, Max: l.Max}
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
			l.Cur = want
		}
	}
	if l.Cur < lowDescriptors {
		warning = fmt.Sprintf("RLIMIT_NOFILE is %d even at its hard limit: raise it (LimitNOFILE= of the unit, --ulimit nofile= of docker run)", l.Cur)
	}
	return min(l.Cur, math.MaxInt32), warning
}
