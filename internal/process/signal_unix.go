//go:build unix

package process

import "syscall"

// reopenSignal asks for the log file to be opened anew.
const reopenSignal = syscall.SIGUSR1
