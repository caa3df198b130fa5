//go:build unix

package main

import "syscall"

// reopenSignal asks for the log file to be opened anew.
const reopenSignal = syscall.SIGUSR1
