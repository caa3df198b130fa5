//go:build !unix

package process

import "syscall"

// reopenSignal is SIGHUP where there is no SIGUSR1.
const reopenSignal = syscall.SIGHUP
