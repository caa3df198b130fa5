//go:build linux

package endtoend

import (
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// failConnects makes every connect(2) of this process to an IPv6 address fail
// with an error that no connect has, from now on and for good: nothing else makes
// the proxy meet what nobody foresaw. IPv4 is left alone.
func failConnects(t testing.TB) {
	t.Helper()
	const (
		number     = 0  // offsets in struct seccomp_data (seccomp(2)) …
		addrlen    = 32 // … of the system call's number, and of its third argument
		unforeseen = unix.EDOM
	)
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CONNECT, Jf: 3},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: addrlen},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SizeofSockaddrInet6, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unforeseen)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // both calls are about the calling thread, the second about all others too
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))); err != 0 {
		t.Fatalf("seccomp: %v", err)
	}
	runtime.KeepAlive(filter)
}
