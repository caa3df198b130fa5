//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	// othersWrite are the bits that let group and others write.
	othersWrite = 0o022
)

// openDir opens the directory, which it makes if need be, and sees that nobody else
// can change what is in it. All names are looked up below it from then on, wherever
// symbolic links lead.
func openDir(dir string) (*os.Root, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("make the cache directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the cache directory: %w", err)
	}
	if err := ours(root, dir); err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// ours tells why a directory is not one to keep content in. The directory that was
// opened is looked at, not what now has its name.
func ours(root *os.Root, dir string) error {
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("look at the cache directory: %w", err)
	}
	if mode := info.Mode().Perm(); mode&othersWrite != 0 {
		return fmt.Errorf("%w: others can write in %s (mode %04o): chmod go-w, or name a directory in it", ErrUnsafe, dir, mode)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; int(owner) != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d, this process is user %d", ErrUnsafe, dir, owner, os.Geteuid())
	}
	if _, err := root.Lstat(lockName); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, name := range []string{blobsDir, partialDir, repositoriesDir} {
		if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s has a %s that is not the mirror's", ErrUnsafe, dir, name)
		}
	}
	return nil
}

// lockDir takes the directory for this process. The lock ends with the file's last
// descriptor, so also when the process is killed.
func lockDir(root *os.Root) (*os.File, error) {
	f, err := root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the cache directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock the cache directory: %w", err)
	}
	return f, nil
}

// mkdirAll makes a directory below root, and has the directories that got a new name
// written, so that a file that was written in it is found after a power cut.
func mkdirAll(root *os.Root, dir string) error {
	err := root.Mkdir(dir, dirMode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		if err := mkdirAll(root, path.Dir(dir)); err != nil {
			return err
		}
		if err := root.Mkdir(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case err != nil:
		return err
	}
	return syncDir(root, path.Dir(dir))
}

// syncDir has a directory's names written.
func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// identity tells whether a file is still the one that was looked at. Whoever changes
// a file and sets its time back is not found out: he could as well change the
// process.
type identity struct {
	inode    uint64
	size     int64
	modified int64 // nanoseconds since 1970
}

func identityOf(info fs.FileInfo) identity {
	return identity{info.Sys().(*syscall.Stat_t).Ino, info.Size(), info.ModTime().UnixNano()}
}

// setUsed writes when a file was used last, and leaves alone when it was changed.
// Where it cannot, the order of use is lost with the process, nothing else.
func setUsed(root *os.Root, name string, at time.Time) {
	_ = root.Chtimes(name, at, time.Time{})
}

// full tells whether an error says that there is no room for more, on the disk or in
// the quota, so that removing something helps.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// nonblocking keeps an open from waiting for the other end of what turns out to be a
// pipe.
const nonblocking = syscall.O_NONBLOCK

// starved tells whether it is the process, or the machine, that cannot open a file now:
// that says nothing of the file.
func starved(err error) bool {
	for _, want := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, os.ErrClosed} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// regular returns an error for what is no file that content can be in.
func regular(f *os.File) error {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file: %s", f.Name(), info.Mode())
	}
	return err
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
