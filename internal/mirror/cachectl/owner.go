//go:build unix

package cachectl

import (
	"fmt"
	"os"
	"syscall"
)

// BecomeOwner makes a process of root's one of whoever owns a directory, for good, and
// returns by what name the directory is found then: those above it may be root's alone,
// as systemd's /var/lib/private is. Of other processes, and in a directory of root's own,
// nothing changes.
func BecomeOwner(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || owner.Uid == 0 {
		return dir, nil
	}
	if err := os.Chdir(dir); err != nil {
		return "", err
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(int(owner.Gid)) },
		func() error { return syscall.Setuid(int(owner.Uid)) },
	} {
		if err := step(); err != nil {
			return "", fmt.Errorf("become user %d, whose %s is: %w", owner.Uid, dir, err)
		}
	}
	return ".", nil
}
