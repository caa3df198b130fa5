package server

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// process is what the kernel lets this process do.
type process struct {
	descriptors uint64   // RLIMIT_NOFILE in force; 0: not known
	warnings    []string // what will bite under load
}

// lowDescriptors is a limit under which a busy host of a few hundred clients
// runs out.
const lowDescriptors = 4096

// maxUsefulDescriptors bounds what is asked for: a container's limit may be a
// billion, which needs no table but confuses what is derived from it.
const maxUsefulDescriptors = 1 << 20

// inspectProcess raises RLIMIT_NOFILE to its hard limit and looks for limits that
// will bite.
func inspectProcess() process {
	var p process
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) == nil {
		want := min(l.Max, maxUsefulDescriptors)
		if l.Cur < want {
			raised := unix.Rlimit{Cur: want, Max: l.Max}
			if unix.Setrlimit(unix.RLIMIT_NOFILE, &raised) == nil {
				l.Cur = want
			}
		}
		p.descriptors = min(l.Cur, math.MaxInt32)
		if l.Cur < lowDescriptors {
			p.warnings = append(p.warnings, fmt.Sprintf("RLIMIT_NOFILE is %d even at its hard limit: raise it (LimitNOFILE= of the unit, --ulimit nofile= of docker run)", l.Cur))
		}
	}
	if w := pipeWarning(); w != "" {
		p.warnings = append(p.warnings, w)
	}
	return p
}

// pipeCapacity is what the standard library asks of a pipe to splice through.
const pipeCapacity = 1 << 20

// pipesWanted is how many of them a busy proxy has in hand at once.
const pipesWanted = 64

// pipeWarning looks at the pages of pipe that a user without CAP_SYS_RESOURCE may
// have (pipe(7), /proc/sys/fs/pipe-user-pages-soft; 0 is no bound): past it,
// pipes hold two pages, and splice moves 8 KiB at a time.
func pipeWarning() string {
	if hasCapability(unix.CAP_SYS_RESOURCE) || hasCapability(unix.CAP_SYS_ADMIN) {
		return ""
	}
	text, err := os.ReadFile("/proc/sys/fs/pipe-user-pages-soft")
	if err != nil {
		return ""
	}
	pages, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		return ""
	}
	return fewPipes(pages, os.Getpagesize())
}

func fewPipes(pages, pageSize int) string {
	if pages == 0 || pages*pageSize >= pipesWanted*pipeCapacity {
		return ""
	}
	return fmt.Sprintf("fs.pipe-user-pages-soft is %d pages, enough for %d pipes of 1 MiB: more busy tunnels than that splice slowly; raise it to %d",
		pages, pages*pageSize/pipeCapacity, pipesWanted*pipeCapacity/pageSize)
}

func hasCapability(c uint) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		return false
	}
	return data[c/32].Effective&(1<<(c%32)) != 0
}
