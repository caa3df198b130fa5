package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownedLike gives a file the owner of another, and its extended attributes, where
// SELinux's label and access lists are.
func ownedLike(f *os.File, like fs.FileInfo, path string) error {
	if stat, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	names := make([]byte, 64<<10)
	n, err := unix.Listxattr(path, names)
	if err != nil {
		return nil // a file system without attributes has none to keep
	}
	for name := range zeroTerminated(names[:n]) {
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(path, name, value)
		if err != nil {
			continue // gone, or not for us to see
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value[:n], 0); err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("keep the attribute %s of %s: %w", name, path, err)
		}
	}
	return nil
}

func zeroTerminated(text []byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		start := 0
		for i, b := range text {
			if b == 0 {
				if !yield(string(text[start:i])) {
					return
				}
				start = i + 1
			}
		}
	}
}

// ownedLikeDirectory gives a new file the owner of the directory that it is in.
func ownedLikeDirectory(f *os.File) error {
	info, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return f.Chown(int(stat.Uid), int(stat.Gid))
	}
	return nil
}

// foreign tells whether a directory belongs to another user.
func foreign(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) != os.Geteuid()
}

// lock waits for nobody: it takes the lock of a directory, or returns an error.
// Closing the file gives it back. No file is made for it.
func lock(dir string) (*os.File, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, errors.New("another sluice setup is at work here: try again when it has ended")
	}
	return f, nil
}
