package server

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	osprocess "sluice/internal/process"
)

// process is what the kernel lets this process do.
type process struct {
	descriptors uint64   // RLIMIT_NOFILE in force; 0: not known
	warnings    []string // what will bite under load
}

// inspectProcess raises RLIMIT_NOFILE to its hard limit and looks for limits that
// will bite.
func inspectProcess() process {
	var p process
	var warning string
	if p.descriptors, warning = osprocess.Descriptors(); warning != "" {
		p.warnings = append(p.warnings, warning)
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
